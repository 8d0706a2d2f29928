"""What a run did -> MLflow: parameters, dataset, metrics, tables, model files and the registry."""

import json
import logging
import os
import platform
import shlex
import socket
import tempfile
import time
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from tasks.core import processes
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    FiguresRef,
    IngestRef,
    ProfileRef,
    RefreshRef,
    RunRef,
    ScoresRef,
    TransformerRef,
    UserError,
    VectorsRef,
)
from tasks.core.locks import file_lock
from tasks.core.redaction import redacted
from tasks.core.retry import io_task
from tasks.core.storage import store
from tasks.core.storage.remote import is_url
from tasks.recommend.model_folders import ModelFolders
from tasks.registry.aliases import move_champion
from tasks.registry.champion import Champion, to_tags
from tasks.registry.champion_check import PROFILE
from tasks.registry.model_registry import (
    MODEL,
    is_own_registry,
    registry_errors,
    require_reachable,
    require_sound_database,
    tracking_uri,
)
from tasks.registry.tracking.model_signature import SIGNATURE

EXPERIMENT = "movie-recommender"
SERVED_MODEL = Path(__file__).parents[1] / "served_model.py"  # imports `tasks` alone, no `flows`
DATABASE_LOCK_SECONDS = 180.0  # making or migrating MLflow's tables takes some ten seconds
SECONDS_BETWEEN_SAMPLES = 5  # of CPU, memory, disk and network
DATASET_NAME_LENGTH, PARAM_LENGTH, TAG_LENGTH = 500, 6000, 8000  # characters that MLflow keeps
BATCH = 1000  # metrics that MLflow takes at once
SHOWN_TABLES = (
    "genres",
    "slices",
    "mistakes",
    "votes_curve",
    "sample_lists",
    "gate",
    "lists_beside",
    "drift",
)
FLOW_RUN_TAG = "prefect.flow_run_id"
PROCESS_TAG, HOST_TAG = "process", "host"
PACKAGES = ("prefect", "mlflow", "gensim", "torch", "scikit-learn", "lancedb", "pandas", "pyarrow")


class Promotion(NamedTuple):
    """Whether a new version becomes the champion, and why.

    `passed_over` says that the champion before it is damaged, and nothing to go back to.
    """

    promote: bool
    why: str
    passed_over: bool = False


def connect() -> mlflow.MlflowClient:
    """Client of the tracking server; the first connection ever also makes the database.

    Raises:
        RegistryError: the server does not answer, or the database is damaged.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(tracking_uri())
    with registry_errors(tracking_uri()):
        return _opened(tracking_uri(), store.artifacts_root())


@lru_cache(maxsize=4)
def _opened(uri: str, root: Path) -> mlflow.MlflowClient:
    """A client of a tracking server, once a process.

    The first use of a database makes its tables; two runs that did so at once would both fail. On a
    root that cannot be written there is nothing to make.
    """
    require_reachable(uri)
    root.mkdir(parents=True, exist_ok=True)
    lock = file_lock(root / "mlflow.lock", "open MLflow's database", DATABASE_LOCK_SECONDS)
    with lock if os.access(root, os.W_OK) else nullcontext():
        client = mlflow.MlflowClient(uri)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    return client


def flatten_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and texts, as MLflow keeps parameters."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flatten_settings(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value)
    return found


def environment_tags() -> dict[str, str]:
    """Versions that a result may depend on."""
    return {"python": platform.python_version()} | {
        f"version.{name}": version(name) for name in PACKAGES
    }


def experiment_id(client: mlflow.MlflowClient) -> str:
    """The experiment of all runs, made on first use with its files under the artifacts root."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    served = tracking_uri().startswith("http")  # a server knows itself where its files go
    location = None if served else store.uri_of("mlruns")
    if location and not is_url(location):
        location = Path(location).as_uri()
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment_id(client)  # another run made it meanwhile


def require_experiment_of_this_root(client: mlflow.MlflowClient, experiment: str) -> None:
    """Raises UserError if the registry under this root still leads to where the root was before.

    MLflow stores where a run's files go as an absolute path: new ones would be written there.
    """
    location = client.get_experiment(experiment).artifact_location
    expected = store.artifacts_root() / "mlruns"
    stored = Path(unquote(urlsplit(location).path)) if location.startswith("file:") else None
    if not is_own_registry() or stored is None or stored == expected:
        return
    if stored.parent.exists() and stored.parent.samefile(expected.parent):
        return
    if stored.parent.exists():
        raise UserError(
            f"{expected.parent} is a copy of {stored.parent}, and its MLflow database still leads "
            f"there. Train with RECOMMENDER_ARTIFACTS={stored.parent}, or in a new, empty root."
        )
    raise UserError(
        f"{expected.parent} was moved from {stored.parent}, where its MLflow database still leads. "
        "Move it back, or leave a link there: "
        + shlex.join(["ln", "-s", str(expected.parent), str(stored.parent)])
    )


