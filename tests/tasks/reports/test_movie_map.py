import numpy as np
import pyarrow as pa
import pytest

from tasks.reports.movie_map import (
    build_map,
    frequent_genres,
    interactive_map,
    map_positions,
    sample_movies,
)
from tests.index_rows import TITLES, rows


def test_every_movie_has_a_place_title_and_first_genre():
    table = build_map(rows(TITLES))
    assert table.num_rows == len(TITLES)
    assert np.isfinite(table["x"].to_numpy()).all()
    assert set(table.column_names) == {"x", "y", "title", "genre"}
    assert "Toy Story (1984)" in table["title"].to_pylist()


@pytest.mark.parametrize(("most", "taken"), [(9, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6])])
def test_an_even_sample_goes_on_from_chunk_to_chunk(most, taken):
    whole = pa.table({"row": range(7)})
    parts = [whole.slice(0, 2), whole.slice(2, 4), whole.slice(6)]
    assert sample_movies(parts, 7, most)["row"].to_pylist() == taken


@pytest.mark.parametrize("count", [1, 8, 60])
def test_places_are_finite_and_the_same_again(count):
    vectors = np.random.default_rng(0).normal(size=(count, 12)).astype(np.float32)
    first, again = map_positions(vectors), map_positions(vectors)
    assert first.shape == (count, 2)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)


def test_two_crowds_are_apart_on_the_map():
    rng = np.random.default_rng(0)
    crowds = [rng.normal(size=(80, 12)) + 20 * side for side in (0, 1)]
    one, other = np.split(map_positions(np.vstack(crowds).astype(np.float32)), 2)
    spread = max(of.std(axis=0).max() for of in (one, other))
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > spread


def test_the_most_frequent_genres_are_coloured():
    assert frequent_genres(["War", "Drama", "Drama", "no genre"]) == ["Drama", "War"]


def test_the_interactive_map_has_every_movie_once_and_titles_as_text():
    table = build_map(rows([*TITLES, "<b>Bold</b>"]))
    traces = interactive_map(table).data
    titles = [title for trace in traces for title in trace.text]
    assert len(titles) == sum(len(trace.x) for trace in traces) == table.num_rows
    assert len([title for title in titles if title.startswith("&lt;b&gt;Bold&lt;/b&gt;")]) == 1
    assert {trace.name for trace in traces} == {
        "other",
        *frequent_genres(table["genre"].to_pylist()),
    }


def test_places_of_the_interactive_map_are_in_proportion():
    table = pa.table({"x": [-2.0, 1.0], "y": [0.0, 0.5], "title": ["a", "b"], "genre": ["War"] * 2})
    war = interactive_map(table).data[1]
    assert (war.x.tolist(), war.y.tolist()) == ([-30_000, 15_000], [0, 7_500])
