"""Recommender, current champion -> whether the new version becomes the champion."""

from collections.abc import Sequence
from dataclasses import dataclass

from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import as_input, as_inputs
from flows.phases.recommender import Recommender
from flows.phases.start import training_fingerprint
from tasks.core.contracts import ScoresRef
from tasks.registry.challenge import (
    Opponent,
    best_opponents,
    challenge,
    join_comparisons,
    to_opponent,
)
from tasks.registry.champion import Champion
from tasks.registry.champion_check import check_champion, is_current_champion
from tasks.registry.gate import (
    PromotionDecision,
    decide_promotion,
    decision_without_champion,
)
from tasks.registry.gate_record import check_best_versions, count_candidates, damage_of
from tasks.registry.refresh import count_dropped

LEAKY_SCORES = PromotionDecision(outcome="rejected", why="its scores leak")


@dataclass(frozen=True)
class Decision:
    """The promotion decision, the scores behind it, and the champion that it is about.

    `version` is empty without a champion; `champion` is None where none can be compared with.
    `candidates` were compared with the champion before.
    """

    promotion: PromotionDecision
    compared: list[ScoresRef]
    version: str
    champion: Champion | None = None
    candidates: int = 0


def compare_with_champion(
    config: TrainConfig, data: Documents, recommender: Recommender
) -> Decision:
    """Compare the recommender with the champion."""
    data.checked.result()  # raises before anything is compared or registered
    recommender.lists.wait()  # so that the champion is read as late as possible
    return decide(config, data, recommender)


def fingerprint_of(config: TrainConfig, data: Documents) -> str:
    """Fingerprint of this training."""
    references = (data.ratings, data.known_items)
    return training_fingerprint(config, data.ingested.digest, references)


def is_outdated(decision: Decision, fingerprint: str) -> bool:
    """Whether the champion has changed, or candidates were compared with it since the decision.

    Call it under `champion_lock`.
    """
    if not is_current_champion(decision.version):
        return True
    champion = decision.champion
    return champion is not None and count_candidates(champion, fingerprint) > decision.candidates


def decide(config: TrainConfig, data: Documents, recommender: Recommender) -> Decision:
    """Compare the recommender with the champion of this moment, on the same movies and queries."""
    current = check_champion()
    if config.protocol != "held-out":
        return Decision(LEAKY_SCORES, [], current.version)
    opponent = to_opponent(current)
    if opponent is None:
        return Decision(decision_without_champion(current), [], current.version)
    champion, best = opponent.champion, check_best_versions(opponent.champion)
    compared = compare(data, recommender, opponent, best_opponents(champion, best))
    dropped = count_dropped.submit(champion, as_input(data.documents))
    candidates = count_candidates(champion, fingerprint_of(config, data))
    promotion = decide_promotion.submit(
        compared=as_input(compared),
        dropped=as_input(dropped),
        config=config.gate,
        same_source=champion.source == data.ingested.digest,
        candidates=candidates,
        champion=champion,
        remarks=damage_of(best),
    ).result()
    return Decision(promotion, [compared.result()], current.version, champion, candidates)


def compare(
    data: Documents, recommender: Recommender, champion: Opponent, best: Sequence[Opponent]
) -> PrefectFuture[ScoresRef]:
    """Comparisons of the recommender with the champion and with the best versions kept.

    One waits for the other, since each evaluates all lists.
    """
    compared = list[PrefectFuture[ScoresRef]]()
    for opponent in (champion, *best):
        future = challenge.submit(
            documents=as_input(data.documents),
            challenger=recommender.folders(),
            lists=as_input(recommender.lists),
            ratings=data.ratings,
            known_items=data.known_items,
            opponent=opponent,
            compute=data.compute,
            wait_for=compared[-1:],
            return_state=False,
        )
        compared.append(future)
    if not best:
        return compared[0]
    return join_comparisons.submit(as_input(compared[0]), as_inputs(compared[1:]))
