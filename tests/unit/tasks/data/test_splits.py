"""All texts about a film are in one split, which never changes."""

import logging
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.contracts import MoviesRef
from tasks.core.storage import store
from tasks.data import splits as module
from tasks.data.preprocess import TextConfig
from tasks.data.splits import (
    NO_YEAR,
    assign_splits,
    films_of,
    hash_overviews,
    is_fitted_on,
    keys_in_several_splits,
    movie_keys,
    split_at,
    split_of_overview,
    splits_of,
)
from tests.support.stored import stored_table

CONFIG = TextConfig()
THIRDS = TextConfig(test_share=0.25, gate_share=0.25, validation_share=0.25)
#: Films of few titles, years and stories, so that many share one of them.
FILMS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from([None, 1990, 1991]), st.integers(0, 9)),
    min_size=1,
    max_size=40,
)


def movies(*films: tuple[str, int | None, str]) -> pa.Table:
    titles, years, overviews = zip(*films, strict=True)
    columns = {"title": titles, "year": pa.array(years, pa.int16()), "overview": overviews}
    return pa.table(columns)


def told(number: int) -> str:
    return f"Story number {number}."


def test_two_texts_about_a_film_are_in_one_split():
    films = [(f"Film {n}", 1990, told(n)) for n in range(200)]
    retold = [(f"the FILM, {n}".replace("the ", ""), 1990, f"Again {n}.") for n in range(200)]
    splits = splits_of(movies(*films, *retold), THIRDS)
    assert splits[:200] == splits[200:]
    assert len(set(splits)) == 4


def test_equal_overviews_are_in_one_split_whatever_their_titles():
    films = [(f"Film {n}", 1990, told(n)) for n in range(200)]
    renamed = [(f"Le film {n}", None, f"  story NUMBER {n}!") for n in range(200)]
    splits = splits_of(movies(*films, *renamed), THIRDS)
    assert splits[:200] == splits[200:]


def test_films_are_joined_through_others():
    """The first and the last share neither title nor overview, but each does with the second."""
    films = films_of(movie_keys(movies(("A", 1990, "x"), ("A", 1990, "y"), ("B", 1991, "y"))))
    assert len(set(films.tolist())) == 1


def test_equal_titles_of_other_years_or_without_a_year_are_other_films():
    table = movies(("A", 1990, "x"), ("A", 1991, "y"), ("A", None, "z"), ("A", None, "w"))
    assert len(set(films_of(movie_keys(table)).tolist())) == 4


@given(FILMS)
def test_no_film_is_in_several_splits(films):
    table = movies(*((title, year, told(number)) for title, year, number in films))
    splits = splits_of(table, THIRDS)
    assert keys_in_several_splits(movie_keys(table), splits) == 0
    of_key: dict[object, set[str]] = {}
    for (title, year, number), split in zip(films, splits, strict=True):
        of_key.setdefault(number, set()).add(split)
        of_key.setdefault((title, year or number, year is None), set()).add(split)
    assert {len(names) for names in of_key.values()} == {1}


@given(FILMS, st.randoms(use_true_random=False))
def test_the_order_of_the_movies_changes_no_split(films, random):
    rows = [(title, year, told(number)) for title, year, number in films]
    before = dict(zip(rows, splits_of(movies(*rows), THIRDS), strict=True))
    random.shuffle(rows)
    assert dict(zip(rows, splits_of(movies(*rows), THIRDS), strict=True)) == before


def test_a_movie_alone_is_in_the_split_of_its_overview():
    films = [(f"Film {n}", 1990, told(n)) for n in range(300)]
    alone = [split_of_overview(told(n), THIRDS) for n in range(300)]
    assert splits_of(movies(*films), THIRDS) == alone


def test_films_told_often_are_not_more_often_in_test():
    """The smallest of several positions would be."""
    films = [(f"Film {n}", 1990, f"{told(n)} {part}") for n in range(500) for part in range(5)]
    counts = Counter(splits_of(movies(*films), THIRDS))
    assert counts["test"] / 2500 == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    ("position", "split"),
    [
        *((0.0, "test"), (0.0999, "test"), (0.1, "gate"), (0.1999, "gate"), (0.2, "validation")),
        *((0.2499, "validation"), (0.2501, "train"), (0.9999, "train")),
    ],
)
def test_positions_are_cut_by_the_shares(position, split):
    assert split_at(position, CONFIG) == split


def test_splits_have_the_configured_shares_and_never_change():
    splits = Counter(split_of_overview(f"overview number {n}", CONFIG) for n in range(4000))
    shares = {"test": 0.1, "gate": 0.1, "validation": 0.05, "train": 0.75}
    for split, share in shares.items():
        assert splits[split] / 4000 == pytest.approx(share, abs=0.02)
    assert [split_of_overview(f"overview number {n}", CONFIG) for n in (0, 3, 16)] == [
        "gate",
        "train",
        "test",
    ]


