"""Location of the artifacts root, and the digests that name its entries."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel

from tasks.core import disk, shared_folders
from tasks.core.contracts import UserError
from tasks.core.files import atomic_write
from tasks.core.redaction import redacted
from tasks.core.storage import remote
from tasks.core.storage.entry_record import sha256_of
from tasks.core.storage.remote import RemoteStore

CACHE = "cache"
GENERATION = f"{CACHE}/generation"
ROOT_ID = "root-id"


def root_setting() -> str:
    """`RECOMMENDER_ARTIFACTS`, by default `artifacts/`, as a URL or an absolute path.

    Raises:
        UserError: the URL contains a login, which every index version would record, or the path
            contains a question mark.
    """
    location = os.environ.get("RECOMMENDER_ARTIFACTS") or "artifacts"  # an empty one is not set
    if not remote.is_url(location):
        return _local_root(location)
    if redacted(location) != location:
        raise UserError(
            f"RECOMMENDER_ARTIFACTS={redacted(location)} has a login or a query: give only bucket "
            "and folder, and set the login as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    return location.rstrip("/")


def _local_root(location: str) -> str:
    path = str(Path(location).absolute())
    if "?" in path:  # MLflow's database would be a file beside the root
        raise UserError(
            f"The artifacts root {path} has a '?', where the address of an SQLite database ends: "
            "choose another path with RECOMMENDER_ARTIFACTS."
        )
    return path


def artifacts_root() -> Path:
    """Absolute local path of everything that a run writes.

    If the setting is a URL, this is a local folder named after the URL.
    """
    location = root_setting()
    if not remote.is_url(location):
        return Path(location)
    return Path("artifacts").absolute() / re.sub(r"\W+", "-", location)


def remote_store() -> RemoteStore | None:
    """The artifacts root if it is a URL, which other machines share; None if it is a path."""
    location = root_setting()
    return remote.open_remote(location) if remote.is_url(location) else None


def root_id() -> str:
    """What identifies the artifacts root on all machines that share it, also after it was moved.

    It is its URL, or the text of a file in it; empty in a root in which nothing was published.
    """
    location = root_setting()
    if remote.is_url(location):
        return location
    file = Path(location) / ROOT_ID
    return file.read_text().strip() if file.exists() else ""


def create_root_id() -> None:
    """Let `root_id` identify a local root from now on."""
    if root_id():
        return
    with atomic_write(artifacts_root() / ROOT_ID) as new:
        new.write_text(f"{uuid4().hex}\n")


def uri_of(name: str) -> str:
    """Path or URL of a folder of the artifacts root that is not an entry, such as the index."""
    return f"{root_setting()}/{name}"


def sha256(parts: Iterable[bytes]) -> str:
    """Hexadecimal SHA-256 of the parts; each is preceded by its length, so that splits differ."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def file_digest(path: Path, exclude: Sequence[str] = ()) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files.

    Files with a name in `exclude` are ignored.
    """
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name not in exclude)
    return sha256(f"{file.relative_to(path)} {sha256_of(file)}".encode() for file in files)


def key_of(parts: Sequence[object]) -> str:
    """Hash of the inputs of a stage, as 32 hexadecimal digits; models are hashed as JSON."""
    return sha256(_canonical(part) for part in parts)[:32]


def cache_root() -> Path:
    """Local folder of all cache entries."""
    return artifacts_root() / CACHE


def cache_generation() -> str:
    """Text that the last `invalidate_cache` wrote; it is a part of the key of every entry."""
    if remote_root := remote_store():
        return remote_root.read_text(GENERATION) or ""
    file = artifacts_root() / GENERATION
    return sha256([file.read_bytes()]) if file.exists() else ""


def invalidate_cache() -> None:
    """Make all entries unreachable, so that they are computed again; pruning deletes them later."""
    if remote_root := remote_store():
        remote_root.write_text(GENERATION, uuid4().hex)
        return
    with atomic_write(artifacts_root() / GENERATION) as new:
        new.write_text(uuid4().hex)


def require_writable() -> None:
    """Check before a run that the artifacts root is writable, and share what the run writes.

    Raises:
        UserError: its URL cannot be opened, or its local folder, or a part of it that another user
            has written, is not writable.
    """
    remote_store()
    disk.require_writable(artifacts_root())
    shared_folders.require_shared(artifacts_root())
    shared_folders.share_new_files(artifacts_root())


def _canonical(part: object) -> bytes:
    value = part.model_dump(mode="json") if isinstance(part, BaseModel) else part
    return json.dumps(value, sort_keys=True).encode()
