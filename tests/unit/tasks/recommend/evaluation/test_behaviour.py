from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.text import fold
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import weights
from tasks.recommend.evaluation.behaviour import (
    BEHAVIOURS,
    Behaviour,
    behaviour_metrics,
    behaviour_row,
    behaviour_table,
)
from tasks.recommend.evaluation.behaviour_cases import (
    Case,
    CheckedLists,
    children_without_horror,
    distinctive_word,
    masked_sensible,
    no_favourites,
    same_answer,
    same_title_distinguished,
    sequels_first,
    unrelated_apart,
    words_move_lists,
)
from tasks.recommend.features.title_terms import title_terms
from tasks.recommend.scoring import ItemFeatures, RankConfig, TextWeights
from tasks.recommend.text_model import TextModel

BY_TITLE, BY_WORDS, BY_GENRE = weights(title=1.0), weights(words=1.0), weights(genre=1.0)
BY_YEAR, BY_VOTES = weights(year=1.0), weights(votes=1.0)
GENRES = ["Family", "Horror", "War"]
Film = Mapping[str, object]


class WordModel(TextModel):
    """A text model that knows the words of the catalogue and nothing else."""

    def __init__(self) -> None:
        pass

    def documents(
        self,
        titles: Sequence[str],
        overviews: Sequence[str],
        keywords: Sequence[Sequence[str]] | None = None,
    ) -> list[str]:
        return [overview.lower() for overview in overviews]

    def count_known_tokens(self, documents: Sequence[str]) -> list[int]:
        return [len(document.replace("unknown", "").split()) for document in documents]

    def text_features(self, text: str, catalogue: Catalogue) -> ItemFeatures:
        words = text.lower().split()
        return catalogue.text_features(
            content=np.zeros((1, 1), np.float32),
            hidden=np.zeros((1, 1), np.float32),
            genres=np.zeros((1, len(GENRES)), np.float32),
            word_weights=dict.fromkeys(words, len(words) ** -0.5),
        )


def film(title: str, **columns: object) -> Film:
    default = {"year": None, "genres": [], "overview": "", "collection": None, "votes": 0.5}
    return {"title": title, **default, "content": 0.0} | columns


def films(count: int, **columns: object) -> list[Film]:
    """Films of different titles with the same columns."""
    return [film(f"Film {position} {columns}", **columns) for position in range(count)]


def terms(name: str, lists: Sequence[Sequence[str]]) -> dict[str, pa.Array]:
    weight_lists = [[1 / max(1, len(words)) ** 0.5] * len(words) for words in lists]
    return {
        name: pa.array(lists, pa.list_(pa.string())),
        f"{name}_weights": pa.array(weight_lists, pa.list_(pa.float32())),
    }


def vectors(rows: Sequence[Sequence[float]]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.float32()))


def catalogue_of(rows: Sequence[Film]) -> Catalogue:
    """Movies that are compared by the words of their overviews and titles, genres and years."""
    column = {name: [row[name] for row in rows] for name in rows[0]}
    nothing = [[] for _ in rows]
    has_genre = [[float(name in row["genres"]) for name in GENRES] for row in rows]
    return Catalogue(
        pa.table(
            {
                "source": ["m"] * len(rows),
                "id": list(range(len(rows))),
                "title": column["title"],
                "year": pa.array(column["year"], pa.int16()),
                "genres": pa.array(column["genres"], pa.list_(pa.string())),
                "language": pa.nulls(len(rows), pa.string()),
                "title_key": [fold(title) for title in column["title"]],
                "overview_key": [f"{row['overview']}/{row['title']}/{row['year']}" for row in rows],
                "votes": pa.array(column["votes"], pa.float32()),
                "content": vectors([[value] for value in column["content"]]),
                "hidden": vectors([[0.0]] * len(rows)),
                "genre_vector": vectors(has_genre),
                "genre_affinity": vectors(has_genre),
                **terms("words", [text.split() for text in column["overview"]]),
                **terms("title_words", [title_terms(title) for title in column["title"]]),
                **terms("people_terms", nothing),
                **terms("keyword_terms", nothing),
            }
        )
    )


def checked_lists(
    rows: Sequence[Film], config: RankConfig, lists: Mapping[int, Sequence[int]] | None = None
) -> CheckedLists:
    columns = {name: [row[name] for row in rows] for name in ("overview", "collection")}
    schema = pa.schema([(name, pa.string()) for name in columns])
    documents = pa.table(columns, schema)
    return CheckedLists(catalogue_of(rows), config, WordModel(), documents, lists or {})


