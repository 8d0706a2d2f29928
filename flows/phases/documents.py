"""Source -> tokenised documents with their split, a profile of the source, and checks."""

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
)
from tasks.core.progress import gather
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.data.drift import profile_source
from tasks.data.ingest import ingest
from tasks.data.preprocess import check_documents, preprocess
from tasks.registry.tracking.source import track_source
from tasks.reports.report import report_quarantine


@dataclass(frozen=True)
class Documents:
    """The documents of a run, and how its chunks are processed."""

    ingested: IngestRef
    ratings: RatingsRef | None
    known_items: KnownItemsRef | None
    compute: Compute
    chunks: Chunks[DocumentsRef]
    documents: PrefectFuture[DocumentsRef]
    profile: PrefectFuture[ProfileRef]
    checked: PrefectFuture[None]


def prepare_documents(config: TrainConfig, run: RunRef) -> Documents:
    """Ingest the source, turn its chunks into documents, and start what needs documents alone."""
    ingested = ingest(config.source, config.ingest)
    report_quarantine(ingested)
    track_source(run, ingested)
    compute = config.compute(len(ingested.chunks))
    chunks = preprocess.map(ingested.chunks, unmapped(config.text), unmapped(compute))
    documents = join_documents.submit(as_inputs(chunks))
    profile = profile_source.submit(as_input(documents))
    checked = check_documents.submit(as_input(documents), config.text, compute)
    gather("preprocess", chunks, ingested.kept)
    return Documents(
        ingested=ingested,
        ratings=find_ratings(config.source),
        known_items=find_known_items(config.source),
        compute=compute,
        chunks=chunks,
        documents=documents,
        profile=profile,
        checked=checked,
    )
