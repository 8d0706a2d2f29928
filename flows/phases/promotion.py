"""Recommender, current champion -> whether the new version becomes the champion."""

from dataclasses import dataclass, replace

from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import as_input
from flows.phases.recommender import Recommender
from tasks.core.contracts import RunRef, ScoresRef
from tasks.data.drift import check_drift
from tasks.registry.challenge import (
    PromotionDecision,
    challenge,
    decide_promotion,
    decision_without_champion,
)
from tasks.registry.champion import Champion
from tasks.registry.champion_check import check_champion
from tasks.registry.tracking.source import track_profile

LEAKY_SCORES = PromotionDecision(promote=False, why="its scores leak")


@dataclass(frozen=True)
class Decision:
    """The promotion decision, the scores behind it, and the champion that it is about.

    `version` is empty without a champion; `champion` is None where none can be compared with.
    `drift` is empty without a champion whose source is known.
    """

    promotion: PromotionDecision
    compared: list[ScoresRef]
    version: str
    champion: Champion | None = None
    drift: tuple[ScoresRef, ...] = ()


def compare_with_champion(
    config: TrainConfig, run: RunRef, data: Documents, recommender: Recommender
) -> Decision:
    """Compare the source and the recommender with those of the champion."""
    drift = start_drift_check(config, run, data)
    data.checked.result()  # raises before anything is compared or registered
    recommender.lists.wait()  # so that the champion is read as late as possible
    decision = decide(config, data, recommender)
    return replace(decision, drift=tuple(scores.result() for scores in drift))


def start_drift_check(
    config: TrainConfig, run: RunRef, data: Documents
) -> list[PrefectFuture[ScoresRef]]:
    """Start comparing the source with the champion's; nothing without a champion."""
    track_profile.submit(run, as_input(data.profile)).result()
    current = check_champion()
    if current.folders is None or current.profile is None:
        return []
    documents, profile = as_input(data.documents), as_input(data.profile)
    doc2vec = current.folders.doc2vec
    return [check_drift.submit(documents, profile, current.profile, doc2vec, config.drift)]


def decide(config: TrainConfig, data: Documents, recommender: Recommender) -> Decision:
    """Compare the recommender with the champion of this moment, on the same movies and queries."""
    current = check_champion()
    if config.protocol != "held-out":
        return Decision(LEAKY_SCORES, [], current.version)
    if current.champion is None or current.folders is None:
        return Decision(decision_without_champion(current), [], current.version)
    compared = challenge.submit(
        documents=as_input(data.documents),
        challenger=recommender.folders(),
        lists=as_input(recommender.lists),
        ratings=data.ratings,
        known_items=data.known_items,
        champion=current.champion,
        folders=current.folders,
        compute=data.compute,
    )
    is_same_source = current.champion.source == data.ingested.digest
    promotion = decide_promotion.submit(as_input(compared), config.gate, is_same_source).result()
    return Decision(promotion, [compared.result()], current.version, current.champion)
