import numpy as np
import pytest

from tasks.genres.config import ClassifierConfig
from tasks.genres.validation import MIN_HALF_OF_VALIDATION, choosing_rows, stopping_rows


def test_each_choice_has_a_half_of_the_movies():
    n = 2 * MIN_HALF_OF_VALIDATION
    halves = [rows(n, ClassifierConfig()).tolist() for rows in (stopping_rows, choosing_rows)]
    assert sorted(halves[0] + halves[1]) == list(range(n))
    assert len(halves[0]) == len(halves[1])


@pytest.mark.parametrize(
    ("n", "patience"), [(2 * MIN_HALF_OF_VALIDATION - 1, 4), (2 * MIN_HALF_OF_VALIDATION, None)]
)
def test_all_movies_serve_for_both_where_a_half_is_too_small_or_not_needed(n, patience):
    config = ClassifierConfig(patience=patience)
    for rows in (stopping_rows, choosing_rows):
        assert np.array_equal(rows(n, config), np.arange(n))
