"""Lists of a catalogue -> table of the behaviours that a viewer expects, and how often they hold.

Behavioural tests of a recommender show faults that a mean relevance hides (Chia et al., 2022,
*RecList*; Ribeiro et al., 2020, *CheckList*).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.recommend.evaluation.behaviour_cases import (
    Case,
    CheckedLists,
    children_without_horror,
    masked_sensible,
    no_favourites,
    same_answer,
    same_title_distinguished,
    sequels_first,
    unrelated_apart,
    words_move_lists,
)

MAX_EXAMPLES = 3  # failing cases that are shown
BEHAVIOUR_SCHEMA = pa.schema(
    [
        ("behaviour", pa.string()),
        ("question", pa.string()),
        ("cases", pa.int64()),
        ("passed", pa.int64()),
        ("share", pa.float64()),
        ("bar", pa.float64()),
        ("failing examples", pa.string()),
    ]
)


class Behaviour(NamedTuple):
    """A behaviour: its name, what is asked, how its cases are made, and the share that must pass.

    `needs` is what a catalogue without a case lacks.
    """

    name: str
    question: str
    cases: Callable[[CheckedLists], list[Case]]
    bar: float
    needs: str


#: Each bar is above what a scorer reaches that ignores what the behaviour is about. Measured on
#: 7,000 and 22,000 movies, default weights against such a scorer: sequels .98 (words alone .73),
#: same title .96 to 1 (votes alone 0), unrelated .995 to 1 (genre, year and votes .8), added words
#: 1 (genre alone .76, votes alone 0), hidden year .92 to .94 (genre, year and votes .2), frequent
#: movies 1 (preset popular 0), children's films .98 to 1 (words alone .42).
BEHAVIOURS = (
    Behaviour(
        "Sequels come first",
        "Is the first movie of the same collection, where the collection has a similar title?",
        sequels_first,
        0.9,
        "collections with two movies of similar title",
    ),
    Behaviour(
        "Films of the same title are distinguished",
        "Do two films of equal title and different year have different lists?",
        same_title_distinguished,
        0.9,
        "films of equal title and different year",
    ),
    Behaviour(
        "Children's films never get horror",
        "Is the list of a family film free of horror films that are not for families?",
        children_without_horror,
        0.9,
        "family films and horror films",
    ),
    Behaviour(
        "Lists of unrelated films do not overlap",
        "Do two films without a common genre share no recommended movie?",
        unrelated_apart,
        0.95,
        "2000 movies with genres",
    ),
    Behaviour(
        "The same question gives the same answer",
        "Is a list the same when asked twice, and among other questions?",
        same_answer,
        1.0,
        "movies",
    ),
    Behaviour(
        "Added words move the list the right way",
        "Does a film move up if a rare word of its story is added to another story?",
        words_move_lists,
        0.9,
        "stories of known words",
    ),
    Behaviour(
        "A film without votes and year gets a sensible list",
        "Does half of the list stay if the year and the votes of the film are hidden?",
        masked_sensible,
        0.85,
        "movies with a year",
    ),
    Behaviour(
        "No movie is in every list",
        "Is each of the 20 most recommended movies in at most 2% of the lists?",
        no_favourites,
        1.0,
        "2000 movies",
    ),
)


def behaviour_table(checked: CheckedLists) -> pa.Table:
    """A row per behaviour: number and share of passing cases, and up to 3 failing examples."""
    rows = [behaviour_row(behaviour, behaviour.cases(checked)) for behaviour in BEHAVIOURS]
    return pa.Table.from_pylist(rows, BEHAVIOUR_SCHEMA)


def behaviour_row(behaviour: Behaviour, cases: list[Case]) -> dict[str, Any]:
    """The table row of a behaviour; without cases it says what the catalogue lacks."""
    n_passed = sum(case.passed for case in cases)
    failing = [case.description for case in cases if not case.passed][:MAX_EXAMPLES]
    left_out = f"left out: the catalogue lacks {behaviour.needs}"
    return {
        "behaviour": behaviour.name,
        "question": behaviour.question,
        "cases": len(cases),
        "passed": n_passed,
        "share": n_passed / len(cases) if cases else None,
        "bar": behaviour.bar,
        "failing examples": "; ".join(failing) if cases else left_out,
    }


def behaviour_metrics(table: pa.Table) -> dict[str, float]:
    """`rec_behaviour_passed`: share of the behaviours with cases that reach their bar."""
    checked = [row for row in table.to_pylist() if row["cases"]]
    if not checked:
        return {}
    n_passed = sum(row["share"] >= row["bar"] for row in checked)
    return {"rec_behaviour_passed": n_passed / len(checked)}
