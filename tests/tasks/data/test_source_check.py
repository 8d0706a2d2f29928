import pytest

from tasks.core.contracts import UserError
from tasks.data import source_check
from tasks.data.ingest import IngestConfig, read_chunks
from tasks.data.labels import LabelConfig
from tasks.data.preprocess import TextConfig
from tasks.data.source_check import require_trainable
from tests.conftest import catalogue, movie, write_csv


def look(path, **labels: int) -> str:
    return require_trainable([str(path)], IngestConfig(), TextConfig(), LabelConfig(**labels))


def test_sixty_movies_can_be_trained_on(tmp_path):
    assert look(write_csv(tmp_path / "m.csv", catalogue(60))) == "m.csv"


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_movies_are_refused(tmp_path, count):
    with pytest.raises(UserError, match="needs a genre that 5 train movies carry"):
        look(write_csv(tmp_path / "m.csv", catalogue(count)))


def test_movies_of_one_text_fall_into_one_split_and_are_refused(tmp_path):
    equal = [movie(1, "Horror") | {"id": str(number)} for number in range(1, 61)]
    with pytest.raises(UserError) as caught:
        look(write_csv(tmp_path / "m.csv", equal), min_support=1)
    assert str(caught.value).startswith(
        "m.csv: too few different movies to train on: 60 usable movies with 1 different overviews"
    )


def test_a_source_without_train_movies_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(source_check, "assign_split", lambda *_: "test")
    with pytest.raises(UserError, match="none is here"):
        look(write_csv(tmp_path / "m.csv", catalogue(60)))


def test_a_source_of_nothing_but_damage_says_so(tmp_path):
    damaged = [row | {"id": "x"} for row in catalogue(60)]
    with pytest.raises(UserError, match="none of its 60 rows can be used: 60 bad_id"):
        look(write_csv(tmp_path / "m.csv", damaged))


def test_no_more_is_read_than_it_takes(tmp_path, monkeypatch):
    read = []

    def counted(*args):
        for chunk in read_chunks(*args):
            read.append(chunk.rows)
            yield chunk

    monkeypatch.setattr(source_check, "read_chunks", counted)
    look(write_csv(tmp_path / "m.csv", catalogue(2000)))
    assert sum(read) <= 400
