"""Before the first phase: whether there is anything to train, and the MLflow run."""

from collections.abc import Mapping, Sequence

from prefect.states import Completed

from flows.config import TrainConfig
from flows.runtime.notifications import require_block
from flows.runtime.resume_commands import command_of, flags
from tasks.core.contracts import KnownItemsRef, RatingsRef, RunRef
from tasks.core.redaction import redacted
from tasks.core.storage import store
from tasks.core.storage.cache import open_cache
from tasks.core.storage.code_version import code_version
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.data.ingest import digests_of, resolve_sources, source_digest
from tasks.data.source_check import check_source
from tasks.registry.champion_check import load_checked_champion
from tasks.registry.fingerprint import fingerprint, is_up_to_date
from tasks.registry.gate_record import Refused, find_refused
from tasks.registry.retention import clean_up
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.runs import close_dead_runs, open_run

SAME_INPUTS = "was trained on this source with these settings and this code"
TAGGED_SETTINGS = 6  # more are in MLflow's parameters alone
TRAINING = "flows.train"  # the module whose code trains


def reason_to_skip(config: TrainConfig) -> str:
    """Why a training would repeat the champion's or that of a version that it refused; or empty."""
    champion = load_checked_champion().champion
    if champion is None:
        return ""
    sources = resolve_sources(config.source, config.ingest)
    digest = source_digest(digests_of(sources, config.ingest))
    references = (find_ratings(config.source), find_known_items(config.source))
    expected = training_fingerprint(config, digest, references)
    if is_up_to_date(expected, champion):
        return f"Skipped: the champion {SAME_INPUTS}."
    refused = find_refused(connect(), champion, expected, config.gate)
    if refused is None:
        return ""
    return f"Skipped: version {refused.version} {SAME_INPUTS}. {_next_step(refused)}"


def training_fingerprint(
    config: TrainConfig, source: str, references: Sequence[RatingsRef | KnownItemsRef | None]
) -> str:
    """Fingerprint of a training on a source with this digest, and with these files beside it."""
    return fingerprint(config.training_settings, source, references, code_version(TRAINING))


def _next_step(refused: Refused) -> str:
    """What became of a version that was not promoted."""
    if not refused.is_borderline:
        return f"It was not promoted: {refused.why}."
    command = f"movie-recommender release approve {refused.version}"
    return f"It waits for your approval ({refused.why}): {command}"


def skip_run(config: TrainConfig, reason: str) -> str:
    """Close what dead runs left behind, clean up, and end the flow run in the state `Skipped`."""
    close_dead_runs(connect(), experiment_id(connect()))
    clean_up(config.retention)
    return Completed(name="Skipped", message=reason, data=reason)  # type: ignore[return-value]


def start_run(config: TrainConfig) -> RunRef:
    """Check the source, then open the MLflow run and the cache.

    Raises:
        UserError: nothing can be trained on the source, the artifacts cannot be written, or there
            is no such notification block.
    """
    store.require_writable()
    require_block(config.notify)
    check_source(config.source, config.ingest, config.text, config.label)
    run = open_run(config.model_dump(mode="json"), run_tags(config))
    open_cache(config.refresh)
    return run


def flow_run_tags(config: TrainConfig) -> list[str]:
    """Tags of a run in Prefect: preset, source, and the settings that differ from the preset's."""
    changed = config.explicit_settings
    stages = {name: value for name, value in changed.items() if isinstance(value, Mapping)}
    settings = [flag.removeprefix("--") for flag in flags(stages)]
    shown = [*map(redacted, settings[:TAGGED_SETTINGS])]
    more = [f"and {len(settings) - len(shown)} more"] if settings[TAGGED_SETTINGS:] else []
    keywords = ["keywords-as-feature"] if config.text.keywords else []
    return [config.preset, config.source_name, *keywords, *shown, *more]


def run_tags(config: TrainConfig) -> dict[str, str]:
    """MLflow tags by which runs are filtered, and the command that repeats the run."""
    tags = {"preset": config.preset, "source": config.source_name, "protocol": config.protocol}
    tags["keywords"] = "feature" if config.text.keywords else "judgement"
    return tags | {"code": code_version(TRAINING), "command": command_of("train", config)}