@task(name="open-run", cache_policy=NO_CACHE)
def open_run(settings: dict[str, Any], tags: dict[str, str]) -> RunRef:
    """Start the MLflow run of this flow run, so that a run which fails is tracked too."""
    require_sound_database()
    client = connect()
    experiment = experiment_id(client)
    require_experiment_of_this_root(client, experiment)
    close_dead_runs(client, experiment)
    all_tags = environment_tags() | tags | own_process() | {FLOW_RUN_TAG: str(flow_run.id)}
    known_tags = {name: shorten(redacted(value), TAG_LENGTH) for name, value in all_tags.items()}
    # Created with its tags: a run that is killed at once must still be known for a dead one.
    run = client.create_run(experiment, run_name=str(flow_run.name), tags=known_tags)
    params = [
        Param(name, shorten(redacted(value), PARAM_LENGTH))
        for name, value in flatten_settings(settings).items()
    ]
    client.log_batch(run.info.run_id, params=params)
    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run.info.run_id, SECONDS_BETWEEN_SAMPLES, tracking_uri=tracking_uri()
    )
    monitor.start()  # it ends by itself when the run does
    shown_uri = redacted(mlflow.get_tracking_uri())
    return RunRef(run_id=run.info.run_id, experiment_id=experiment, tracking_uri=shown_uri)


def own_process() -> dict[str, str]:
    """Tags that name this process beyond doubt."""
    return {PROCESS_TAG: processes.process_name(), HOST_TAG: socket.gethostname()}


def close_dead_runs(client: mlflow.MlflowClient, experiment: str) -> None:
    """Mark as killed what processes of this machine left running in MLflow when they died."""
    here = f"tags.`{HOST_TAG}` = '{socket.gethostname()}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], here):
        if processes.find_process(run.data.tags[PROCESS_TAG]) is None:
            client.set_terminated(run.info.run_id, "KILLED")


def fail_run(flow_run_id: str, status: str = "FAILED") -> None:
    """Close the unfinished MLflow runs of a flow run that did not complete."""
    client = connect()
    query = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}' AND attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id(client)], query):
        client.set_terminated(run.info.run_id, status)


@io_task("track-source")
def track_source(run: RunRef, ingested: IngestRef) -> None:
    """Log the source's digest as a dataset, and how many rows went where and why."""
    client = connect()
    dataset = Dataset(
        name=shorten(ingested.source, DATASET_NAME_LENGTH),
        digest=ingested.digest[:32],
        source_type="local",
        source=json.dumps({"file": ingested.source, "sha256": ingested.digest}),
        profile=json.dumps({"rows": ingested.rows, "kept": ingested.kept}),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run.run_id, [DatasetInput(dataset, tags)])
    counts = {"kept": ingested.kept, "quarantined": ingested.quarantine.rows}
    reasons = {f"quarantined_{reason}": count for reason, count in ingested.reasons.items()}
    counts |= {"rows": ingested.rows, "unlabelled": ingested.unlabelled}
    counts["unreadable_keywords"] = ingested.unreadable_keywords
    found = counts | reasons
    log_metrics(client, run, {f"source_{name}": float(value) for name, value in found.items()})
    path = store.locate(ingested.quarantine)
    client.log_artifact(run.run_id, str(path), "source")


def shorten(text: str, length: int) -> str:
    """A text of at most `length` characters: the middle of a longer one is left out."""
    if len(text) <= length:
        return text
    head = (length - 3) // 2
    return f"{text[:head]} … {text[-(length - head - 3) :]}"


def log_metrics(
    client: mlflow.MlflowClient, run: RunRef, values: Mapping[str, float], step: int = 0
) -> None:
    """Log final values under their names."""
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value in values.items()]
    client.log_batch(run.run_id, metrics=metrics)


def log_steps(
    client: mlflow.MlflowClient, run: RunRef, history: pa.Table, names: Mapping[str, str]
) -> None:
    """Log passes as steps under `names`; those of a second network as `network_2/…`."""
    now, metrics = int(time.time() * 1000), list[Metric]()
    for row in history.to_pylist():
        prefix = f"network_{row['member'] + 1}/" if row.get("member") else ""
        metrics += [
            Metric(prefix + name, row[column], now, row["epoch"]) for column, name in names.items()
        ]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run.run_id, metrics=metrics[first : first + BATCH])


def log_training(
    client: mlflow.MlflowClient, run: RunRef, doc2vec: Path, classifier: Path, protocol: str
) -> None:
    """Log how both trainings went; a leaky run's scores carry its protocol's name."""
    moves = {"learning_rate": "doc2vec_learning_rate", "drift": "doc2vec_drift"}
    log_steps(client, run, pq.read_table(doc2vec / "history.parquet"), moves)
    losses = {name: name for name in ("train_loss", "val_loss", "val_f1_micro")}
    if protocol != "held-out":
        losses["val_f1_micro"] = f"{protocol}_val_f1_micro"
    log_steps(client, run, pq.read_table(classifier / "history.parquet"), losses)
    training = store.read_json(classifier / "training.json")
    client.set_tag(run.run_id, "device", training.pop("device"))
    log_metrics(client, run, training | store.read_json(doc2vec / "training.json"))


