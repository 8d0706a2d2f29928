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


def test_a_source_is_counted_part_by_part():
    one = documents([["War"], []], [1987, None], ["a b", "a " * 50])
    two = documents([["War", "Drama"]], [1980], ["a " * 10])
    assert build_profile([one, two]) == SourceProfile(
        movies=3,
        genres={"War": 2, "Drama": 1},
        decades={"1980s": 2, "unknown": 1},
        lengths={"under 10": 1, "from 40": 1, "from 10": 1},
    )


@given(COUNTS, st.integers(1, 50))
def test_the_same_proportions_are_no_drift(counts, times):
    more = {name: count * times for name, count in counts.items()}
    assert stability_index(counts, more) == pytest.approx(0, abs=1e-9)


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_never_negative(one, other):
    assert stability_index(one, other) == pytest.approx(stability_index(other, one))
    assert stability_index(one, other) >= 0


def test_a_known_index():
    assert stability_index({"a": 50, "b": 50}, {"a": 60, "b": 40}) == pytest.approx(
        0.0405, abs=1e-4
    )


def test_what_moved_is_named():
    old = SourceProfile(movies=2, genres={"War": 2}, decades={"1980s": 2}, lengths={"from 40": 2})
    new = old.model_copy(update={"movies": 4, "genres": {"Drama": 4}})
    found = drift_metrics(old, new, unknown_words=0.25)
    assert found["drift_movies_ratio"] == 2
    assert found["drift_unknown_words"] == 0.25
    assert [name.split()[0] for name in distributions_above(found, 0.1)] == ["genres"]
    assert distributions_above(found, None) == []
