"""Settings, source, ratings, code and libraries -> a fingerprint, equal for equal trainings."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.core.contracts import KnownItemsRef, RatingsRef
from tasks.core.storage import store
from tasks.registry.champion import Champion

LIBRARIES = ("gensim", "torch", "scikit-learn", "numpy", "nltk")  # affect the models


def code_digest(folders: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of the Python files in folders."""
    files = [
        (path.relative_to(folder).as_posix(), path)
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
    ]
    return store.sha256(part for name, path in files for part in (name.encode(), path.read_bytes()))


def fingerprint(
    settings: Mapping[str, Any],
    source: str,
    references: Sequence[RatingsRef | KnownItemsRef | None],
    code: str,
) -> str:
    """Digest of everything that affects training results; `source` and `code` are digests.

    `references` are files beside the source that judge the lists.
    """
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    digests = [reference.digest if reference else None for reference in references]
    return store.key_of([settings, source, digests, code, libraries])


def is_up_to_date(run_fingerprint: str, champion: Champion | None) -> bool:
    """Whether a run with this fingerprint would train the champion's models again."""
    return champion is not None and champion.fingerprint == run_fingerprint