def write_embeddings(documents: DocumentsRef, vectors: VectorsRef, path: Path) -> None:
    """Write `id`, `title`, `genres`, `embedding` of every movie, a row group a chunk."""
    movies = store.chunks(documents, ["source", "id", "title", "genres"])
    embeddings = store.chunks(vectors, ["embedding"])
    writer: pq.ParquetWriter | None = None
    for names, vector in zip(movies, embeddings, strict=True):
        table = names.append_column("embedding", vector["embedding"])
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _embeddings(documents: DocumentsRef, vectors: VectorsRef) -> Path:
    """The stored table of `write_embeddings`."""

    def write(writer: store.EntryWriter) -> VectorsRef:
        write_embeddings(documents, vectors, writer.folder / "movie_embeddings.parquet")
        return writer.file_ref(VectorsRef, "movie_embeddings.parquet", documents.rows)

    key = [documents.digest, vectors.digest]
    return store.locate(store.get_or_create("embeddings", key, VectorsRef, write))


def log_evaluation(client: mlflow.MlflowClient, run: RunRef, ref: ScoresRef) -> dict[str, float]:
    """Log metrics and tables of one evaluation; its metrics."""
    folder = store.locate(ref)
    metrics: dict[str, float] = store.read_json(folder / "metrics.json")
    log_metrics(client, run, metrics)
    for file in sorted(folder.glob("*.parquet")):
        client.log_artifact(run.run_id, str(file), "evaluation")
        if file.stem in SHOWN_TABLES:
            columns = pq.read_table(file).to_pydict()
            client.log_table(run.run_id, columns, f"evaluation/{file.stem}.json")
    return metrics


@io_task("track-results")
def track_results(
    run: RunRef,
    documents: DocumentsRef,
    vectors: VectorsRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    lexicon: TransformerRef,
    evaluated: list[ScoresRef],
    figures: list[FiguresRef],
    protocol: str,
) -> dict[str, float]:
    """Log scores, epochs, tables and model files; the scores come back for the summary."""
    client = connect()
    scores: dict[str, float] = {}
    for ref in evaluated:
        scores |= log_evaluation(client, run, ref)
    for file in (one for ref in (*evaluated, *figures) for one in store.locate(ref).glob("*.png")):
        client.log_artifact(run.run_id, str(file), "evaluation")
    fitted = {"doc2vec": store.locate(doc2vec), "classifier": store.locate(classifier)}
    log_training(client, run, **fitted, protocol=protocol)
    for name, folder in (fitted | {"lexicon": store.locate(lexicon)}).items():
        client.log_artifacts(run.run_id, str(folder), name)
    client.log_artifact(run.run_id, str(_embeddings(documents, vectors)))
    return scores


@io_task("track-gate")
def track_gate(run: RunRef, compared: list[ScoresRef]) -> dict[str, float]:
    """Log the comparison with a champion that was promoted while this run was at work."""
    client, scores = connect(), dict[str, float]()
    for ref in compared:
        scores |= log_evaluation(client, run, ref)
    return scores


@io_task("track-profile")
def track_profile(run: RunRef, profile: ProfileRef) -> None:
    """Log what the source looks like, which later runs compare theirs with."""
    connect().log_artifact(run.run_id, str(store.locate(profile)), Path(PROFILE).parent.as_posix())


@io_task("track-refresh")
def track_refresh(run: RunRef, found: RefreshRef, trained_by: str) -> None:
    """Log how many movies were new and how many known, and whose models they were described by."""
    connect().set_tag(run.run_id, "trained", trained_by)
    counts = {"added": found.added, "updated": found.updated, "rows": found.index.rows}
    metrics = {f"refresh_{name}": float(count) for name, count in counts.items()}
    log_metrics(connect(), run, metrics)


@task(name="register", cache_policy=NO_CACHE)
def register(run: RunRef, folders: ModelFolders, reader: Champion, promotion: Promotion) -> str:
    """Register the model with the tag of its index and finish the run; the new version.

    With `promote`, the alias `champion` moves to it, which is what readers follow: call this under
    `champion_lock`, held since the champion was compared with.
    """
    client = connect()
    with (
        mlflow.start_run(run_id=run.run_id),
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "reader.json"
        file.write_text(reader.model_dump_json())
        warnings.filterwarnings("ignore", ".*input example was not provided")  # a signature is
        logged = mlflow.pyfunc.log_model(
            name="recommender",
            python_model=str(SERVED_MODEL),
            artifacts={
                "reader": str(file),
                **{name: str(path) for name, path in folders.model_dump().items()},
            },
            code_paths=[str(SERVED_MODEL.parents[1])],
            pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
            signature=SIGNATURE,
        )
        log_metrics(client, run, {"index_recall_at_10": reader.index.recall})
        tags = to_tags(reader) | {"why": promotion.why}
        registered = mlflow.register_model(logged.model_uri, MODEL, tags=tags)
        if promotion.promote:
            move_champion(client, str(registered.version), promotion.passed_over)
        client.set_tag(run.run_id, "promoted", str(promotion.promote).lower())
        client.set_tag(run.run_id, "promoted.why", promotion.why)
    return str(registered.version)
