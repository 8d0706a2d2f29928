"""Recommender, current champion -> whether the new version becomes the champion."""

from dataclasses import dataclass
from functools import partial

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import as_input, as_inputs
from flows.phases.recommender import Recommender
from tasks.core.contracts import ScoresRef
from tasks.registry.challenge import best_opponents, challenge, to_opponent
from tasks.registry.champion import Champion
from tasks.registry.champion_check import check_champion
from tasks.registry.gate import (
    PromotionDecision,
    decide_promotion,
    decision_without_champion,
)
from tasks.registry.gate_record import check_best_versions, count_candidates
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
    if config.protocol != "held-out":
        return Decision(LEAKY_SCORES, [], current.version)
    opponent = to_opponent(current)
    if opponent is None:
        return Decision(decision_without_champion(current), [], current.version)
    champion = opponent.champion
    compare = partial(
        challenge.submit,
        documents=as_input(data.documents),
        challenger=recommender.folders(),
        lists=as_input(recommender.lists),
        ratings=data.ratings,
        known_items=data.known_items,
        compute=data.compute,
    )
    compared = compare(opponent=opponent)
    best = best_opponents(champion, check_best_versions(champion))
    with_best = [compare(opponent=version) for version in best]
    dropped = count_dropped.submit(champion, as_input(data.documents))
    promotion = decide_promotion.submit(
        compared=as_input(compared),
        with_best=as_inputs(with_best),
        dropped=as_input(dropped),
        config=config.gate,
        same_source=champion.source == data.ingested.digest,
        candidates=count_candidates(champion),
        champion=champion,
    ).result()
    return Decision(promotion, [compared.result()], current.version, champion)