def test_test_movies_are_those_of_earlier_releases():
    """So that versions of earlier releases, which were trained on other movies, are comparable."""
    position = hash_overviews(["overview number 16"]).positions[0]
    assert position == pytest.approx(0.0443, abs=5e-5)


def test_shares_leave_movies_to_train_on():
    with pytest.raises(ValidationError, match="leave no movies to train on"):
        TextConfig(test_share=0.4, gate_share=0.4, validation_share=0.2)


def test_keys_that_differ_in_their_last_bit_are_two():
    keys = np.array([[2**63, NO_YEAR], [2**63 + 1, NO_YEAR]], np.uint64)
    assert keys_in_several_splits(keys, ["train", "test"]) == 0


def test_keys_in_several_splits_are_counted():
    table = movies(("A", 1990, "x"), ("A", 1990, "y"), ("B", None, "y"), ("C", None, "z"))
    keys = movie_keys(table)
    assert keys_in_several_splits(keys, ["train"] * 4) == 0
    assert keys_in_several_splits(keys, ["train", "test", "test", "gate"]) == 1
    assert keys_in_several_splits(keys, ["train", "gate", "test", "gate"]) == 2


def test_a_movie_is_fitted_on_if_its_film_is():
    fitted = movie_keys(movies(("A", 1990, "x"), ("B", None, "y")))
    others = movies(("A", 1990, "w"), ("Z", 1999, "y"), ("A", 1991, "w"), ("B", None, "v"))
    known = np.unique(fitted[fitted != 0])
    assert is_fitted_on(movie_keys(others), known).tolist() == [True, True, False, False]


@pytest.fixture
def log(monkeypatch) -> None:
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("splits"))


def chunk_of(*films: tuple[str, int | None, str]) -> MoviesRef:
    return stored_table(MoviesRef, movies(*films))


def assigned(*chunks: MoviesRef, config: TextConfig = THIRDS) -> Any:
    return assign_splits.fn(chunks, config)


@pytest.mark.usefixtures("log")
def test_splits_are_stored_by_chunk_and_counted():
    films = [(f"Film {n}", 1990, told(n)) for n in range(30)]
    retold = [("Film 3", 1990, "Once more."), ("Film 5", 1990, "And again.")]
    chunks = [chunk_of(*films[:20]), chunk_of(*films[20:]), chunk_of(*retold)]
    splits = assigned(*chunks)
    parts = [store.read(ref)["split"].to_pylist() for ref in splits.chunks]
    assert list(map(len, parts)) == [20, 10, 2]
    first, second = parts[0] + parts[1], parts[2]
    assert second == [first[3], first[5]]
    assert first + second == splits_of(movies(*films, *retold), THIRDS)
    assert splits.counts == dict(Counter(first + second))
    assert splits.retold == 4
    by_overview = [split_of_overview(overview, THIRDS) for _, _, overview in [*films, *retold]]
    assert splits.moved == sum(a != b for a, b in zip(by_overview, first + second, strict=True))


@pytest.mark.usefixtures("log")
def test_the_keys_to_fit_on_are_those_of_train_and_validation_movies():
    films = [(f"Film {n}", 1990, told(n)) for n in range(60)]
    splits = assigned(chunk_of(*films))
    keys = np.load(store.locate(splits.fitted_keys), allow_pickle=False)
    names = store.read(splits.chunks[0])["split"].to_pylist()
    expected = [name in ("train", "validation") for name in names]
    assert is_fitted_on(movie_keys(movies(*films)), keys).tolist() == expected


@pytest.mark.usefixtures("log")
def test_a_new_movie_leaves_the_splits_of_other_chunks():
    first, second = (chunk_of((f"Film {n}", 1990, told(n))) for n in range(2))
    before, after = assigned(first), assigned(first, second)
    assert after.chunks[0].digest == before.chunks[0].digest


def test_keys_and_ranks_are_those_of_earlier_releases():
    """Stored keys say on which films a version was fitted: they are compared for ever."""
    keys = movie_keys(movies(("Alien", 1979, "A ghost on a ship."), ("Heat", None, "War.")))
    assert (keys.dtype, keys.tolist()) == (
        np.uint64,
        [[2405085288907704975, 17449250963958612581], [11734369227696212069, 0]],
    )
    hashes = hash_overviews(["A ghost on a ship.", "War."])
    assert (hashes.ranks.dtype, hashes.ranks.tolist()) == (
        np.uint64,
        [7512870746348406487, 16354888796378732946],
    )
