"""train: the retraining DAG, from a raw movie catalogue to a published recommender."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from prefect import flow, unmapped
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

import tasks
from flows.config import TrainConfig
from flows.phases.futures import as_input
from flows.runtime.hooks import on_run_failure, record_signals
from flows.runtime.resume_commands import command_of
from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, ProfileRef, RatingsRef, RunRef, ScoresRef
from tasks.core.progress import gather
from tasks.core.storage import store
from tasks.core.storage.cache import open_cache
from tasks.core.storage.store import join, locate
from tasks.data.drift import check_drift, profile_source
from tasks.data.ingest import digests_of, ingest, resolve_sources, source_digest
from tasks.data.labels import label
from tasks.data.preprocess import check_documents, preprocess
from tasks.data.source_check import check_source
from tasks.data.sources import find_ratings
from tasks.embedding.inference import embed
from tasks.embedding.training import fit_doc2vec
from tasks.embedding.vector_checks import check_vectors
from tasks.genres.baselines import baselines
from tasks.genres.classifier import fit_classifier, predict_genres
from tasks.genres.evaluation import evaluate
from tasks.recommend.evaluation.list_evaluation import evaluate_lists
from tasks.recommend.index import build_index
from tasks.recommend.index_features import build_index_rows, fit_transformer
from tasks.recommend.model_folders import ModelFolders
from tasks.registry.aliases import champion_lock
from tasks.registry.challenge import (
    PromotionDecision,
    challenge,
    decide_promotion,
    decision_without_champion,
)
from tasks.registry.champion import Champion
from tasks.registry.champion_check import check_champion, is_current_champion, load_checked_champion
from tasks.registry.fingerprint import code_digest, fingerprint, is_up_to_date
from tasks.registry.refresh import carry_over
from tasks.registry.retention import clean_up
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.registered_model import Promotion, register
from tasks.registry.tracking.results import track_gate, track_results
from tasks.registry.tracking.runs import close_dead_runs, open_run
from tasks.registry.tracking.source import track_profile, track_source
from tasks.reports.drawing import draw_lists, draw_map, draw_scores, draw_training
from tasks.reports.report import report, report_quarantine, tag_flow_run
from tasks.reports.summary import Summary

#: What bounds memory: so many chunks are worked on at a time, however long the source is.
CHUNKS_IN_FLIGHT: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=4)
SKIPPED = "Skipped: the champion has learnt this source with these settings and this code."
CODE = [Path(__file__).parent, Path(tasks.__file__).parent]


@flow(
    name="train",
    flow_run_name="train-{config.preset}-{config.source_name}",
    task_runner=CHUNKS_IN_FLIGHT,  # type: ignore[arg-type]
    on_running=[record_signals],
    on_completion=[record_signals],
    on_failure=[on_run_failure],
    on_crashed=[on_run_failure],
    on_cancellation=[on_run_failure],
)
def train(config: TrainConfig) -> Summary | str:
    """Source to published recommender: the whole retraining DAG; or why nothing was done."""
    protocol = config.protocol
    if config.skip_unchanged and (reason := nothing_to_learn(config)):
        close_dead_runs(connect(), experiment_id(connect()))
        clean_up(config.retention)
        return Completed(name="Skipped", message=reason, data=reason)  # type: ignore[return-value]
    store.require_writable()
    check_source(config.source, config.ingest, config.text, config.label)
    run = open_run(config.model_dump(mode="json"), tags_of(config))
    open_cache(config.refresh)
    tag_flow_run([config.preset, config.source_name])
    ingested = ingest(config.source, config.ingest)
    report_quarantine(ingested)
    track_source(run, ingested)
    ratings = find_ratings(config.source)
    compute = config.compute(len(ingested.chunks))
    tokenised = preprocess.map(ingested.chunks, unmapped(config.text), unmapped(compute))
    chunks = gather("preprocess", tokenised, ingested.kept)
    documents = join(chunks)
    profiled = profile_source.submit(documents)
    labels = label(documents, config.label)
    reference = baselines.submit(documents, labels, config.baseline, config.text, compute)
    checked = check_documents.submit(documents, config.text, compute)
    doc2vec = fit_doc2vec(documents, config.doc2vec, config.text, compute)
    moved = drifted(config, documents, profiled.result(), run)
    inferred = embed.map(chunks, unmapped(doc2vec), unmapped(compute))
    vectors = join(gather("embed", inferred, ingested.kept))
    checked.result()
    checks = check_vectors.submit(documents, vectors, doc2vec, compute)
    weighed = fit_transformer.submit(documents, vectors, labels, compute)
    classifier = fit_classifier(documents, vectors, labels, config.classifier, compute)
    probabilities = predict_genres(classifier, vectors)
    lexicon = weighed.result()
    judged = (documents, labels, classifier, probabilities, reference.result())
    scored = evaluate.submit(*judged, protocol)
    rows = build_index_rows(documents, vectors, labels, probabilities, lexicon, compute)
    ranked = evaluate_lists.submit(rows, ratings, config.rank, compute)
    drawn = [draw_map.submit(rows, compute)]
    drawn.append(draw_training.submit(documents, doc2vec, classifier, protocol))
    drawn.append(draw_scores.submit(as_input(scored), as_input(reference), protocol))
    built = build_index.submit(rows, config.index, run.index_tag, compute)
    models = (doc2vec, classifier, lexicon)
    folders = ModelFolders.of(*map(locate, models))
    lists = ranked.result()
    evaluated = [part.result() for part in (scored, reference, checks)] + [lists]
    challenger = Challenger(documents, folders, lists, ratings, ingested.digest)
    decision = against_champion(config, challenger, compute)
    evaluated += [part.result() for part in moved]
    index = built.result()
    drawn.append(draw_lists.submit(evaluated + decision.compared, config.rank))
    figures = [part.result() for part in drawn]
    logged = evaluated + decision.compared
    scores = track_results(run, documents, vectors, *models, logged, figures, protocol)
    mark = fingerprint(config.training_settings, ingested.digest, ratings, running_code())
    reader = Champion(
        index=index,
        rank=config.rank,
        run_id=run.run_id,
        source=ingested.digest,
        fingerprint=mark,
        digests=folders.digests(),
        index_config=config.index.model_dump_json(),
    )
    published = publish(config, run, challenger, reader, decision)
    while published is None:  # another one was promoted meanwhile
        decision = against_champion(config, challenger, compute)
        scores |= track_gate(run, decision.compared)
        published = publish(config, run, challenger, reader, decision)
    verdict = decision.verdict
    summary = Summary(
        protocol=protocol,
        scores=scores,
        ingested=ingested,
        index=published.index,
        run=run,
        model_version=published.version,
        champion=verdict.promote,
        why=verdict.why,
    )
    place = report(summary, evaluated + decision.compared, figures)
    clean_up(config.retention)
    return summary.model_copy(update={"report": place})


class Challenger(NamedTuple):
    """What a run would publish, for the comparison with the champion."""

    documents: DocumentsRef
    folders: ModelFolders
    lists: ScoresRef
    ratings: RatingsRef | None
    source_digest: str


class Decision(NamedTuple):
    """The gate's verdict, its scores, and what was champion when it was reached.

    `version` is empty without a champion; `champion` is None where it cannot be compared with.
    """

    verdict: PromotionDecision
    compared: list[ScoresRef]
    version: str
    champion: Champion | None = None


def publish(
    config: TrainConfig, run: RunRef, challenger: Challenger, reader: Champion, decision: Decision
) -> Champion | None:
    """Register a version, as the champion where the gate says so.

    None where the champion is not the one that the decision was about: nothing is registered.
    """
    verdict = decision.verdict
    with champion_lock():
        if not is_current_champion(decision.version):
            return None
        if verdict.promote:
            index = carry_over(
                reader.index,
                challenger.documents,
                decision.champion,
                challenger.folders,
                config.index,
            )
            reader = reader.model_copy(update={"index": index})
        promotion = Promotion(verdict.promote, verdict.why, verdict.passed_over)
        version = register(run, challenger.folders, reader, promotion)
        return reader.model_copy(update={"version": version})


@lru_cache(maxsize=1)
def running_code() -> str:
    """Digest of the code, read once a process: what changes on disk later is not what runs."""
    return code_digest(CODE)


def tags_of(config: TrainConfig) -> dict[str, str]:
    """What runs are found by in MLflow, and what it takes to do one again."""
    tags = {"preset": config.preset, "source": config.source_name, "protocol": config.protocol}
    return tags | {"code": running_code(), "command": command_of("train", config)}


def drifted(
    config: TrainConfig, documents: DocumentsRef, profile: ProfileRef, run: RunRef
) -> list[PrefectFuture[ScoresRef]]:
    """The comparison of the source with the champion's, under way; none without a champion."""
    track_profile(run, profile)
    current = check_champion()
    if current.folders is None or current.profile is None:
        return []
    doc2vec = current.folders.doc2vec
    return [check_drift.submit(documents, profile, current.profile, doc2vec, config.drift)]


def against_champion(config: TrainConfig, challenger: Challenger, compute: Compute) -> Decision:
    """Whether the challenger becomes champion, and what was measured to say so."""
    current = check_champion()
    if config.protocol != "held-out":
        return Decision(
            PromotionDecision(promote=False, why="its scores leak"), [], current.version
        )
    if current.champion is None or current.folders is None:
        return Decision(decision_without_champion(current), [], current.version)
    compared = challenge(
        challenger.documents,
        challenger.folders,
        challenger.lists,
        challenger.ratings,
        current.champion,
        current.folders,
        compute,
    )
    same_source = current.champion.source == challenger.source_digest
    verdict = decide_promotion(compared, config.gate, same_source)
    return Decision(verdict, [compared], current.version, current.champion)


def nothing_to_learn(config: TrainConfig) -> str | None:
    """Why a run would learn nothing that the champion does not know; None where it would."""
    named = resolve_sources(config.source, config.ingest)
    digest, ratings = (
        source_digest(digests_of(named, config.ingest)),
        find_ratings(config.source),
    )
    mark = fingerprint(config.training_settings, digest, ratings, running_code())
    if not is_up_to_date(mark, load_checked_champion().champion):
        return None
    return SKIPPED


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("train")
