import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.drift import (
    SourceProfile,
    build_profile,
    distributions_above,
    drift_metrics,
    stability_index,
)

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1)


def documents(genres: list[list[str]], years: list[int | None], texts: list[str]) -> pa.Table:
    return pa.table({"genres": genres, "year": years, "document": texts})


def test_a_profile_counts_all_tables():
    first = documents([["War"], []], [1987, None], ["a b", "a " * 50])
    second = documents([["War", "Drama"]], [1980], ["a " * 10])
    assert build_profile([first, second]) == SourceProfile(
        movies=3,
        genres={"War": 2, "Drama": 1},
        decades={"1980s": 2, "unknown": 1},
        lengths={"under 10": 1, "from 40": 1, "from 10": 1},
    )


@given(COUNTS, st.integers(1, 50))
def test_equal_proportions_have_index_0(counts, factor):
    multiples = {name: count * factor for name, count in counts.items()}
    assert stability_index(counts, multiples) == pytest.approx(0, abs=1e-9)


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_never_negative(old, new):
    assert stability_index(old, new) == pytest.approx(stability_index(new, old))
    assert stability_index(old, new) >= 0


def test_the_index_of_a_shift_from_50_to_60_percent():
    assert stability_index({"a": 50, "b": 50}, {"a": 60, "b": 40}) == pytest.approx(
        0.0405, abs=1e-4
    )


def test_distributions_above_the_limit_are_named():
    old = SourceProfile(movies=2, genres={"War": 2}, decades={"1980s": 2}, lengths={"from 40": 2})
    new = old.model_copy(update={"movies": 4, "genres": {"Drama": 4}})
    metrics = drift_metrics(old, new, unknown_share=0.25)
    assert metrics["drift_movies_ratio"] == 2
    assert metrics["drift_unknown_words"] == 0.25
    assert [name.split()[0] for name in distributions_above(metrics, 0.1)] == ["genres"]
    assert distributions_above(metrics, None) == []
