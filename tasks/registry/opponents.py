"""Registry -> the versions that a new one is compared with, and what its promotion would lose."""

from pydantic import BaseModel

from tasks.core.contracts import DocumentsRef
from tasks.core.orchestration.retry import io_task
from tasks.registry.challenge import Opponent, best_opponents, to_opponent
from tasks.registry.champion_check import CheckedVersion, check_champion
from tasks.registry.gate_record import check_best_versions, count_candidates, damage_of
from tasks.registry.refresh import count_dropped


class Opponents(BaseModel, frozen=True):
    """The versions that a challenger is compared with, at one moment.

    `checked` is the current champion; `champion` is the opponent that it is, None where there is
    none or it is damaged. `best` are the best versions kept that are not the champion, `remarks`
    say which of them are damaged. `candidates` were compared with the champion before; `dropped`
    movies of its refreshes are lost if the challenger is promoted.
    """

    checked: CheckedVersion = CheckedVersion()
    champion: Opponent | None = None
    best: tuple[Opponent, ...] = ()
    remarks: tuple[str, ...] = ()
    candidates: int = 0
    dropped: int = 0


@io_task("find-opponents")
def find_opponents(documents: DocumentsRef, fingerprint: str) -> Opponents:
    """The versions to compare a training on these documents with; damaged ones are logged."""
    checked = check_champion()
    opponent = to_opponent(checked)
    if opponent is None:
        return Opponents(checked=checked)
    champion, best = opponent.champion, check_best_versions(opponent.champion)
    return Opponents(
        checked=checked,
        champion=opponent,
        best=tuple(best_opponents(champion, best)),
        remarks=tuple(damage_of(best)),
        candidates=count_candidates(champion, fingerprint),
        dropped=count_dropped(champion, documents),
    )
