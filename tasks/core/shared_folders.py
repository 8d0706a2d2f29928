"""An artifacts root that several users share by a group: what they write, what they can write."""

import os
import shlex
import stat
from pathlib import Path

from tasks.core.contracts import UserError

GROUP_MASK = 0o070
SHARED = stat.S_ISGID | stat.S_IWGRP  # files in such a folder get its group
SHARING = "chgrp -R GROUP {root}; chmod -R g+rwX {root}; find {root} -type d -exec chmod g+s {{}} +"


def share_new_files(root: Path) -> None:
    """Let the group write what this process creates from now on, if the root is shared.

    It is if its folder, or its nearest parent that exists, is writable by the group and has the
    set-group-ID bit.
    """
    folder = next(path for path in (root, *root.parents) if path.exists())
    if folder.stat().st_mode & SHARED != SHARED:
        return
    mask = os.umask(0o077)
    os.umask(mask & ~GROUP_MASK)


def require_shared(root: Path) -> None:
    """Check before a run that the user may write all that lies in the root.

    Raises:
        UserError: another user has written a part that this one cannot; the message has the
            commands by which that user shares it.
    """
    for path in sorted(root.iterdir()) if root.exists() else ():
        if not os.access(path, os.W_OK) and not _is_private(path):
            raise UserError(
                f"{path} belongs to {_owner(path)} and cannot be written to by you. Set "
                "RECOMMENDER_ARTIFACTS to a folder of your own, or have it shared: "
                f"{SHARING.format(root=shlex.quote(str(root)))}"
            )


def _is_private(path: Path) -> bool:
    """Whether a file is meant for its owner alone, as the stack's password is."""
    return path.is_file() and not path.stat().st_mode & 0o077


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # the user has no name here
        return f"user {path.stat().st_uid}"
