import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.contracts import UserError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.export import IdList, id_lists, public_ids, write_export
from tests.support.index_rows import rows

LISTS: list[IdList] = [("tt0001", ["tt0002", "tt0003"]), ("tt0002", ["tt0001"])]


def catalogue(
    imdb_ids: list[str | None] | None = None, sources: str = "mmm", ids: Sequence[str] = "123"
) -> Catalogue:
    movies = Catalogue(rows(["Alien", "Aliens", "Gravity"]))
    columns = {"source": pa.array(list(sources)), "id": pa.array(list(ids))}
    if imdb_ids:
        columns["imdb_id"] = pa.array(imdb_ids, pa.string())
    movies.movies = pa.table(columns)
    return movies


def chunk(pairs: list[tuple[str, str]]) -> pa.Table:
    """Query and recommended ids of one source, as `lists_table` stores them."""
    return pa.Table.from_pylist(
        [{"source": "m", "id": id_, "like_source": "m", "like_id": like} for id_, like in pairs]
    )


def test_tmdb_ids_are_those_of_the_source():
    assert public_ids(catalogue(), "tmdb", None) == {("m", "1"): 1, ("m", "2"): 2, ("m", "3"): 3}


def test_a_text_is_no_tmdb_id():
    assert public_ids(catalogue(ids=["tt1", "2", "s3"]), "tmdb", None) == {("m", "2"): 2}
    with pytest.raises(UserError, match="whose ids are those of TMDB, or export with"):
        public_ids(catalogue(ids=["tt1", "tt2", "s3"]), "tmdb", None)


def test_a_movie_without_an_imdb_id_has_no_public_id():
    ids = public_ids(catalogue(["tt1", None, "tt3"]), "imdb", None)
    assert ids == {("m", "1"): "tt1", ("m", "3"): "tt3"}


def test_of_movies_with_the_same_imdb_id_the_first_has_it():
    assert public_ids(catalogue(["tt1", "tt1", "tt3"]), "imdb", None) == {
        ("m", "1"): "tt1",
        ("m", "3"): "tt3",
    }


@pytest.mark.parametrize("imdb_ids", [None, [None, "", None]])
def test_an_index_without_imdb_ids_is_an_error_that_names_the_column(imdb_ids):
    with pytest.raises(UserError, match="Train on a source with a column imdb_id"):
        public_ids(catalogue(imdb_ids), "imdb", None)


@pytest.mark.parametrize("source", [None, "x"])
def test_the_source_of_several_must_be_named(source):
    with pytest.raises(UserError, match=r"the sources a, b\. Name the one .* --export-source"):
        public_ids(catalogue(sources="aab"), "tmdb", source)


def test_only_the_named_source_is_exported():
    assert public_ids(catalogue(sources="aba"), "tmdb", "a") == {("a", "1"): 1, ("a", "3"): 3}


def test_movies_without_a_public_id_are_left_out_of_lists():
    chunks = [chunk([("1", "2"), ("1", "3"), ("2", "1")]), chunk([("3", "2"), ("3", "1")])]
    ids = {("m", "1"): "tt1", ("m", "3"): "tt3"}
    assert list(id_lists(chunks, ids)) == [("tt1", ["tt3"]), ("tt3", ["tt1"])]


def test_json_has_the_list_of_each_movie(tmp_path: Path):
    assert write_export(LISTS, tmp_path / "lists.json", "json") == 2
    text = (tmp_path / "lists.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"tt0001": ["tt0002", "tt0003"], "tt0002": ["tt0001"]}
    assert text.splitlines()[1] == '"tt0001": ["tt0002", "tt0003"],'


def test_csv_has_a_row_for_each_recommendation(tmp_path: Path):
    assert write_export(LISTS, tmp_path / "lists.csv", "csv") == 2
    assert (tmp_path / "lists.csv").read_text(encoding="utf-8").splitlines() == [
        "id,rank,recommended_id",
        "tt0001,1,tt0002",
        "tt0001,2,tt0003",
        "tt0002,1,tt0001",
    ]


def test_an_export_without_lists_is_valid_json(tmp_path: Path):
    assert write_export([], tmp_path / "lists.json", "json") == 0
    assert json.loads((tmp_path / "lists.json").read_text(encoding="utf-8")) == {}