def passed(cases: Sequence[Case]) -> list[bool]:
    return [case.passed for case in cases]


ROCKY = [
    film("Rocky", collection="Rocky"),
    film("Raging Bull", votes=1.0),
    film("Rocky II", collection="Rocky"),
    film("Creed", collection="Rocky"),
]


def test_sequels_come_first_by_title():
    assert passed(sequels_first(checked_lists(ROCKY, BY_TITLE))) == [True, True]


def test_a_popular_film_before_the_sequels_is_a_failure():
    cases = sequels_first(checked_lists(ROCKY, BY_VOTES))
    assert cases == [
        Case(False, "Rocky: first is Raging Bull"),
        Case(False, "Rocky II: first is Raging Bull"),
    ]


def test_a_collection_of_different_titles_is_no_case_of_sequels():
    rows = [film("Rocky", collection="Rocky"), film("Creed", collection="Rocky")]
    assert sequels_first(checked_lists(rows, BY_TITLE)) == []


CINDERELLAS = [
    film("Cinderella", year=1950, overview="shoe"),
    film("Cinderella", year=2015, overview="rocket"),
    *films(10, overview="shoe"),
    *films(10, overview="rocket"),
]


def test_films_of_the_same_title_have_lists_by_their_stories():
    assert passed(same_title_distinguished(checked_lists(CINDERELLAS, BY_WORDS))) == [True]


def test_the_same_list_for_films_of_the_same_title_is_a_failure():
    description = "Cinderella (1950) and Cinderella (2015) have the same list"
    cases = same_title_distinguished(checked_lists(CINDERELLAS, BY_VOTES))
    assert cases == [Case(False, description)]


def test_a_list_with_the_query_itself_is_a_failure():
    checked = checked_lists(CINDERELLAS, BY_WORDS, lists={0: [0, 2, 3], 1: [12, 13]})
    description = "Cinderella (1950) is in its own list"
    assert same_title_distinguished(checked) == [Case(False, description)]


TOYS = [
    film("Toy Story", genres=["Family"], overview="toy"),
    film("Demonic Toys", genres=["Horror"], overview="toy"),
    *films(11, genres=["Family"], overview="dog"),
]


def test_a_childrens_film_gets_family_films_by_genre():
    cases = children_without_horror(checked_lists(TOYS, BY_GENRE))
    assert passed(cases) == [True] * 12


def test_a_horror_film_in_the_list_of_a_childrens_film_is_a_failure():
    cases = children_without_horror(checked_lists(TOYS, BY_WORDS))
    assert Case(False, "Toy Story: Demonic Toys") in cases


def test_a_horror_film_for_families_suits_children():
    rows = [*TOYS[:1], film("Frankenweenie", genres=["Horror", "Family"], overview="toy")]
    assert passed(children_without_horror(checked_lists(rows, BY_WORDS))) == [True]


def test_a_catalogue_without_horror_has_no_case_of_childrens_films():
    assert children_without_horror(checked_lists(TOYS[2:], BY_GENRE)) == []


