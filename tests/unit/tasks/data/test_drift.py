import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.storage import store
from tasks.data.drift import (
    SourceProfile,
    _bin_rows,
    build_profile,
    distributions_above,
    drift_metrics,
    index_by_chance,
    stability_index,
    unknown_word_share,
)
from tasks.data.preprocess import TextConfig

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1)


def movies(genres: list[list[str]], years: list[int | None], texts: list[str]) -> pa.Table:
    return pa.table({"genres": genres, "year": years, "overview": texts})


def test_a_profile_counts_all_tables():
    first = movies([["War"], []], [1987, None], ["é" * 49, "a" * 450])
    second = movies([["War", "Drama"]], [1980], ["a" * 50])
    assert build_profile([first, second]) == SourceProfile(
        movies=3,
        genres={"War": 2, "Drama": 1},
        decades={"1980s": 2, "unknown": 1},
        text_lengths={"under 50": 1, "from 450": 1, "from 50": 1},
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


def profile(count: int, **counts: dict[str, int]) -> SourceProfile:
    default = {"War": count}, {"1980s": count}, {"from 50": count}
    names = ("genres", "decades", "text_lengths")
    return SourceProfile(movies=count, **(dict(zip(names, default, strict=True)) | counts))


def test_distributions_above_the_limit_are_named():
    old, new = profile(1000), profile(2000, genres={"Drama": 2000})
    metrics = drift_metrics(old, new, unknown_share=0.25)
    assert metrics["drift_movies_ratio"] == 2
    assert metrics["drift_unknown_words"] == 0.25
    assert [name.split()[0] for name in distributions_above(metrics, 0.1)] == ["genres"]
    assert distributions_above(metrics, None) == []


def test_a_distribution_that_an_earlier_release_did_not_count_is_not_compared():
    old = SourceProfile.model_validate(
        {"movies": 9, "genres": {"War": 9}, "decades": {"1980s": 9}, "lengths": {"from 40": 9}}
    )
    metrics = drift_metrics(old, profile(9), unknown_share=0)
    assert "drift_text_lengths" not in metrics
    assert distributions_above(metrics, 0.0) == []
    assert {row["distribution"] for row in _bin_rows(old, profile(9))} == {"genres", "decades"}


@pytest.mark.parametrize(("size", "is_drift"), [(20, False), (2000, True)])
def test_a_difference_that_small_samples_have_by_chance_is_no_drift(size, is_drift):
    old = profile(size, genres={"War": size // 2, "Drama": size // 2})
    new = profile(size, genres={"War": size * 7 // 10, "Drama": size * 3 // 10})
    metrics = drift_metrics(old, new, unknown_share=0)
    assert metrics["drift_genres"] > 0.1
    assert bool(distributions_above(metrics, 0.1)) == is_drift


def test_one_in_a_hundred_samples_of_one_population_is_above_chance():
    rng, names, shares = np.random.default_rng(0), "abcdef", [0.3, 0.2, 0.2, 0.1, 0.1, 0.1]
    above = []
    for _ in range(1000):
        old, new = (
            dict(zip(names, rng.multinomial(size, shares).tolist(), strict=True))
            for size in (300, 200)
        )
        above.append(stability_index(old, new) > index_by_chance(old, new))
    assert 0.002 <= np.mean(above) <= 0.025


def test_unknown_words_are_those_of_the_texts_by_the_settings_of_the_model(tmp_path):
    """`alien ghosts` are `alien`, `ghost` and their pair for a model of stems and pairs."""
    table = pa.table({"title": ["Alien"], "overview": ["The ghosts"]})
    words = {"pairs": ["ghost", "alien"], "plain": ["ghosts", "alien"]}
    shares = {}
    for name, config in (("pairs", TextConfig()), ("plain", TextConfig(pairs=False))):
        folder = tmp_path / name
        folder.mkdir()
        store.write_json(folder / "text.json", config.model_dump(mode="json"))
        pq.write_table(pa.table({"word": words[name]}), folder / "vocabulary.parquet")
        shares[name] = unknown_word_share([table], 1, folder)
    assert shares == {"pairs": pytest.approx(1 / 3), "plain": 0}
