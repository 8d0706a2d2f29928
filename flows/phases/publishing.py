"""Recommender, decision -> tracked scores, a registered version, and the run's report."""

from contextlib import suppress
from dataclasses import dataclass

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import as_input, without_edge
from flows.phases.promotion import Decision, compare_with_champion, fingerprint_of, is_outdated
from flows.phases.recommender import Recommender
from flows.runtime.publication import completing
from tasks.core.contracts import FiguresRef, RunRef, ScoresRef, UserError
from tasks.recommend.title_choice import example_title
from tasks.registry.aliases import champion_lock
from tasks.registry.champion import Champion, load_champion
from tasks.registry.refresh import carry_over
from tasks.registry.retention import clean_up
from tasks.registry.tracking.registered_model import register
from tasks.registry.tracking.results import track_gate, track_results
from tasks.registry.tracking.runs import publication_text
from tasks.reports.drawing import draw_lists
from tasks.reports.report import report
from tasks.reports.summary import Summary


@dataclass(frozen=True)
class Evaluation:
    """Scores of the run, figures of them, and the metrics logged so far.

    Scores of the comparison with the champion are in `Decision`.
    """

    scores: list[ScoresRef]
    figures: list[FiguresRef]
    metrics: dict[str, float]


def publish(
    config: TrainConfig, run: RunRef, data: Documents, recommender: Recommender, decision: Decision
) -> Summary:
    """Track the results, register the version, write the report and clean up."""
    evaluation = track_evaluation(config, run, data, recommender, decision)
    version = describe_version(config, run, data, recommender)
    published = register_version(config, run, data, recommender, decision, version)
    metrics = evaluation.metrics
    while published is None:  # another version was promoted or refused after the decision
        decision = compare_with_champion(config, data, recommender)
        metrics |= track_gate(run, list(decision.compared))
        published = register_version(config, run, data, recommender, decision, version)
    summary = Summary(
        protocol=config.protocol,
        scores=metrics,
        ingested=data.ingested,
        index=published.index,
        run=run,
        model_version=published.version,
        outcome=decision.promotion.outcome,
        why=decision.promotion.why,
        keywords_in_text=config.text.keywords,
        example=example_of_champion(),
    )
    with completing(publication_text(published.version, decision.promotion.promote)):
        path = report(summary, [*evaluation.scores, *decision.compared], evaluation.figures)
    clean_up(config.retention)
    return summary.model_copy(update={"report": path})


def example_of_champion() -> str:
    """A title for which the champion recommends movies; empty if no champion can be read."""
    with suppress(UserError, OSError):
        return example_title(load_champion().index)
    return ""


def track_evaluation(
    config: TrainConfig, run: RunRef, data: Documents, recommender: Recommender, decision: Decision
) -> Evaluation:
    """Wait for all scores and figures, and log them with the models to MLflow."""
    scores = [*(part.result() for part in recommender.scores), *filter(None, [data.source.drift])]
    all_scores = [*scores, *decision.compared]
    drawn = [*recommender.figures, draw_lists.submit(all_scores)]
    figures = [part.result() for part in drawn]
    metrics = track_results.submit(
        run=run,
        documents=as_input(data.documents),
        vectors=as_input(recommender.vectors),
        doc2vec=as_input(recommender.doc2vec),
        classifier=as_input(recommender.classifier),
        lexicon=as_input(recommender.transformer),
        evaluated=all_scores,
        figures=figures,
        protocol=config.protocol,
    )
    return Evaluation(scores, figures, metrics.result())


def describe_version(
    config: TrainConfig, run: RunRef, data: Documents, recommender: Recommender
) -> Champion:
    """The record of the new version, before it has a number."""
    return Champion(
        index=recommender.index.result(),
        rank=config.rank,
        run_id=run.run_id,
        source=data.ingested.digest,
        fingerprint=fingerprint_of(config, data),
        digests=recommender.folders().digests(),
        index_config=config.index.model_dump_json(),
    )


def register_version(
    config: TrainConfig,
    run: RunRef,
    data: Documents,
    recommender: Recommender,
    decision: Decision,
    version: Champion,
) -> Champion | None:
    """Register the version, as champion where the decision says so.

    Returns None, and registers nothing, if the decision is outdated.
    """
    folders, promotion = recommender.folders(), decision.promotion
    version = version.model_copy(update={"best": dict(promotion.best)})
    with champion_lock():
        if is_outdated(without_edge(decision), version.fingerprint):
            return None
        if decision.champion and promotion.outcome != "rejected":  # borderline: may be approved
            index = carry_over(
                index=version.index,
                documents=data.documents.result(),
                champion=decision.champion,
                folders=folders,
                config=config.index,
            )
            version = version.model_copy(update={"index": index})
        number = register(run, folders=folders, reader=version, promotion=promotion)
        return version.model_copy(update={"version": number})
