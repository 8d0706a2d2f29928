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
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import find_title, load_version, open_version
from tests.index_rows import TITLES, rows


@pytest.fixture
def published(tmp_path) -> IndexRef:
    return publish_version(str(tmp_path / "lancedb"), [rows(TITLES)], "run-1")


def test_a_version_holds_what_was_written_part_by_part(tmp_path):
    table = rows(TITLES)
    parts = [table.slice(0, 4), table.slice(4)]
    ref = publish_version(str(tmp_path / "lancedb"), parts, "run-1")
    assert ref.rows == len(TITLES)
    assert open_version(ref.uri, ref.tag).to_arrow().sort_by("id").equals(table.sort_by("id"))


def test_a_part_of_which_nothing_is_left_is_no_obstacle(tmp_path):
    """As where a refresh replaces every movie of a part of the version before."""
    parts = [rows(["Up"]).slice(0, 0), rows(TITLES)]
    assert publish_version(str(tmp_path / "lancedb"), parts, "run-1").rows == len(TITLES)


def test_a_reader_of_an_older_version_sees_it_after_a_publish(published):
    table = open_version(published.uri, published.tag)
    newer = publish_version(published.uri, [rows(["Up"])], "run-2")
    assert table.count_rows() == len(TITLES)
    assert open_version(published.uri, "run-1").count_rows() == len(TITLES)
    assert len(load_version(newer.uri, "run-2").catalogue) == 1
    (found,) = find_title(load_version(published.uri, "run-1"), "Alien").movies
    assert found["id"] == 1


def test_a_version_that_lost_rows_is_not_published(tmp_path, monkeypatch):
    monkeypatch.setattr("lancedb.table.LanceTable.count_rows", lambda *_: 3)
    uri = str(tmp_path / "lancedb")
    with pytest.raises(ValueError, match="3 rows in the index, 19 written"):
        publish_version(uri, [rows(TITLES)], "run-1")
    with pytest.raises(UserError, match="run-1 is not in"):
        open_version(uri, "run-1")


def test_a_published_version_is_never_overwritten(published):
    with pytest.raises(ValueError, match="already exists"):
        publish_version(published.uri, [rows(["Up"])], published.tag)
    assert open_version(published.uri, published.tag).count_rows() == len(TITLES)


def test_dropped_versions_take_their_files_with_them(published):
    for tag in ("run-2", "run-3"):
        publish_version(published.uri, [rows(["Up"])], tag)
    half = Path(published.uri) / "run-4.lance" / "data"  # what a killed run leaves
    half.mkdir(parents=True)
    (half / "a.lance").write_text("cut off")
    assert version_tags(published.uri) == {"run-1", "run-2", "run-3", "run-4"}
    drop_versions(published.uri, ["run-2", "run-4"])
    assert sorted(path.stem for path in Path(published.uri).iterdir()) == ["run-1", "run-3"]
    assert open_version(published.uri, "run-1").count_rows() == len(TITLES)


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_a_vector_without_direction_is_not_published(tmp_path, bad):
    table = rows(["Up", "Alien"])
    flat = pa.array([bad] * 6 + [1.0] * 6, pa.float32())
    broken = pa.FixedSizeListArray.from_arrays(flat, 6)
    table = table.set_column(table.column_names.index("content"), "content", broken)
    with pytest.raises((ValueError, RuntimeError), match="1 of 2 vectors have no direction"):
        publish_version(str(tmp_path / "lancedb"), [table], "run-1")


def test_profiles_survive_the_index(published):
    table = rows(TITLES)
    before, after = Catalogue(table), load_version(published.uri, published.tag).catalogue
    assert after.movies.sort_by("id").equals(before.movies.sort_by("id"))
    assert (after.features.content == before.features.content).all()
    assert (after.features.words != before.features.words).nnz == 0


MANY = [f"Film {number}" for number in range(600)]


def test_a_large_version_gets_an_index_whose_recall_is_measured(tmp_path):
    config = IndexConfig(ann_rows=256, min_recall=0.9)
    ref = publish_version(str(tmp_path / "lancedb"), [rows(MANY)], "run-1", config)
    version = load_version(ref.uri, ref.tag)
    assert version.ann
    assert 0.9 <= ref.recall <= 1
    catalogue, queries = version.catalogue, version.catalogue.features_of([5])
    near = version.nearest_rows(queries)
    exact = catalogue.rank(queries, [5], 10, RankConfig())
    found = catalogue.rank(queries, [5], 10, RankConfig(), nearest_rows=near)
    assert [hit.row for hit in found] == [hit.row for hit in exact]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in exact])


def test_vectors_that_are_not_near_do_not_count(tmp_path):
    table = rows(MANY)
    catalogue = Catalogue(table)
    queries, only_vectors = (
        catalogue.features_of([5]),
        RankConfig(content=1, words=0, title=0, genre=0, year=0, votes=0),
    )
    (hit,) = catalogue.rank(queries, [5], 1, only_vectors)
    (again,) = catalogue.rank(queries, [5], 1, only_vectors, nearest_rows=[hit.row])
    assert (again.row, again.score) == (hit.row, pytest.approx(hit.score))


def test_an_index_that_finds_too_little_is_not_published(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.recommend.index.ann_recall", lambda *_: 0.5)
    uri = str(tmp_path / "lancedb")
    with pytest.raises(ValueError, match=r"finds 0\.50 of the nearest, not 0\.95"):
        publish_version(uri, [rows(TITLES)], "run-1")
    with pytest.raises(UserError, match="run-1 is not in"):
        open_version(uri, "run-1")


def test_a_small_version_is_searched_exactly(published):
    version = load_version(published.uri, published.tag)
    assert not version.ann
    assert version.nearest_rows(version.catalogue.features_of([0])) is None
    assert ann_recall(version.table, []) == 1
