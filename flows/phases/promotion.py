"""Recommender, current champion -> whether the new version becomes the champion."""

from pydantic import BaseModel

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.recommender import Recommender
from flows.phases.start import training_fingerprint
from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, KnownItemsRef, RatingsRef, ScoresRef
from tasks.core.orchestration.retry import io_task
from tasks.core.orchestration.stage_task import stage_task
from tasks.recommend.model_folders import ModelFolders
from tasks.registry.challenge import challenge, join_comparisons
from tasks.registry.champion import Champion
from tasks.registry.champion_check import is_current_champion
from tasks.registry.gate import PromotionDecision, decide_by_scores, decision_without_champion
from tasks.registry.gate_record import count_candidates
from tasks.registry.opponents import Opponents, find_opponents

LEAKY_SCORES = PromotionDecision(outcome="rejected", why="its scores leak")


class Challenger(BaseModel, frozen=True):
    """What is compared with the champion: models, evaluated lists, and the movies for both.

    `source` is the digest of the source.
    """

    documents: DocumentsRef
    folders: ModelFolders
    lists: ScoresRef
    ratings: RatingsRef | None
    known_items: KnownItemsRef | None
    source: str
    fingerprint: str


class Decision(BaseModel, frozen=True):
    """The promotion decision, the scores behind it, and the versions that it is about.

    `champion` is the one that the recommender was compared with, if it was with any.
    """

    promotion: PromotionDecision
    opponents: Opponents
    compared: tuple[ScoresRef, ...] = ()
    champion: Champion | None = None


def compare_with_champion(
    config: TrainConfig, data: Documents, recommender: Recommender
) -> Decision:
    """Compare the recommender with the champion, which is read as late as possible."""
    data.checked.result()  # raises before anything is compared or registered
    challenger = Challenger(
        documents=data.documents.result(),
        folders=recommender.folders(),
        lists=recommender.lists.result(),
        ratings=data.ratings,
        known_items=data.known_items,
        source=data.ingested.digest,
        fingerprint=fingerprint_of(config, data),
    )
    return decide_promotion(config, challenger, data.compute)


def fingerprint_of(config: TrainConfig, data: Documents) -> str:
    """Fingerprint of this training."""
    references = (data.ratings, data.known_items)
    return training_fingerprint(config, data.ingested.digest, references)


@io_task("check-decision")
def is_outdated(decision: Decision, fingerprint: str) -> bool:
    """Whether the champion has changed, or candidates were compared with it since the decision.

    Call it under `champion_lock`.
    """
    opponents, champion = decision.opponents, decision.champion
    if not is_current_champion(opponents.checked.version):
        return True
    return champion is not None and count_candidates(champion, fingerprint) > opponents.candidates


@stage_task("decide-promotion")
def decide_promotion(config: TrainConfig, challenger: Challenger, compute: Compute) -> Decision:
    """Compare with the champion of this moment on the same movies and queries, and decide."""
    opponents = find_opponents(challenger.documents, challenger.fingerprint)
    if config.protocol != "held-out":
        return Decision(promotion=LEAKY_SCORES, opponents=opponents)
    if opponents.champion is None:
        promotion = decision_without_champion(opponents.checked)
        return Decision(promotion=promotion, opponents=opponents)
    champion = opponents.champion.champion
    compared = compare(challenger, opponents, compute)
    promotion = decide_by_scores(
        compared=compared,
        config=config.gate,
        same_source=champion.source == challenger.source,
        candidates=opponents.candidates,
        champion=champion,
        dropped=opponents.dropped,
        remarks=opponents.remarks,
    )
    return Decision(
        promotion=promotion, opponents=opponents, compared=(compared,), champion=champion
    )


def compare(challenger: Challenger, opponents: Opponents, compute: Compute) -> ScoresRef:
    """Comparisons of the challenger with the champion and with the best versions kept.

    One follows the other, since each evaluates all lists.
    """
    champion, *best = [
        challenge(
            documents=challenger.documents,
            challenger=challenger.folders,
            lists=challenger.lists,
            ratings=challenger.ratings,
            known_items=challenger.known_items,
            opponent=opponent,
            compute=compute,
        )
        for opponent in filter(None, (opponents.champion, *opponents.best))
    ]
    return join_comparisons(champion, best) if best else champion
