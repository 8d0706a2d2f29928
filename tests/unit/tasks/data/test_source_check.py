import pytest

from tasks.core.contracts import UserError
from tasks.data import source_check
from tasks.data.ingest import IngestConfig, read_files
from tasks.data.labels import LabelConfig
from tasks.data.preprocess import TextConfig
from tasks.data.source_check import require_trainable
from tests.conftest import catalogue, movie, write_csv


def check(path, **labels: int) -> str:
    return require_trainable([str(path)], IngestConfig(), TextConfig(), LabelConfig(**labels))


def test_sixty_movies_are_sufficient(tmp_path):
    assert check(write_csv(tmp_path / "m.csv", catalogue(60))) == "m.csv"


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_movies_are_rejected(tmp_path, count):
    with pytest.raises(UserError, match="No genre has the 5 training movies"):
        check(write_csv(tmp_path / "m.csv", catalogue(count)))


def test_movies_with_equal_overviews_are_in_one_split_and_are_rejected(tmp_path):
    duplicates = [movie(1, "Horror") | {"id": str(number)} for number in range(1, 61)]
    with pytest.raises(UserError) as error:
        check(write_csv(tmp_path / "m.csv", duplicates), min_support=1)
    assert str(error.value).startswith(
        "m.csv: too few different movies to train on: 60 valid movies with 1 different overviews"
    )


def test_a_source_without_training_movies_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(source_check, "split_of_overview", lambda *_: "test")
    with pytest.raises(UserError, match="No genre has the 5 training movies"):
        check(write_csv(tmp_path / "m.csv", catalogue(60)))


def test_the_error_for_a_source_without_valid_rows_has_the_reasons(tmp_path):
    invalid = [row | {"id": ""} for row in catalogue(60)]
    with pytest.raises(UserError, match="none of its 60 rows is valid: 60 bad_id"):
        check(write_csv(tmp_path / "m.csv", invalid))


def test_reading_stops_when_there_are_enough_movies(tmp_path, monkeypatch):
    rows_read = []

    def read_and_count(*args):
        for chunk in read_files(*args):
            rows_read.append(chunk.rows)
            yield chunk

    monkeypatch.setattr(source_check, "read_files", read_and_count)
    check(write_csv(tmp_path / "m.csv", catalogue(2000)))
    assert sum(rows_read) <= 400


def test_a_joined_file_without_a_needed_column_is_rejected_before_a_run(tmp_path):
    movies = write_csv(tmp_path / "m.csv", catalogue(60))
    config = IngestConfig(credits=str(write_csv(tmp_path / "c.csv", [], ["id", "cast"])))
    with pytest.raises(UserError, match="no column 'crew'"):
        require_trainable([str(movies)], config, TextConfig(), LabelConfig())
