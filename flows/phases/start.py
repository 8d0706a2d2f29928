"""Before the first phase: whether there is anything to train, and the MLflow run."""

from prefect.states import Completed

from flows.config import TrainConfig
from flows.runtime.resume_commands import command_of
from tasks.core.contracts import RunRef
from tasks.core.storage import store
from tasks.core.storage.cache import open_cache
from tasks.core.storage.code_version import code_version
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.data.ingest import digests_of, resolve_sources, source_digest
from tasks.data.source_check import check_source
from tasks.registry.champion_check import load_checked_champion
from tasks.registry.fingerprint import fingerprint, is_up_to_date
from tasks.registry.retention import clean_up
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.runs import close_dead_runs, open_run
from tasks.reports.report import tag_flow_run

SKIPPED = "Skipped: the champion was trained on this source with these settings and this code."
TRAINING = "flows.train"  # the module whose code trains


def is_champion_up_to_date(config: TrainConfig) -> bool:
    """Whether the champion was trained on the same source, with the same settings and code."""
    sources = resolve_sources(config.source, config.ingest)
    digest = source_digest(digests_of(sources, config.ingest))
    references = (find_ratings(config.source), find_known_items(config.source))
    expected = fingerprint(config.training_settings, digest, references, code_version(TRAINING))
    return is_up_to_date(expected, load_checked_champion().champion)


def skip_run(config: TrainConfig) -> str:
    """Close what dead runs left behind, clean up, and end the flow run in the state `Skipped`."""
    close_dead_runs(connect(), experiment_id(connect()))
    clean_up(config.retention)
    return Completed(name="Skipped", message=SKIPPED, data=SKIPPED)  # type: ignore[return-value]


def start_run(config: TrainConfig) -> RunRef:
    """Check the source, then open the MLflow run and the cache.

    Raises:
        UserError: nothing can be trained on the source, or the artifacts cannot be written.
    """
    store.require_writable()
    check_source(config.source, config.ingest, config.text, config.label)
    run = open_run(config.model_dump(mode="json"), run_tags(config))
    open_cache(config.refresh)
    names = [config.preset, config.source_name]
    tag_flow_run([*names, "keywords-as-feature"] if config.text.keywords else names)
    return run


def run_tags(config: TrainConfig) -> dict[str, str]:
    """MLflow tags by which runs are filtered, and the command that repeats the run."""
    tags = {"preset": config.preset, "source": config.source_name, "protocol": config.protocol}
    tags["keywords"] = "feature" if config.text.keywords else "judgement"
    return tags | {"code": code_version(TRAINING), "command": command_of("train", config)}
