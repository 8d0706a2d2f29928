import pyarrow as pa
import pytest

from tasks.core.contracts import UserError
from tasks.registry.refresh import drop_movies, target_source

ROWS = pa.table({"source": ["movies", "movies", "films"], "id": ["1", "2", "1"]})


def test_the_only_source_needs_no_name():
    assert target_source(ROWS.slice(0, 2), None) == "movies"


@pytest.mark.parametrize("wanted", [None, "unknown"])
def test_of_several_sources_one_must_be_named(wanted):
    with pytest.raises(UserError, match=r"belong to with --into: films, movies\."):
        target_source(ROWS, wanted)
    assert target_source(ROWS, "films") == "films"


def test_only_movies_of_the_source_are_replaced():
    remaining = drop_movies(ROWS, "movies", pa.chunked_array([["1"]]))
    assert remaining.to_pylist() == [
        {"source": "movies", "id": "2"},
        {"source": "films", "id": "1"},
    ]
