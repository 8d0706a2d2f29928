import logging
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from tasks.core.contracts import MOVIES, DocumentsRef, UserError
from tasks.recommend.index import IndexConfig, publish_version
from tasks.recommend.scoring import RankConfig
from tasks.registry import refresh
from tasks.registry.champion import Champion
from tasks.registry.refresh import (
    count_dropped,
    drop_movies,
    mark_refreshed,
    refreshed_movies,
    target_source,
    with_known_values,
)
from tests.support.index_rows import rows
from tests.support.logs import messages
from tests.support.stored import stored_table

ROWS = pa.table({"source": ["movies", "movies", "films"], "id": ["1", "2", "1"]})


def test_the_only_source_needs_no_name():
    assert target_source(ROWS.slice(0, 2), None) == "movies"


@pytest.mark.parametrize("wanted", [None, "unknown"])
def test_of_several_sources_one_must_be_named(wanted):
    with pytest.raises(UserError, match=r"belong to with --into: films, movies\."):
        target_source(ROWS, wanted)
    assert target_source(ROWS, "films") == "films"


def movie(**values: Any) -> dict[str, Any]:
    empty = {
        name: [] if pa.types.is_list(MOVIES.field(name).type) else None for name in MOVIES.names
    }
    return empty | {"source": "new", "title": "T", "overview": "O"} | values


def test_what_a_file_leaves_empty_keeps_its_value():
    known = [
        movie(id="1", genres=["War"], people=["A"], year=1999, vote_count=7, language="en"),
        movie(id="2", genres=["Drama"], year=2001),
    ]
    new = [
        movie(id="1", title="Other", year=2000, vote_count=0),
        movie(id="2", genres=["Music"]),
        movie(id="3"),
    ]
    old, changed = (pa.Table.from_pylist(movies, schema=MOVIES) for movies in (known, new))
    complete = with_known_values(changed, old)
    assert complete.schema == MOVIES
    assert complete.to_pylist() == [
        known[0] | {"title": "Other", "year": 2000, "vote_count": 0},
        known[1] | {"genres": ["Music"]},
        new[2],
    ]


def test_only_movies_of_the_source_are_replaced():
    remaining = drop_movies(ROWS, "movies", pa.chunked_array([["1"]]))
    assert remaining.to_pylist() == [
        {"source": "movies", "id": "2"},
        {"source": "films", "id": "1"},
    ]


@pytest.fixture
def champion(artifacts, tmp_path) -> Champion:
    """Trained on the first movie of m; three refreshes added one movie of m and two of films."""
    movies = rows(["Alien", "Up", "Coco", "Cars"], source=["m", "m", "films", "films"])
    added = mark_refreshed(movies.slice(1)).select(movies.column_names).cast(movies.schema)
    index = publish_version(str(tmp_path / "lancedb"), [movies.slice(0, 1), added], "run-1")
    return Champion(index=index, rank=RankConfig(), run_id="1")


def training_on(*movies: tuple[str, str]) -> DocumentsRef:
    sources, ids = zip(*movies, strict=True)
    return stored_table(DocumentsRef, pa.table({"source": sources, "id": ids}))


@pytest.mark.parametrize(
    ("movies", "carried", "dropped"),
    [
        ([("m", "1")], ["Up"], 2),
        ([("m", "1"), ("m", "2")], [], 2),
        ([("m", "1"), ("films", "3")], ["Up", "Cars"], 0),
        ([("films", "2")], ["Coco", "Cars"], 1),
        ([("other", "2")], [], 3),
    ],
)
def test_refreshed_movies_of_sources_that_a_training_lacks_are_dropped(
    champion, movies, carried, dropped
):
    refreshed = refreshed_movies(champion, training_on(*movies))
    assert sorted(refreshed.carried["title"].to_pylist()) == sorted(carried)
    assert refreshed.dropped == dropped


def test_carried_movies_still_count_as_refreshed(champion, monkeypatch):
    """The promotion after the next one carries them over, too."""
    monkeypatch.setattr(refresh, "get_run_logger", lambda: logging.getLogger("refresh"))
    monkeypatch.setattr(refresh, "TextModel", lambda _: SimpleNamespace(to_index_rows=as_rows))
    trained = publish_version(champion.index.uri, [rows(["Alien"], source=["m"])], "run-2")
    documents: Any = training_on(("m", "1"), ("films", "9"))
    folders: Any = None
    index = refresh.carry_over.fn(trained, documents, champion, folders, IndexConfig())
    carried = refreshed_movies(champion.model_copy(update={"index": index}), documents).carried
    assert sorted(carried["title"].to_pylist()) == ["Cars", "Coco", "Up"]


def as_rows(movies: pa.Table) -> pa.Table:
    """Index rows of movies of a training."""
    titles, sources, ids = (movies[name].to_pylist() for name in ("title", "source", "id"))
    return rows(titles, source=sources, id=ids)


def test_dropped_movies_are_counted_and_logged(champion, monkeypatch, caplog):
    monkeypatch.setattr(refresh, "get_run_logger", lambda: logging.getLogger("refresh"))
    assert count_dropped(champion, training_on(("m", "1"), ("films", "3"))) == 0
    assert messages(caplog) == []
    assert count_dropped(champion, training_on(("m", "1"))) == 2
    assert messages(caplog) == [
        "2 movies of refreshes are of sources that this training lacks: a promotion drops them"
    ]
