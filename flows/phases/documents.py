"""Source -> tokenised documents with their splits, a profile of the source, and checks."""

from dataclasses import dataclass

from prefect import unmapped
from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.futures import Chunks, as_input, as_inputs, join_documents
from tasks.core.compute import Compute
from tasks.core.contracts import (
    DocumentsRef,
    IngestRef,
    KnownItemsRef,
    ProfileRef,
    RatingsRef,
    RunRef,
    ScoresRef,
)
from tasks.core.progress import gather
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.data.drift import check_drift, profile_source
from tasks.data.ingest import ingest
from tasks.data.leakage import check_documents
from tasks.data.preprocess import preprocess
from tasks.data.splits import assign_splits
from tasks.registry.champion_check import CheckedVersion, check_champion
from tasks.registry.tracking.source import track_profile, track_source, track_splits
from tasks.reports.report import report_quarantine


@dataclass(frozen=True)
class SourceComparison:
    """The source's profile, the champion at the start, and the drift from the champion's source.

    `drift` is empty without a champion whose source is known. A run holds all of it to its end:
    Prefect tells results apart by their addresses, which later results must not take.
    """

    profile: ProfileRef
    champion: CheckedVersion
    drift: tuple[ScoresRef, ...]


@dataclass(frozen=True)
class Documents:
    """The documents of a run, and how its chunks are processed."""

    ingested: IngestRef
    ratings: RatingsRef | None
    known_items: KnownItemsRef | None
    compute: Compute
    chunks: Chunks[DocumentsRef]
    documents: PrefectFuture[DocumentsRef]
    compared: SourceComparison
    checked: PrefectFuture[None]


def prepare_documents(config: TrainConfig, run: RunRef) -> Documents:
    """Ingest the source, turn its chunks into documents, and start what needs documents alone.

    A source that has drifted too far stops the run here, before anything is trained.
    """
    ingested = ingest(config.source, config.ingest)
    report_quarantine(ingested)
    track_source(run, ingested)
    compared = compare_sources(config, run, ingested)
    splits = assign_splits(ingested.chunks, config.text)
    track_splits(run, splits)
    compute = config.compute(len(ingested.chunks))
    chunks = preprocess.map(
        ingested.chunks, splits.chunks, unmapped(config.text), unmapped(compute)
    )
    documents = join_documents.submit(as_inputs(chunks))
    checked = check_documents.submit(as_input(documents), config.text, compute)
    gather("preprocess", chunks, ingested.kept)
    return Documents(
        ingested=ingested,
        ratings=find_ratings(config.source),
        known_items=find_known_items(config.source),
        compute=compute,
        chunks=chunks,
        documents=documents,
        compared=compared,
        checked=checked,
    )


def compare_sources(config: TrainConfig, run: RunRef, ingested: IngestRef) -> SourceComparison:
    """Profile the source and compare it with the champion's."""
    profile = profile_source(ingested.chunks)
    track_profile(run, profile)
    champion = check_champion()
    if champion.folders is None or champion.profile is None:
        return SourceComparison(profile, champion, ())
    doc2vec = champion.folders.doc2vec
    drift = check_drift(ingested.chunks, profile, champion.profile, doc2vec, config.drift)
    return SourceComparison(profile, champion, (drift,))