@pytest.fixture(scope="module")
def many_films() -> list[Film]:
    """2000 films in groups of 20 with a common word; even groups are war films, odd are horror."""
    return [
        film(
            f"Film {position}",
            genres=[GENRES[1 + position // 20 % 2]],
            overview=f"word{position // 20}",
            votes=position / 2000,
        )
        for position in range(2000)
    ]


def test_lists_by_stories_of_unrelated_films_do_not_overlap(many_films):
    cases = unrelated_apart(checked_lists(many_films, BY_WORDS))
    assert len(cases) == 200
    assert all(passed(cases))


def test_popular_films_in_the_lists_of_unrelated_films_are_a_failure(many_films):
    cases = unrelated_apart(checked_lists(many_films, BY_VOTES))
    assert not any(passed(cases))
    assert "Film 1999" in cases[0].description


def test_films_with_a_common_genre_are_related(many_films):
    rows = [{**row, "genres": ["War"]} for row in many_films]
    assert unrelated_apart(checked_lists(rows, BY_WORDS)) == []


def test_no_movie_is_in_many_lists_by_stories(many_films):
    cases = no_favourites(checked_lists(many_films, BY_WORDS))
    assert passed(cases) == [True] * 20


def test_a_movie_in_every_list_is_a_failure(many_films):
    cases = no_favourites(checked_lists(many_films, BY_VOTES))
    assert not cases[0].passed
    assert cases[0].description.endswith("of the lists")


def test_a_small_catalogue_is_not_checked_for_overlap_and_favourites():
    checked = checked_lists(CINDERELLAS, BY_VOTES)
    assert unrelated_apart(checked) == no_favourites(checked) == []


def test_a_query_alone_has_the_same_list_as_in_a_block():
    cases = same_answer(checked_lists(CINDERELLAS, BY_WORDS))
    assert passed(cases) == [True] * 16


def test_another_list_in_a_block_than_alone_is_a_failure():
    cases = same_answer(checked_lists(ROCKY, BY_TITLE, lists={0: [2, 3, 1]}))
    assert Case(False, "Rocky: its lists differ") in cases


STORIES = [
    film("Jaws", overview="shark sea summer"),
    film("Speed", overview="bus bomb summer"),
    film("Heat", overview="bank robber summer"),
    film("Big", overview="boy piano summer"),
]


def test_a_word_of_another_story_moves_its_film_up():
    rows = [*STORIES, *films(5, overview="summer")]
    cases = words_move_lists(checked_lists(rows, BY_WORDS))
    assert passed(cases) == [True] * len(cases)
    assert cases


def test_a_ranking_that_ignores_words_does_not_move():
    deaf = BY_WORDS.model_copy(update={"text": TextWeights(words=0.0)})
    popular = films(1, overview="summer", votes=1.0)
    cases = words_move_lists(checked_lists([*STORIES, *popular], deaf))
    assert not any(passed(cases))
    assert all("moves from place 2 to 2" in case.description for case in cases)


def test_the_added_word_is_rare_known_and_not_in_the_story():
    frequencies = {"shark": 2, "sea": 1, "summer": 1, "unknown": 1}
    overview = "shark sea summer unknown"
    assert distinctive_word(overview, "summer", WordModel(), frequencies) == "sea"


def test_a_story_without_distinctive_words_has_none_to_add():
    assert distinctive_word("summer", "summer", WordModel(), {"summer": 1}) is None


DATED = [
    *films(20, overview="shark", year=1975),
    *films(20, overview="bank", year=1995),
]


def test_a_list_by_story_stays_without_the_year():
    config = weights(words=1.0, year=0.2)
    assert all(passed(masked_sensible(checked_lists(DATED, config))))


def test_a_list_by_year_alone_does_not_stay():
    cases = masked_sensible(checked_lists(DATED, BY_YEAR))
    assert not all(passed(cases))
    assert any(case.description.endswith("0 of 10 movies stay") for case in cases)


def test_a_score_that_is_not_a_number_is_a_failure():
    rows = [*DATED, film("Broken", content=float("nan"))]
    assert not any(passed(masked_sensible(checked_lists(rows, weights(content=1.0)))))


def row_of(cases: list[Case], bar: float = 0.9) -> dict[str, object]:
    behaviour = Behaviour("Name", "Question?", lambda checked: cases, bar, needs="horror films")
    return behaviour_row(behaviour, cases)


def test_a_row_counts_cases_and_shows_three_failures():
    cases = [Case(True, "good"), *(Case(False, f"bad {number}") for number in range(4))]
    row = row_of(cases)
    assert (row["cases"], row["passed"], row["share"]) == (5, 1, 0.2)
    assert row["failing examples"] == "bad 0; bad 1; bad 2"


def test_a_behaviour_without_cases_is_left_out_with_the_reason():
    row = row_of([])
    assert row["share"] is None
    assert row["failing examples"] == "left out: the catalogue lacks horror films"


def test_the_metric_is_the_share_of_behaviours_at_their_bar():
    good, bad, missing = row_of([Case(True, "")]), row_of([Case(False, "")]), row_of([])
    table = pa.Table.from_pylist([good, bad, missing])
    assert behaviour_metrics(table) == {"rec_behaviour_passed": 0.5}


def test_without_any_case_there_is_no_metric():
    assert behaviour_metrics(pa.Table.from_pylist([row_of([])])) == {}


def test_the_table_has_a_row_per_behaviour():
    table = behaviour_table(checked_lists(CINDERELLAS, BY_WORDS))
    assert table["behaviour"].to_pylist() == [behaviour.name for behaviour in BEHAVIOURS]
    assert [row["behaviour"] for row in table.to_pylist() if not row["cases"]] == [
        "Sequels come first",
        "Children's films never get horror",
        "Lists of unrelated films do not overlap",
        "No movie is in every list",
    ]
