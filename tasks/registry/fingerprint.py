"""Settings, source, ratings, code and libraries -> a fingerprint, equal for equal trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.contracts import KnownItemsRef, RatingsRef
from tasks.core.storage import store
from tasks.registry.champion import Champion


def fingerprint(
    settings: Mapping[str, Any],
    source: str,
    references: Sequence[RatingsRef | KnownItemsRef | None],
    code: str,
) -> str:
    """Digest of everything that affects training results; `source` and `code` are digests.

    `references` are files beside the source that judge the lists. `code` includes the libraries.
    """
    digests = [reference.digest if reference else None for reference in references]
    return store.key_of([settings, source, digests, code])


def is_up_to_date(run_fingerprint: str, champion: Champion | None) -> bool:
    """Whether a run with this fingerprint would train the champion's models again."""
    return champion is not None and champion.fingerprint == run_fingerprint
