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
from tests.support.index_rows import TITLES, rows


def test_every_movie_has_a_position_title_and_genre():
    table = build_map(rows(TITLES))
    assert table.num_rows == len(TITLES)
    assert np.isfinite(table["x"].to_numpy()).all()
    assert set(table.column_names) == {"x", "y", "title", "genre"}
    assert "Toy Story (1984)" in table["title"].to_pylist()


@pytest.mark.parametrize(("max_rows", "sampled"), [(9, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6])])
def test_sample_is_even_across_chunks(max_rows, sampled):
    movies = pa.table({"row": range(7)})
    chunks = [movies.slice(0, 2), movies.slice(2, 4), movies.slice(6)]
    assert sample_movies(chunks, 7, max_rows)["row"].to_pylist() == sampled


@pytest.mark.parametrize("count", [1, 8, 60])
def test_positions_are_finite_and_reproducible(count):
    vectors = np.random.default_rng(0).normal(size=(count, 12)).astype(np.float32)
    first, second = map_positions(vectors), map_positions(vectors)
    assert first.shape == (count, 2)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)


def test_clusters_are_apart_on_the_map():
    rng = np.random.default_rng(0)
    clusters = [rng.normal(size=(80, 12)) + 20 * side for side in (0, 1)]
    left, right = np.split(map_positions(np.vstack(clusters).astype(np.float32)), 2)
    spread = max(cluster.std(axis=0).max() for cluster in (left, right))
    assert np.linalg.norm(left.mean(axis=0) - right.mean(axis=0)) > spread


def test_most_frequent_genres_are_coloured():
    assert frequent_genres(["War", "Drama", "Drama", "no genre"]) == ["Drama", "War"]


def test_interactive_map_has_every_movie_once_and_escapes_titles():
    table = build_map(rows([*TITLES, "<b>Bold</b>"]))
    traces = interactive_map(table).data
    titles = [title for trace in traces for title in trace.text]
    assert len(titles) == sum(len(trace.x) for trace in traces) == table.num_rows
    assert len([title for title in titles if title.startswith("&lt;b&gt;Bold&lt;/b&gt;")]) == 1
    assert {trace.name for trace in traces} == set(table["genre"].to_pylist())


def test_the_interactive_map_has_a_trace_per_genre_and_frequent_ones_are_above():
    genres = [f"Genre {number}" for number in range(9) for _ in range(number + 1)]
    columns = {"x": [0.0] * 45, "y": [0.0] * 45, "title": ["a"] * 45}
    traces = interactive_map(pa.table(columns | {"genre": genres})).data
    assert [trace.meta["genre"] for trace in traces] == [f"Genre {number}" for number in range(9)]
    assert [trace.meta["frequent"] for trace in traces] == [False] * 2 + [True] * 7
    markers = {(trace.marker.color, trace.marker.symbol) for trace in traces}
    assert len(markers) == 9
    assert {trace.marker.symbol == "circle" for trace in traces[2:]} == {True}


def test_positions_of_the_interactive_map_are_scaled_to_the_grid():
    table = pa.table({"x": [-2.0, 1.0], "y": [0.0, 0.5], "title": ["a", "b"], "genre": ["War"] * 2})
    (war,) = interactive_map(table).data
    assert (war.x.tolist(), war.y.tolist()) == ([-30_000, 15_000], [0, 7_500])
