import numpy as np
import pytest

from tasks.movie_map import frequent, map_of, placed
from tests.index_rows import TITLES, rows


def test_every_movie_has_a_place_title_and_first_genre():
    table = map_of(rows(TITLES))
    assert table.num_rows == len(TITLES)
    assert np.isfinite(table["x"].to_numpy()).all()
    assert set(table.column_names) == {"x", "y", "title", "genre"}
    assert "Toy Story (1984)" in table["title"].to_pylist()


@pytest.mark.parametrize("count", [1, 8, 60])
def test_places_are_finite_and_the_same_again(count):
    vectors = np.random.default_rng(0).normal(size=(count, 12)).astype(np.float32)
    first, again = placed(vectors), placed(vectors)
    assert first.shape == (count, 2)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)


def test_two_crowds_are_apart_on_the_map():
    rng = np.random.default_rng(0)
    crowds = [rng.normal(size=(80, 12)) + 20 * side for side in (0, 1)]
    one, other = np.split(placed(np.vstack(crowds).astype(np.float32)), 2)
    spread = max(of.std(axis=0).max() for of in (one, other))
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > spread


def test_the_most_frequent_genres_are_coloured():
    assert frequent(["War", "Drama", "Drama", "no genre"]) == ["Drama", "War"]
