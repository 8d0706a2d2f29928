"""Recommender, current champion -> whether the new version becomes the champion."""

from dataclasses import dataclass

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import as_input
from flows.phases.recommender import Recommender
from tasks.core.contracts import ScoresRef
from tasks.registry.challenge import challenge
from tasks.registry.champion import Champion
from tasks.registry.champion_check import check_champion
from tasks.registry.gate import (
    PromotionDecision,
    decide_promotion,
    decision_without_champion,
)
from tasks.registry.gate_record import load_gate_record
from tasks.registry.refresh import count_dropped

LEAKY_SCORES = PromotionDecision(outcome="rejected", why="its scores leak")


@dataclass(frozen=True)
class Decision:
    """The promotion decision, the scores behind it, and the champion that it is about.

    `version` is empty without a champion; `champion` is None where none can be compared with.
    """

    promotion: PromotionDecision
    compared: list[ScoresRef]
    version: str
    champion: Champion | None = None


def compare_with_champion(
    config: TrainConfig, data: Documents, recommender: Recommender
) -> Decision:
    """Compare the recommender with the champion."""
    data.checked.result()  # raises before anything is compared or registered
    recommender.lists.wait()  # so that the champion is read as late as possible
    return decide(config, data, recommender)


def decide(config: TrainConfig, data: Documents, recommender: Recommender) -> Decision:
    """Compare the recommender with the champion of this moment, on the same movies and queries."""
    current = check_champion()
    champion = current.champion
    if config.protocol != "held-out":
        return Decision(LEAKY_SCORES, [], current.version)
    if champion is None or current.folders is None:
        return Decision(decision_without_champion(current), [], current.version)
    compared = challenge.submit(
        documents=as_input(data.documents),
        challenger=recommender.folders(),
        lists=as_input(recommender.lists),
        ratings=data.ratings,
        known_items=data.known_items,
        champion=champion,
        folders=current.folders,
        keys=current.fitted_keys,
        compute=data.compute,
    )
    dropped = count_dropped.submit(champion, as_input(data.documents))
    promotion = decide_promotion.submit(
        compared=as_input(compared),
        dropped=as_input(dropped),
        config=config.gate,
        same_source=champion.source == data.ingested.digest,
        record=load_gate_record(champion),
        compared_with=champion.run_id,
    ).result()
    return Decision(promotion, [compared.result()], current.version, champion)
