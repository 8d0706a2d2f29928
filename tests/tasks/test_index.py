import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import IndexRef
from tasks.index import (
    centre_of,
    find_title,
    fold,
    genre_part,
    index_table,
    index_vectors,
    normalise,
    open_version,
    publish,
    quoted,
    similar,
    unknown_title,
)

BITING = [
    "O'Brien's \"Quote\"",
    "x' OR '1'='1",
    "'; DROP TABLE movies; --",
    "100% Wolf_",
    "千と千尋の神隠し",
    "Padded",
    "M",
    "Emoji 🎬",
    "=HYPERLINK(1)",
    "../../etc/passwd",
    "line break",
    "a" * 500,
    "!!!",
]
TITLES = ["Alien", "Aliens", "Amélie", "Cinderella", "Cinderella", "Toy Story", *BITING]


def rows(titles: list[str], seed: int = 0) -> pa.Table:
    count = len(titles)
    years = [1950 if n == 3 else 2015 if n == 4 else 1979 + n for n in range(count)]
    movies = pa.table(
        {
            "source": ["m"] * count,
            "id": pa.array(range(1, count + 1), pa.int64()),
            "title": titles,
            "year": pa.array(years, pa.int16()),
            "genres": pa.array([["Horror"]] * count, pa.list_(pa.string())),
        }
    )
    random = np.random.default_rng(seed)
    return index_table(movies, random.normal(size=(count, 6)).astype(np.float32))


@pytest.fixture
def published(tmp_path) -> IndexRef:
    return publish(str(tmp_path / "lancedb"), [rows(TITLES)], "run-1")


@pytest.fixture
def table(published):
    return open_version(published.uri, published.tag)


@pytest.mark.parametrize("title", sorted(set(TITLES) - {"Cinderella"}))
def test_every_title_is_found_again(table, title):
    (found,) = find_title(table, title).found
    assert found["title"] == title


@pytest.mark.parametrize("typed", ["alien", "ALIEN", " Alien ", "amelie", "Amelie!", "toy-story"])
def test_case_accents_and_punctuation_do_not_matter(table, typed):
    (found,) = find_title(table, typed).found
    assert fold(found["title"]) == fold(typed)


def test_remakes_are_told_apart_by_year(table):
    assert [movie["year"] for movie in find_title(table, "Cinderella").found] == [1950, 2015]
    assert [movie["id"] for movie in find_title(table, "cinderella", 2015).found] == [5]
    assert [movie["id"] for movie in find_title(table, "Cinderella (1950)").found] == [4]


def test_a_mistyped_title_gets_suggestions(table):
    found, suggestions = find_title(table, "toy stry")
    assert found == []
    assert suggestions[0]["title"] == "Toy Story"
    message = str(unknown_title("toy stry", suggestions))
    assert message.startswith("No movie is called 'toy stry'. Did you mean: Toy Story (1984)")


def test_a_title_near_nothing_gets_no_suggestion(table):
    assert find_title(table, "zzz") == ([], [])
    assert str(unknown_title("zzz", [])) == "No movie is called 'zzz'."


def test_similar_movies_come_best_first_without_the_query(table):
    found = similar(table, {"source": "m", "id": 1}, 5)
    assert len(found) == 5
    assert 1 not in [movie["id"] for movie in found]
    scores = [movie["score"] for movie in found]
    assert scores == sorted(scores, reverse=True)
    assert set(found[0]) == {"source", "id", "title", "year", "genres", "score"}


def test_scores_are_cosines(published, table):
    vectors = np.array(rows(TITLES)["vector"].to_pylist())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    (best,) = similar(table, {"source": "m", "id": 1}, 1)
    cosines = unit @ unit[0]
    assert best["score"] == pytest.approx(np.sort(cosines)[-2], abs=1e-5)


def test_a_reader_of_an_older_version_sees_it_after_a_publish(published, table):
    newer = publish(published.uri, [rows(["Up"])], "run-2")
    assert table.count_rows() == len(TITLES)
    assert open_version(published.uri, "run-1").count_rows() == len(TITLES)
    assert open_version(newer.uri, "run-2").count_rows() == 1
    (found,) = find_title(open_version(published.uri, "run-1"), "Alien").found
    assert found["id"] == 1


def test_a_version_that_does_not_find_itself_is_not_tagged(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.index._nearest", lambda *_: [{"_distance": 0.5}])
    uri = str(tmp_path / "lancedb")
    with pytest.raises(ValueError, match="does not find itself"):
        publish(uri, [rows(TITLES)], "run-1")
    with pytest.raises(ValueError, match="run-1"):
        open_version(uri, "run-1")


@given(st.text(max_size=30))
def test_quoting_leaves_no_single_quote_open(text):
    literal = quoted(text)
    assert literal[1:-1].replace("''", "") == text.replace("'", "")


def test_rows_are_scaled_to_length_one_and_zeros_refused():
    assert normalise(np.array([[3.0, 4.0]], np.float32)).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)]
    ]
    with pytest.raises(ValueError, match="no direction"):
        normalise(np.zeros((1, 2), np.float32))


def test_predicted_genres_stand_in_where_none_is_known():
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.2, 0.9], [0.3, 0.6]], np.float32)
    assert genre_part(labels, probabilities).tolist() == [
        [1, 0],
        [pytest.approx(0.3), pytest.approx(0.6)],
    ]


def test_the_index_cosine_is_a_weighted_sum_of_two_cosines():
    random = np.random.default_rng(0)
    content, genres = random.normal(size=(2, 4)), random.random((2, 3))
    centre, weight = np.zeros(4), 0.7
    combined = index_vectors(content, centre, genres, weight)
    cosine = normalise(combined)[0] @ normalise(combined)[1]
    parts = [normalise(part)[0] @ normalise(part)[1] for part in (content, genres)]
    assert cosine == pytest.approx((parts[0] + weight**2 * parts[1]) / (1 + weight**2), abs=1e-6)


def test_the_centre_is_the_mean_of_the_train_split():
    content = np.array([[1, 1], [3, 3], [9, 9]], np.float32)
    assert centre_of([(content, ["train", "train", "test"])]).tolist() == [2, 2]
