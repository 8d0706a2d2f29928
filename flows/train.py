"""train: the retraining DAG, from a raw movie catalogue to a published recommender."""

from pathlib import Path
from typing import Any

from prefect import flow, unmapped
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console
from rich.table import Table

from flows.cli import DONE, main
from flows.config import TrainConfig
from flows.server import prefect_server
from tasks.baselines import baselines
from tasks.cache import open_cache, prune_cache
from tasks.champion import Champion, ModelFolders
from tasks.classify import fit_classifier, predict_genres
from tasks.describe import describe, fit_lexicon
from tasks.embed import check_vectors, embed, fit_doc2vec
from tasks.evaluate import evaluate
from tasks.index import build_index
from tasks.ingest import ingest, open_all
from tasks.label import label
from tasks.preprocess import check_documents, preprocess
from tasks.progress import gather
from tasks.ranking import evaluate_lists
from tasks.report import (
    Summary,
    next_commands,
    notes,
    report,
    report_quarantine,
    score_rows,
    tag_flow_run,
)
from tasks.source import ratings_beside
from tasks.store import join, locate
from tasks.track import fail_run, open_run, register, track_results, track_source

#: What bounds memory: so many chunks are worked on at a time, however long the source is.
CHUNKS_IN_FLIGHT: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=4)
MODEL_CODE = str(Path(__file__).with_name("model.py"))


def close_run(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """A flow run that did not complete must not leave its MLflow run open."""
    fail_run(str(flow_run.id))


@flow(
    name="train",
    flow_run_name="train-{config.preset}-{config.source_name}",
    task_runner=CHUNKS_IN_FLIGHT,  # type: ignore[arg-type]
    on_failure=[close_run],
    on_crashed=[close_run],
    on_cancellation=[close_run],
)
def train(config: TrainConfig) -> Summary:
    """Source to published recommender: the whole retraining DAG."""
    protocol = config.protocol
    run = open_run(
        config.model_dump(mode="json"),
        {"preset": config.preset, "source": config.source_name, "protocol": protocol},
    )
    open_cache(config.refresh)
    tag_flow_run([config.preset, config.source_name])
    ingested = ingest(config.source, config.ingest)
    report_quarantine(ingested)
    track_source(run, ingested)
    compute = config.compute(len(ingested.chunks))
    tokenised = preprocess.map(ingested.chunks, unmapped(config.text), unmapped(compute))
    chunks = gather("preprocess", tokenised, ingested.kept)
    documents = join(chunks)
    labels = label(documents, config.label)
    reference = baselines.submit(documents, labels, config.baseline, compute)
    checked = check_documents.submit(documents, config.text, compute)
    doc2vec = fit_doc2vec(documents, config.doc2vec, config.text, compute)
    inferred = embed.map(chunks, unmapped(doc2vec), unmapped(compute))
    vectors = join(gather("embed", inferred, ingested.kept))
    checked.result()
    checks = check_vectors.submit(documents, vectors, doc2vec, compute)
    weighed = fit_lexicon.submit(documents, vectors, labels, compute)
    classifier = fit_classifier(documents, vectors, labels, config.classifier, compute)
    probabilities = predict_genres(classifier, vectors)
    lexicon = weighed.result()
    judged = (documents, labels, classifier, probabilities, reference.result())
    scored = evaluate.submit(*judged, protocol)
    rows = describe(documents, vectors, labels, probabilities, lexicon, compute)
    lists = evaluate_lists.submit(rows, ratings_beside(config.source), config.rank, compute)
    published = build_index.submit(rows, config.index, f"run-{run.run_id}", compute)
    evaluated = [part.result() for part in (scored, reference, checks, lists)]
    index = published.result()
    models = (doc2vec, classifier, lexicon)
    found = track_results(run, documents, vectors, *models, evaluated, protocol)
    promote = protocol == "held-out"
    reader = Champion(index=index, rank=config.rank, run_id=run.run_id)
    folders = ModelFolders.of(*map(locate, models))
    version = register(run, folders, reader, MODEL_CODE, promote)
    summary = Summary(
        protocol=protocol,
        scores=found,
        ingested=ingested,
        index=index,
        run=run,
        model_version=version,
        champion=promote,
    )
    report(summary)
    prune_cache(config.cache_gb)
    return summary


def show(summary: Summary) -> None:
    """Print the scores and where to look next."""
    console = Console()
    table = Table(title=f"{summary.ingested.source}: {summary.protocol} protocol")
    for column in ("score", "this run", "TF-IDF", "prior"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for row in score_rows(summary.scores, summary.protocol):
        table.add_row(*row)
    console.print(table)
    for line in notes(summary):
        console.print(line)
    console.print("Next:", *next_commands(summary), sep="\n  ", soft_wrap=True)


def command(config: TrainConfig) -> int:
    """Train from the terminal; a source that cannot be read is refused before anything starts."""
    opened = open_all(config.source, config.ingest)
    names = ", ".join(file.name for _, files in opened for file in files)
    with prefect_server() as server:
        print(f"Training on {names}, preset {config.preset}. Prefect server: {server}.")
        show(train(config))
    return DONE


if __name__ == "__main__":
    main(TrainConfig, "python -m flows.train", command)
