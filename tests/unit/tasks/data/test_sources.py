import bz2
import gzip
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import UserError
from tasks.data.columns import Columns, find_columns
from tasks.data.sources import (
    open_file,
    resolve_source,
    source_name,
)
from tests.conftest import movie, write_csv


@pytest.fixture
def plain(tmp_path) -> Path:
    return write_csv(tmp_path / "movies.csv", [movie(1, "Horror"), movie(2, "Music")])


def titles(path: Path) -> list[str]:
    source = open_file(path)
    return [row[source.positions["title"]] for row in source.rows]


def test_compressed_files_have_the_rows_of_the_plain_file(plain, tmp_path):
    content, expected = plain.read_bytes(), titles(plain)
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "m.csv.bz2").write_bytes(bz2.compress(content))
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.write(plain, "movies.csv")
    for name in ("m.csv.gz", "m.csv.bz2", "m.zip"):
        assert titles(tmp_path / name) == expected


def test_byte_order_mark_and_quoted_newlines_are_read(tmp_path):
    path = write_csv(tmp_path / "m.csv", [movie(1, "Horror") | {"title": "Two\nlines"}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert titles(path) == ["Two\nlines"]


def test_nested_parquet_values_become_json(tmp_path):
    rows = [{**movie(1, "Horror"), "id": 1001, "genres": [{"id": 27, "name": "Horror"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    source = open_file(tmp_path / "m.parquet")
    (row,) = source.rows
    assert row[source.positions["id"]] == "1001"
    assert row[source.positions["genres"]] == '[{"id": 27, "name": "Horror"}]'


def test_a_glob_pattern_is_one_source_with_several_files(tmp_path):
    for part in ("b", "a"):
        write_csv(tmp_path / f"films-{part}.csv", [movie(1, "Horror")])
    source = resolve_source(str(tmp_path / "films-*.csv"))
    assert source.name == "films-"
    assert [path.name for path in source.files] == ["films-a.csv", "films-b.csv"]


def test_folders_that_are_named_as_columns_are_columns_and_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {name: cell for name, cell in movie(1, "Horror").items() if name != "release_date"}
    for year in ("1999", "2004"):
        (tmp_path / f"year={year}").mkdir()
        write_csv(tmp_path / f"year={year}" / "movies.csv", [row], list(row))
    assert source_name("year=1999/movies.csv") == "movies"
    assert source_name("films=year=1999/movies.csv") == "films"
    source = resolve_source("year=*/movies.csv")
    files = [open_file(path) for path in source.files]
    years = [next(file.rows)[file.positions["release_date"]] for file in files]
    assert (source.name, years) == ("movies", ["1999", "2004"])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/movies.csv", "movies"),
        ("movies.csv.gz", "movies"),
        ("tmdb=data/movies.csv", "tmdb"),
        ("s3://bucket/folder/films.parquet", "films"),
        ("it's (1).csv", "its1"),
        ("***", "source"),
    ],
)
def test_the_name_of_a_source_is_its_prefix_or_the_stem_of_its_file(source, name):
    assert source_name(source) == name


def test_a_uri_is_downloaded_again_only_if_it_changed(artifacts):
    memory = fsspec.filesystem("memory")
    memory.pipe("/films.csv", b"id\n1\n")
    (first,) = resolve_source("memory://films.csv").files
    assert first.read_bytes() == b"id\n1\n"
    assert artifacts in first.parents
    assert resolve_source("memory://films.csv").files == (first,)
    memory.pipe("/films.csv", b"id\n2\n")
    (second,) = resolve_source("memory://films.csv").files
    assert second.read_bytes() == b"id\n2\n"


def test_a_file_of_an_archive_can_be_chosen(plain, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(plain, "movies.csv")
        archive.write(plain, "other.csv")
    with pytest.raises(UserError, match=r"the archive has 2 files .* zip://movies.csv::"):
        open_file(tmp_path / "all.zip")
    (path,) = resolve_source(f"zip://movies.csv::{tmp_path}/all.zip").files
    assert titles(path) == titles(plain)


@pytest.mark.parametrize(
    "source",
    ["nope.csv", "nope-*.csv", "memory://nope.csv", "memory://nope-*.csv", "nowhere://x.csv"],
)
def test_the_error_for_a_missing_source_names_it(source):
    with pytest.raises(UserError, match=source.replace("*", r"\*")):
        resolve_source(source)


def test_a_folder_is_no_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"is a folder\. Give a file of movies, such as CSV"):
        resolve_source(str(tmp_path))


def test_kaggle_is_downloaded_with_kagglehub_and_ratings_only_if_configured(monkeypatch, tmp_path):
    downloads: list[str] = []

    def download(dataset: str, path: str) -> str:
        assert dataset == "rounakbanik/the-movies-dataset"
        downloads.append(path)
        return str(tmp_path / path)

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    assert resolve_source("kaggle").files == (tmp_path / "movies_metadata.csv",)
    assert downloads == ["movies_metadata.csv"]
    resolve_source("kaggle", with_ratings=True)
    assert downloads[1:] == ["ratings_small.csv", "links_small.csv", "movies_metadata.csv"]


def test_the_error_for_a_missing_kagglehub_has_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install .* '\.\[kaggle\]'"):
        resolve_source("kaggle")


def error_message(path: Path) -> str:
    with pytest.raises(UserError) as error:
        list(open_file(path).rows)
    return str(error.value)


def test_an_empty_file_is_rejected(tmp_path):
    (tmp_path / "m.csv").touch()
    assert "the file is empty" in error_message(tmp_path / "m.csv")


def test_the_error_for_a_missing_column_lists_the_columns_of_the_file(tmp_path):
    path = write_csv(tmp_path / "m.csv", [], ["id", "title", "genres"])
    assert error_message(path) == (
        "m.csv: no column 'overview' (has: id, title, genres). "
        "Map it with --ingest.columns.overview NAME."
    )


def test_a_mapped_column_must_exist():
    header = ["movie_id", "title", "plot", "genre"]
    assert find_columns("m.csv", header, Columns())["overview"] == 2
    assert find_columns("m.csv", header, Columns(overview="genre"))["overview"] == 3
    with pytest.raises(UserError, match="no column 'text'"):
        find_columns("m.csv", header, Columns(overview="text"))


def test_the_error_for_another_encoding_has_row_and_column(tmp_path):
    rows = [movie(1, "Horror"), movie(2, "Music") | {"title": "Amélie"}]
    path = write_csv(tmp_path / "m.csv", rows)
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert "row 2, column 'title' is not UTF-8" in error_message(path)


def test_binary_content_is_rejected(tmp_path):
    (tmp_path / "m.csv").write_bytes(bytes(range(128, 256)) * 8)
    assert "its header is not UTF-8" in error_message(tmp_path / "m.csv")


@pytest.mark.parametrize("name", ["m.parquet", "m.csv.gz", "m.zip", "m.csv.bz2"])
def test_a_damaged_archive_or_parquet_file_is_rejected(tmp_path, name):
    (tmp_path / name).write_text("not an archive")
    assert name in error_message(tmp_path / name)


def test_a_truncated_archive_is_rejected(plain, tmp_path):
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(plain.read_bytes() * 50)[:-30])
    assert "the file cannot be read" in error_message(tmp_path / "m.csv.gz")


def test_folders_of_no_value_and_of_the_day_of_writing_are_no_columns(tmp_path):
    folder = tmp_path / "date=2024-05-01" / "genre=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    row = {"id": "1", "title": "Up", "overview": "A house."}
    file = open_file(write_csv(folder / "m.csv", [row], list(row)))
    assert file.header == ["id", "title", "overview", "genre"]
    assert list(file.rows) == [["1", "Up", "A house.", ""]]
