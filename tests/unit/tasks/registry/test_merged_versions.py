import pytest

from tasks.core.contracts import IndexRef, RowsRef
from tasks.recommend.index import IndexConfig, publish_version
from tasks.recommend.search import open_version
from tasks.registry import refresh
from tasks.registry.refresh import mark_refreshed, publish_merged
from tests.support.index_rows import rows
from tests.support.stored import stored_table


@pytest.fixture
def published(artifacts, tmp_path) -> IndexRef:
    """Three movies, ids 1 to 3."""
    return publish_version(str(tmp_path / "lancedb"), [rows(["Alien", "Up", "Coco"])], "run-1")


@pytest.fixture
def new_rows() -> RowsRef:
    """Four movies, of which three have the ids of published ones."""
    return stored_table(RowsRef, mark_refreshed(rows(["Aliens", "Up", "Coco", "Cars"])))


def test_new_movies_are_added_and_known_ones_replaced(published, new_rows):
    refreshed = publish_merged(published, new_rows, "m", "run-2", IndexConfig())
    assert (refreshed.added, refreshed.updated, refreshed.index.rows) == (1, 3, 4)
    titles = open_version(published.uri, "run-2").to_arrow()["title"].to_pylist()
    assert sorted(titles) == ["Aliens", "Cars", "Coco", "Up"]
    assert open_version(published.uri, "run-1").count_rows() == 3


def test_a_refresh_of_which_a_row_is_lost_is_an_error(published, new_rows, monkeypatch):
    lost = IndexRef(uri=published.uri, tag="run-2", rows=3)
    monkeypatch.setattr(refresh, "publish_rows", lambda **_: lost)
    with pytest.raises(ValueError, match="3 rows were published instead of 4"):
        publish_merged(published, new_rows, "m", "run-2", IndexConfig())
