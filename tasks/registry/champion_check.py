"""The registry's champion -> whether a run can rely on it: its models, its index, its profile.

A damaged champion never blocks a training. It is passed over, which is said.
"""

from pathlib import Path

from prefect import get_run_logger
from pydantic import BaseModel

from tasks.core.contracts import DamagedVersionError
from tasks.core.retry import io_task
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.search import index_errors, open_version
from tasks.registry.champion import (
    Champion,
    damaged_version,
    fetch_artifact,
    from_tags,
    model_folders,
)
from tasks.registry.model_registry import champion_version

PROFILE = "source/profile.json"
#: Tags that a version needs to answer, and to be compared with; early releases set fewer.
ANSWERING = {"rank", "index_uri", "index_tag", "run_id"}
COMPARABLE = ANSWERING | {"source"}


class CheckedChampion(BaseModel, frozen=True):
    """The champion at one moment.

    `version` is empty where there is none. Where it can be compared with, `champion`, `folders`
    and `profile` (of its source, if that was stored) are set, else `damage` says why it cannot.
    """

    version: str = ""
    champion: Champion | None = None
    folders: ModelFolders | None = None
    profile: Path | None = None
    damage: str = ""


def load_checked_champion() -> CheckedChampion:
    """The champion as the registry has it now, its files and its index checked.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
    """
    current = champion_version()
    if current is None:
        return CheckedChampion()
    if not current.tags.keys() >= COMPARABLE:
        damage = "it was registered by an earlier release"
        return CheckedChampion(version=current.version, damage=damage)
    champion = from_tags(current.tags, current.version)
    try:
        folders = model_folders(champion)
        require_index(champion)
    except DamagedVersionError as error:
        return CheckedChampion(version=current.version, damage=error.damage)
    return CheckedChampion(
        version=current.version, champion=champion, folders=folders, profile=_profile(champion)
    )


def require_index(champion: Champion) -> None:
    """Read every row of a version's index.

    Raises:
        DamagedVersionError: the index, or a file of it, is gone or damaged.
        OSError: it cannot be read at the moment.
    """
    uri, tag = champion.index.uri, champion.index.tag
    table = open_version(uri, tag)
    with index_errors(uri, tag):
        rows = sum(batch.num_rows for batch in table.search().to_batches())
    if not rows:
        raise damaged_version(champion, f"its index {tag} is empty")


def _profile(champion: Champion) -> Path | None:
    try:
        path = fetch_artifact(champion.run_id, PROFILE)
    except DamagedVersionError:
        return None
    return path if path.is_file() else None


@io_task("confirm-champion")
def is_current_champion(version: str) -> bool:
    """Whether a version, or none if empty, is the champion now; for use under `champion_lock`."""
    current = champion_version()
    return version == (current.version if current else "")


@io_task("check-champion")
def check_champion() -> CheckedChampion:
    """The current champion, for comparison; a damaged one is named in the log."""
    checked = load_checked_champion()
    if checked.damage:
        get_run_logger().warning(
            "The champion, version %s, is passed over: %s", checked.version, checked.damage
        )
    return checked
