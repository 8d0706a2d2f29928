from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.contracts import IndexRef, UserError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.index import (
    IndexConfig,
    ann_recall,
    drop_versions,
    publish_version,
    version_tags,
)
from tasks.recommend.scoring import FEATURES, RankConfig
from tasks.recommend.search import find_title, load_version, open_version
from tests.support.index_rows import TITLES, VECTOR_SIZE, rows

MANY_TITLES = [f"Film {number}" for number in range(600)]


@pytest.fixture
def uri(tmp_path) -> str:
    return str(tmp_path / "lancedb")


@pytest.fixture
def published(uri) -> IndexRef:
    return publish_version(uri, [rows(TITLES)], "run-1")


def test_a_version_contains_all_tables_that_were_written(uri):
    table = rows(TITLES)
    index = publish_version(uri, [table.slice(0, 4), table.slice(4)], "run-1")
    assert index.rows == len(TITLES)
    assert open_version(uri, "run-1").to_arrow().sort_by("id").equals(table.sort_by("id"))


def test_empty_tables_are_skipped(uri):
    """A refresh that replaces all movies of a part of the old version leaves an empty table."""
    tables = [rows(["Up"]).slice(0, 0), rows(TITLES)]
    assert publish_version(uri, tables, "run-1").rows == len(TITLES)


def test_an_opened_version_does_not_change_when_a_newer_one_is_published(published):
    table = open_version(published.uri, published.tag)
    newer = publish_version(published.uri, [rows(["Up"])], "run-2")
    assert table.count_rows() == len(TITLES)
    assert open_version(published.uri, "run-1").count_rows() == len(TITLES)
    assert len(load_version(newer.uri, "run-2").catalogue) == 1
    (movie,) = find_title(load_version(published.uri, "run-1"), "Alien").movies
    assert movie["id"] == "1"


def test_a_version_that_lost_rows_is_not_published(uri, monkeypatch):
    monkeypatch.setattr("lancedb.table.LanceTable.count_rows", lambda *_: 3)
    with pytest.raises(ValueError, match="3 rows in the index, 19 written"):
        publish_version(uri, [rows(TITLES)], "run-1")
    with pytest.raises(UserError, match="run-1 is not in"):
        open_version(uri, "run-1")


def test_a_published_version_is_never_overwritten(published):
    with pytest.raises(ValueError, match="already exists"):
        publish_version(published.uri, [rows(["Up"])], published.tag)
    assert open_version(published.uri, published.tag).count_rows() == len(TITLES)


def test_dropping_versions_deletes_their_files(published):
    for tag in ("run-2", "run-3"):
        publish_version(published.uri, [rows(["Up"])], tag)
    incomplete = Path(published.uri) / "run-4.lance" / "data"  # as left by a killed run
    incomplete.mkdir(parents=True)
    (incomplete / "a.lance").write_text("cut off")
    assert version_tags(published.uri) == {"run-1", "run-2", "run-3", "run-4"}
    drop_versions(published.uri, ["run-2", "run-4"])
    assert sorted(path.stem for path in Path(published.uri).iterdir()) == ["run-1", "run-3"]
    assert open_version(published.uri, "run-1").count_rows() == len(TITLES)


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_a_zero_or_not_finite_vector_is_not_published(uri, bad):
    table = rows(["Up", "Alien"])
    flat = pa.array([bad] * VECTOR_SIZE + [1.0] * VECTOR_SIZE, pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, VECTOR_SIZE)
    table = table.set_column(table.column_names.index("content"), "content", vectors)
    with pytest.raises((ValueError, RuntimeError), match="1 of 2 vectors are zero or not finite"):
        publish_version(uri, [table], "run-1")


def test_features_are_unchanged_by_the_index(published):
    table = rows(TITLES)
    before, after = Catalogue(table), load_version(published.uri, published.tag).catalogue
    assert after.movies.sort_by("id").equals(before.movies.sort_by("id"))
    assert (after.features.content == before.features.content).all()
    assert (after.features.words != before.features.words).nnz == 0


def test_a_large_version_gets_a_vector_index_with_measured_recall(uri):
    config = IndexConfig(ann_rows=256, min_recall=0.9)
    index = publish_version(uri, [rows(MANY_TITLES)], "run-1", config)
    assert load_version(uri, "run-1").ann
    assert 0.9 <= index.recall <= 1


def test_the_vector_index_ranks_like_exact_search(uri):
    config = IndexConfig(ann_rows=256, min_recall=0.9)
    publish_version(uri, [rows(MANY_TITLES)], "run-1", config)
    version = load_version(uri, "run-1")
    catalogue, queries = version.catalogue, version.catalogue.features_of([5])
    nearest = version.nearest_rows(queries)
    exact = catalogue.rank(queries, [5], 10, RankConfig())
    approximate = catalogue.rank(queries, [5], 10, RankConfig(), nearest_rows=nearest)
    assert [hit.row for hit in approximate] == [hit.row for hit in exact]
    assert [hit.score for hit in approximate] == pytest.approx([hit.score for hit in exact])


def test_embeddings_of_nearest_rows_are_compared_exactly():
    catalogue = Catalogue(rows(MANY_TITLES))
    queries = catalogue.features_of([5])
    config = RankConfig(**dict.fromkeys(FEATURES, 0.0) | {"content": 1})
    (exact,) = catalogue.rank(queries, [5], 1, config)
    (approximate,) = catalogue.rank(queries, [5], 1, config, nearest_rows=[exact.row])
    assert (approximate.row, approximate.score) == (exact.row, pytest.approx(exact.score))


def test_a_vector_index_with_low_recall_is_not_published(uri, monkeypatch):
    monkeypatch.setattr("tasks.recommend.index.ann_recall", lambda *_: 0.5)
    with pytest.raises(
        ValueError, match=r"recall@10 of the vector index is 0\.50, less than 0\.95"
    ):
        publish_version(uri, [rows(TITLES)], "run-1")
    with pytest.raises(UserError, match="run-1 is not in"):
        open_version(uri, "run-1")


def test_a_small_version_has_no_vector_index(published):
    version = load_version(published.uri, published.tag)
    assert not version.ann
    assert version.nearest_rows(version.catalogue.features_of([0])) is None
    assert ann_recall(version.table, []) == 1
