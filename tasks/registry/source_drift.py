"""Source, champion -> the drift of the source from the champion's, before anything is trained."""

from collections.abc import Sequence

from tasks.core.contracts import MoviesRef, ScoresRef
from tasks.core.orchestration.retry import io_task
from tasks.data.drift import DriftConfig, measure_drift, profile_source
from tasks.registry.champion_check import check_champion


@io_task("check-drift")
def check_drift(chunks: Sequence[MoviesRef], config: DriftConfig) -> ScoresRef | None:
    """Compare the source with the champion's; None without a champion whose source is known.

    Raises:
        UserError: the drift exceeds `stop_above`, or the champion is of another artifacts root.
    """
    champion = check_champion()
    if champion.folders is None or champion.profile is None:
        return None
    return measure_drift(
        chunks=chunks,
        profile=profile_source(chunks),
        old=champion.profile,
        doc2vec=champion.folders.doc2vec,
        config=config,
    )
