"""Which genres keep each other out of a list."""

import numpy as np
import pytest

from tasks.recommend.features.genre_affinity import CLASH_PENALTY, MAX_CLASHES, genre_affinity


def labels(*groups: tuple[tuple[int, ...], int], n_genres: int) -> np.ndarray:
    """Indicator matrix of `count` movies with each tuple of genres."""
    rows = [genres for genres, count in groups for _ in range(count)]
    matrix = np.zeros((len(rows), n_genres), np.uint8)
    for row, genres in enumerate(rows):
        matrix[row, list(genres)] = 1
    return matrix


def test_frequent_genres_that_never_occur_together_clash():
    affinity = genre_affinity(labels(((0,), 100), ((1,), 100), n_genres=2))
    assert affinity.tolist() == [[1, -CLASH_PENALTY], [-CLASH_PENALTY, 1]]


def test_genres_that_sometimes_occur_together_do_not_clash():
    affinity = genre_affinity(labels(((0,), 100), ((1,), 100), ((0, 1), 10), n_genres=2))
    assert affinity[0, 1] == 0


def test_rare_genres_are_not_judged():
    affinity = genre_affinity(labels(((0,), 30), ((1,), 30), n_genres=2))
    assert affinity[0, 1] == 0


def test_genre_that_clashes_with_many_is_a_form_and_clashes_with_none():
    themes = range(1, MAX_CLASHES + 2)
    together = tuple(themes)  # the themes go together, the form goes with none of them
    affinity = genre_affinity(labels(((0,), 100), (together, 100), n_genres=len(themes) + 1))
    assert affinity[0, 1:].tolist() == [0] * len(themes)


@pytest.mark.parametrize("n_movies", [0, 1])
def test_few_movies_give_the_identity(n_movies: int):
    assert genre_affinity(np.ones((n_movies, 3), np.uint8)).tolist() == np.eye(3).tolist()
