"""train: the retraining DAG, from a raw movie catalogue to a published recommender."""

from prefect import flow

from flows.config import TrainConfig
from flows.phases.documents import prepare_documents
from flows.phases.embeddings import train_embeddings
from flows.phases.genres import train_classifier
from flows.phases.promotion import compare_with_champion
from flows.phases.publishing import publish
from flows.phases.recommender import build_recommender
from flows.phases.start import flow_run_tags, reason_to_skip, skip_run, start_run
from flows.phases.task_runner import TASK_THREADS, DataflowTaskRunner
from flows.runtime.flow_run_tags import tag_flow_run
from flows.runtime.hooks import on_run_completion, on_run_failure, record_signals
from tasks.reports.summary import Summary


@flow(
    name="train",
    flow_run_name="train-{config.preset}-{config.source_name}-{config.clock}",
    task_runner=DataflowTaskRunner(max_workers=TASK_THREADS),  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[on_run_completion],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def train(config: TrainConfig) -> Summary | str:
    """Source to published recommender: the retraining DAG. A text says why it was skipped.

    The first four phases submit tasks that wait for each other's futures, so that independent
    tasks run at the same time.
    """
    tag_flow_run(flow_run_tags(config))
    if config.skip_unchanged and (reason := reason_to_skip(config)):
        return skip_run(config, reason)
    run = start_run(config)
    data = prepare_documents(config, run)
    embeddings = train_embeddings(config, data)
    genres = train_classifier(config, data, embeddings)
    recommender = build_recommender(config, run, data, embeddings, genres)
    decision = compare_with_champion(config, data, recommender)
    return publish(config, run, data, recommender, decision)


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("train")
