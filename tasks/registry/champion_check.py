"""Champion, best versions -> their checked model folders, index and profile, or their damage.

A damaged champion never stops a training run: the run continues without a comparison and logs why.
"""

from pathlib import Path

from prefect import get_run_logger
from pydantic import BaseModel

from tasks.core.contracts import DamagedVersionError
from tasks.data.splits import FITTED_KEYS
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.search import index_errors, open_version
from tasks.registry.champion import (
    Champion,
    damaged_version_error,
    fetch_artifact,
    from_tags,
    is_readable,
    model_folders,
    require_champion_of_this_root,
)
from tasks.registry.model_registry import TaggedVersion, champion_version

SOURCE_FOLDER = "source"
PROFILE = f"{SOURCE_FOLDER}/profile.json"
KEYS = f"{SOURCE_FOLDER}/{FITTED_KEYS}"
#: Tags that a version needs for recommending and for a comparison; early releases set fewer.
USABLE = {"rank", "index_uri", "index_tag", "run_id"}
COMPARABLE = USABLE | {"source"}


class CheckedVersion(BaseModel, frozen=True):
    """A version, mostly the champion, at the time of the check.

    `version` is empty if there is no champion. If it is intact, `champion`, `folders` and, where
    stored, `profile` (of its training source) and `fitted_keys` (of the films that its models were
    fitted on) are set; otherwise `damage` is the reason.
    """

    version: str = ""
    champion: Champion | None = None
    folders: ModelFolders | None = None
    profile: Path | None = None
    fitted_keys: Path | None = None
    damage: str = ""


def load_checked_champion() -> CheckedVersion:
    """The current champion, with its model folders and its index checked.

    Raises:
        UserError: it was published from another artifacts root.
        RegistryError: the registry is damaged or cannot be reached.
    """
    require_champion_of_this_root()
    current = champion_version()
    return check_version(current) if current else CheckedVersion()


def check_version(tagged: TaggedVersion) -> CheckedVersion:
    """A version with its model folders and its index checked.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
    """
    if not (is_readable(tagged.tags) and tagged.tags.keys() >= COMPARABLE):
        return CheckedVersion(version=tagged.version, damage="an earlier release registered it")
    champion = from_tags(tagged.tags, tagged.version)
    try:
        folders = model_folders(champion)
        require_index(champion)
    except DamagedVersionError as error:
        return CheckedVersion(version=tagged.version, damage=error.damage)
    return CheckedVersion(
        version=tagged.version,
        champion=champion,
        folders=folders,
        profile=_logged_file(champion, PROFILE),
        fitted_keys=_logged_file(champion, KEYS),
    )


def require_index(champion: Champion) -> None:
    """Check a version's index by reading every row.

    Raises:
        DamagedVersionError: the index or one of its files is missing, damaged or empty.
        OSError: the storage cannot be read at the moment.
    """
    uri, tag = champion.index.uri, champion.index.tag
    table = open_version(uri, tag)
    with index_errors(uri, tag):
        rows = sum(batch.num_rows for batch in table.search().to_batches())
    if not rows:
        raise damaged_version_error(champion, f"its index {tag} is empty")


def _logged_file(champion: Champion, name: str) -> Path | None:
    """A file of the run that trained the champion; None if it has none of this name."""
    try:
        path = fetch_artifact(champion.run_id, name)
    except DamagedVersionError:
        return None
    return path if path.is_file() else None


def is_current_champion(version: str) -> bool:
    """Whether a version is the current champion; an empty one means that there is none.

    Call it under `champion_lock`.
    """
    current = champion_version()
    return version == (current.version if current else "")


def check_champion() -> CheckedVersion:
    """The current champion for a comparison; damage is logged as a warning."""
    checked = load_checked_champion()
    if checked.damage:
        get_run_logger().warning(
            "The champion (version %s) cannot be compared: %s", checked.version, checked.damage
        )
    return checked
