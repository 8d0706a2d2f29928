"""Source -> tokenised documents with their splits, the drift of the source, and checks."""

from dataclasses import dataclass

from prefect.futures import PrefectFuture
from pydantic import BaseModel

from flows.config import TrainConfig
from flows.phases.futures import as_input
from tasks.core.compute import Compute
from tasks.core.contracts import (
    DocumentsRef,
    IngestRef,
    KnownItemsRef,
    RatingsRef,
    RunRef,
    ScoresRef,
)
from tasks.core.orchestration.stage_task import stage_task
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.data.ingest import ingest
from tasks.data.leakage import check_documents
from tasks.data.preprocess import preprocess
from tasks.data.splits import MovieSplits, assign_splits
from tasks.registry.source_drift import check_drift
from tasks.registry.tracking.source import track_source


class Source(BaseModel, frozen=True):
    """The valid movies of a run, their splits, and the drift from the champion's source.

    `drift` is None without a champion whose source is known.
    """

    ingested: IngestRef
    splits: MovieSplits
    drift: ScoresRef | None


@dataclass(frozen=True)
class Documents:
    """The documents of a run, and how its chunks are processed.

    A run holds its source to its end: Prefect tells results apart by their addresses, which later
    results must not take.
    """

    source: Source
    ratings: RatingsRef | None
    known_items: KnownItemsRef | None
    compute: Compute
    documents: PrefectFuture[DocumentsRef]
    checked: PrefectFuture[None]

    @property
    def ingested(self) -> IngestRef:
        """The valid movies."""
        return self.source.ingested


@stage_task("read-source")
def read_source(config: TrainConfig, run: RunRef) -> Source:
    """Ingest and split the source, track it, and compare it with the champion's.

    Raises:
        UserError: the source has drifted too far: the run stops before anything is trained.
    """
    ingested = ingest(config.source, config.ingest)
    splits = assign_splits(ingested.chunks, config.text)
    track_source(run, ingested, splits)
    drift = check_drift(ingested.chunks, config.drift)
    return Source(ingested=ingested, splits=splits, drift=drift)


def prepare_documents(config: TrainConfig, run: RunRef) -> Documents:
    """Read the source, turn its chunks into documents, and check these."""
    source = read_source(config, run)
    chunks, splits = source.ingested.chunks, source.splits.chunks
    compute = config.compute(len(chunks))
    documents = preprocess.submit(chunks, splits, config.text, compute)
    return Documents(
        source=source,
        ratings=find_ratings(config.source),
        known_items=find_known_items(config.source),
        compute=compute,
        documents=documents,
        checked=check_documents.submit(as_input(documents), config.text, compute),
    )
