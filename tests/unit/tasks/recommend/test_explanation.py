import pyarrow as pa
import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.explanation import (
    FEATURE_LABELS,
    explanation,
    shared_text,
    shared_values,
    shares_text,
    written_words,
)
from tasks.recommend.scoring import FEATURES, RankConfig
from tests.support.index_rows import rows

CONFIG = RankConfig()
OVERVIEWS = [
    "Story 0: word0 is a terrifying war.",
    "Trapped near the summit of Everest, word1 is terrified.",
    "A story of word0 and War.",
]
PEOPLE = [["Ang Lee", "Chris O'Donnell"], ["Jodie Foster"], ["chris o'donnell"]]
KEYWORDS = [["k2", "rescue"], [], ["Rescue"]]


@pytest.fixture
def catalogue() -> Catalogue:
    """Three movies; the first and the third share a genre, a person and a keyword."""
    table = rows(["Alien", "Aliens", "Gravity"])
    columns = {"overview": OVERVIEWS, "keywords": KEYWORDS, "people": PEOPLE}
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return Catalogue(table)


def why(catalogue: Catalogue, query_rows: list[int], row: int) -> dict[str, object]:
    features = catalogue.features_of(query_rows)
    hits = catalogue.rank(features, query_rows, 99, CONFIG)
    hit = next(hit for hit in hits if hit.row == row)
    return explanation(catalogue, hit, CONFIG, query_features=features, query_rows=query_rows)


def test_an_explanation_names_what_a_movie_shares_with_the_query(catalogue):
    shared = why(catalogue, [0], 2)
    assert shared["people"] == ["chris o'donnell"]
    assert shared["keywords"] == ["Rescue"]
    assert shared["genres"] == ["Horror"]
    assert shared["words"] == ["story"]


def test_shares_of_an_explanation_sum_to_the_score(catalogue):
    features = catalogue.features_of([0])
    hit = catalogue.rank(features, [0], 1, CONFIG)[0]
    shared = explanation(catalogue, hit, CONFIG, query_features=features, query_rows=[0])
    assert sum(shared["shares"].values()) == pytest.approx(hit.score, abs=1e-6)


def test_a_text_shares_words_alone(catalogue):
    features = catalogue.features_of([0])
    hit = next(hit for hit in catalogue.rank(features, [], 9, CONFIG) if hit.row == 2)
    shared = explanation(catalogue, hit, CONFIG, query_features=features, query_rows=[])
    assert (shared["people"], shared["keywords"], shared["genres"]) == ([], [], [])
    assert shared["words"] == ["story"]


def test_columns_that_a_movie_lacks_share_nothing():
    assert shared_values({}, [{"people": ["Ang Lee"]}], "people") == []
    assert shared_values({"people": ["Ang Lee"]}, [{}, {"people": None}], "people") == []


def test_a_value_is_shared_once_and_written_as_in_the_recommended_movie():
    movie = {"people": ["Jodie Foster", "Ang Lee", "ang lee"]}
    assert shared_values(movie, [{"people": ["ANG LEE", "Jodie Foster"]}], "people") == [
        "Jodie Foster",
        "Ang Lee",
    ]


def test_stems_are_shown_as_the_overview_writes_them():
    movie = {"title": "x", "overview": "A terrifying night on Everest, with climbers’ ropes."}
    stems = ["terrifi", "everest", "climber", "gone"]
    assert written_words(stems, movie) == ["terrifying", "Everest", "climbers"]


def test_a_word_inside_a_sentence_is_preferred_to_its_first_word():
    movie = {"title": "x", "overview": "Climbers die. “Climbing” is over, the climbers say."}
    assert written_words(["climber", "climb"], movie) == ["climbers", "Climbing"]


def test_words_of_the_title_are_shown_if_they_identify_it():
    movie = {"title": "The Godfather: Part II", "overview": "A family."}
    assert written_words(["part", "godfath", "famili"], movie) == ["Godfather", "family"]


def test_terms_may_be_whole_words():
    movie = {"title": "x", "overview": "Two climbers."}
    assert written_words(["climbers"], movie) == ["climbers"]


def test_a_sentence_lists_keywords_words_genres_and_people():
    shared = {"keywords": ["rescue"], "words": ["climber", "K2"], "genres": ["Adventure", "Drama"]}
    text = shared_text(shared | {"people": ["Chris O'Donnell"]})
    assert text == "rescue, climber, K2; Adventure, Drama; with Chris O'Donnell"


def test_a_sentence_says_if_nothing_is_shared():
    nothing = {"keywords": [], "words": [], "genres": [], "people": []}
    assert shared_text(nothing) == "no word, genre or person in common"


def test_shares_above_one_percent_are_named_in_plain_words_the_largest_first():
    text = shares_text({"shares": {"words": 0.1, "year": 0.3, "votes": 0.004, "genre": -0.004}})
    assert text == "release year 75%, words 25%"


def test_every_feature_has_a_label():
    assert set(FEATURES) <= set(FEATURE_LABELS)
