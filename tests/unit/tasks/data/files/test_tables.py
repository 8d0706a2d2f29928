"""Tables of every dialect, encoding and format are read back as they were written."""

import codecs
import csv
import gzip
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.core.contracts import UserError
from tasks.data.columns import is_usual_name
from tasks.data.files.delimited import DamagedLine
from tasks.data.files.tables import Table, open_table

HEADER = ["id", "title", "overview", "genres"]
ROWS = [
    ["1", "Alien", "A ghost ship, far away.", "Horror, Science Fiction"],
    ["2", 'The "Big" One', "Two\nlines; and a | pipe", "Drama"],
    ["3", "Amélie", "千と千尋", ""],
]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
FEW = settings(max_examples=30)
tables = st.lists(st.lists(texts, min_size=4, max_size=4), min_size=1, max_size=6)


def written(
    rows: list[list[str]], encoding: str = "utf-8", mark: bytes = b"", **dialect: Any
) -> bytes:
    """A table as delimited text."""
    file = io.StringIO(newline="")
    csv.writer(file, **dialect).writerows([HEADER, *rows])
    return mark + file.getvalue().encode(encoding)


def opened(content: bytes, name: str = "m.csv", **options: Any) -> tuple[Table, list[Any]]:
    """The table of a file with this content, and its rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        table = open_table(path, known=is_usual_name, **options)
        return table, list(table.rows)


DIALECTS = [
    {},
    {"delimiter": ";"},
    {"delimiter": "\t"},
    {"delimiter": "|"},
    {"quoting": csv.QUOTE_ALL},
]


@FEW
@given(tables)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_table_in_any_dialect_reads_back_equal(dialect, rows):
    _, read = opened(written(rows, **dialect))
    assert read == rows


@FEW
@given(tables)
@example(ROWS)
def test_a_table_with_backslashes_before_quotes_reads_back_equal(rows):
    quoted = [["1", 'A "word", and more', "text", "Drama"], *rows]
    dialect = {"doublequote": False, "escapechar": "\\", "quoting": csv.QUOTE_ALL}
    table, read = opened(written(quoted, **dialect))
    assert table.format.escape == "\\"
    assert read == quoted


@FEW
@given(tables)
@pytest.mark.parametrize(
    ("encoding", "mark", "name"),
    [
        ("utf-8", codecs.BOM_UTF8, "comma-separated, UTF-8 with BOM"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "comma-separated, UTF-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "comma-separated, UTF-16"),
        ("utf-16-le", b"", "comma-separated, utf-16-le"),
    ],
)
def test_the_encoding_is_detected(encoding, mark, name, rows):
    table, read = opened(written(rows, encoding, mark))
    assert read == rows
    assert str(table.format) == name


def test_an_encoding_that_cannot_be_told_is_proposed_and_given():
    content = written(
        [["1", "Amélie", "Un café à Montmartre, où tout est décidé.", "Comédie"]], "cp1252"
    )
    with pytest.raises(
        UserError, match=r"row 1, column 'title' is not UTF-8.* --ingest.encoding cp1252"
    ):
        opened(content)
    _, read = opened(content, encoding="cp1252")
    assert read[0][1] == "Amélie"


def test_a_given_delimiter_is_not_questioned():
    table, _ = opened(written(ROWS, delimiter=";"), delimiter=",")
    assert table.header == ["id;title;overview;genres"]


@pytest.mark.parametrize("first", ["sep=;\r\n", "\ufeffsep=;\n"])
def test_a_line_that_tells_excel_the_delimiter_is_no_header(first):
    _, read = opened(first.encode() + written(ROWS, delimiter=";"))
    assert read == ROWS


def test_a_space_after_a_delimiter_is_no_text():
    table, read = opened(
        b'id, title, overview, genres\n1, "Alien, a film", "A ship, lost", Horror\n'
    )
    assert table.header == HEADER
    assert read == [["1", "Alien, a film", "A ship, lost", "Horror"]]


def as_objects(rows: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(HEADER, row, strict=True)) for row in rows]


@FEW
@given(tables)
def test_json_of_any_form_reads_back_equal(rows):
    objects = as_objects(rows)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in objects)
    cells = zip(HEADER, zip(*rows, strict=True), strict=True)
    columns = {name: dict(enumerate(column)) for name, column in cells}
    whole = (objects, {"movies": objects, "count": 1}, columns)
    for text in (*map(json.dumps, whole), json.dumps(whole[1], indent=1), lines):
        table, read = opened(text.encode(), "m.json")
        assert (table.header, read) == (HEADER, rows)


def test_the_only_movie_of_a_file_is_one_movie_though_it_has_a_list():
    genres = [{"id": 27, "name": "Horror"}]
    movie = {"id": 1, "title": "Alien", "overview": "A ship.", "genres": genres}
    table, read = opened(json.dumps(movie).encode(), "m.json")
    assert (table.header, len(read)) == (HEADER, 1)
    assert json.loads(read[0][3]) == genres


def test_a_line_that_is_no_object_is_damaged_and_later_keys_are_columns():
    content = b'{"id": 1}\n{"id": 2, "tit\n{"id": 3, "title": "Alien", "genres": ["Horror"]}\n'
    table, read = opened(content, "m.jsonl")
    assert table.header == ["id", "title", "genres"]
    assert read == [["1", "", ""], DamagedLine('{"id": 2, "tit'), ["3", "Alien", '["Horror"]']]


@pytest.mark.parametrize("content", [b"[1, 2]", b'{"a": 1', b'[{"a": 1}', b'{"a":\n1}'])
def test_other_json_is_refused_with_advice(content):
    with pytest.raises(UserError, match="JSON must be a list of objects, an object a line"):
        opened(content, "m.json")


@FEW
@given(tables)
def test_parquet_under_any_name_reads_back_equal(rows):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(as_objects(rows)), file)
    for name in ("m.parquet", "films.pq", "movies"):
        table, read = opened(file.getvalue(), name)
        assert (table.header, read) == (HEADER, rows)


def test_binary_map_and_repeated_columns_of_parquet_are_read(tmp_path):
    columns = {
        "title": pa.array([b"Am\xc3\xa9lie", None]),
        "genres": pa.array([[("Drama", 1), ("War", 1)], None], pa.map_(pa.string(), pa.int64())),
        "tags": pa.array([[(1, "dog")], []], pa.map_(pa.int64(), pa.string())),
        "names": pa.array([[b"x", None], None], pa.list_(pa.binary())),
    }
    table = pa.table([*columns.values(), pa.array(["second", ""])], [*columns, "title"])
    pq.write_table(table, tmp_path / "m.parquet")
    opened_table = open_table(tmp_path / "m.parquet")
    assert list(opened_table.rows) == [
        ["Amélie", '["Drama", "War"]', '["dog"]', '["x", null]', "second"],
        ["", "", "[]", "", ""],
    ]


@pytest.mark.parametrize("content", [b"", codecs.BOM_UTF8, b"\n \n", gzip.compress(b"", mtime=0)])
def test_a_file_without_text_is_empty(content):
    with pytest.raises(UserError, match=r"m\.csv: the file is empty"):
        opened(content)


def test_an_encoding_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"--ingest.encoding latin-99: there is no such encoding"):
        opened(written(ROWS), encoding="latin-99")


def test_a_file_that_is_no_spreadsheet_is_refused():
    with pytest.raises(UserError, match=r"m\.xlsx: the spreadsheet cannot be read"):
        opened(b"PK\x03\x04     ", "m.xlsx")


def workbook(sheets: dict[str, list[list[str]]]) -> bytes:
    """A spreadsheet, as Excel packs it."""
    file = io.BytesIO()
    names = enumerate(sheets, 1)
    entries = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in names)
    targets = [f"worksheets/s{n}.xml" for n in range(1, len(sheets) + 1)]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "xl/workbook.xml", f"<workbook {NAMESPACES}><sheets>{entries}</sheets></workbook>"
        )
        archive.writestr("_rels/.rels", relationships("officeDocument", ["xl/workbook.xml"]))
        archive.writestr("xl/_rels/workbook.xml.rels", relationships("worksheet", targets))
        for n, rows in enumerate(sheets.values(), 1):
            cells = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            archive.writestr(
                f"xl/worksheets/s{n}.xml",
                f"<worksheet {NAMESPACES}><sheetData>{cells}</sheetData></worksheet>",
            )
    return file.getvalue()


OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
NAMESPACES = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{OFFICE}"'


def relationships(kind: str, targets: list[str]) -> str:
    entries = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, target in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{RELATIONS}">{entries}</Relationships>'


def cell(text: str) -> str:
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


def test_all_sheets_with_movies_are_read_and_a_cover_is_not():
    rows = [["1", "Alien", "A ship.", "Horror"], ["2", "Up", "A house.", "Drama"]]
    sheets = {"Cover": [["Films"]], "2023": [HEADER, rows[0]], "2024": [HEADER, rows[1]]}
    table, read = opened(workbook(sheets), "m.xlsx")
    assert (table.header, read) == (HEADER, rows)
    assert str(table.format) == "spreadsheet, sheets 2023, 2024 of 3"
    alone, _ = opened(workbook({"2023": [HEADER, rows[0]]}), "movies")
    assert str(alone.format) == "spreadsheet"


def test_text_under_the_name_of_a_spreadsheet_is_text():
    table, read = opened(written(ROWS), "m.xls")
    assert (table.header, read) == (HEADER, ROWS)


@pytest.mark.parametrize(
    ("start", "kind"), [(b"ARROW1\0\0", "Feather"), (b"\x80\x04\x95", "pickle")]
)
def test_a_file_of_another_kind_is_named(start, kind):
    with pytest.raises(UserError, match=rf"a {kind} file is not read\. Export it as parquet"):
        opened(start + b"\xff" * 99)


def test_blank_lines_before_the_header_are_none():
    table, read = opened(b"\n\n" + written(ROWS, delimiter=";"))
    assert (table.header, read) == (HEADER, ROWS)


def test_backslashes_that_escape_no_quote_are_text():
    """As MySQL writes it: no value is a backslash and N."""
    lines = [r'"1","C:\new","A \"big\" day.\nTwo","\N"', r'"2","a \\ b","x","Drama"']
    text = '"id","title","overview","genres"\n' + "\n".join(lines) + "\n"
    _, read = opened(text.encode())
    assert read == [
        ["1", r"C:\new", r'A "big" day.\nTwo', r"\N"],
        ["2", r"a \ b", "x", "Drama"],
    ]


def test_a_space_after_the_delimiter_is_no_text():
    text = (
        'id, title, overview, genres\n1, "Heat", "A cop.", "Crime"\n2, "Up", "A house.", "Drama"\n'
    )
    _, read = opened(text.encode())
    assert read == [["1", "Heat", "A cop.", "Crime"], ["2", "Up", "A house.", "Drama"]]


def test_a_list_a_column_on_one_line_is_a_table():
    columns = {name: [row[n] for row in ROWS] for n, name in enumerate(HEADER)}
    table, read = opened(json.dumps(columns).encode(), "m.json")
    assert (table.header, read) == (HEADER, ROWS)


def test_several_tables_of_one_file_are_refused_by_name():
    movies = as_objects(ROWS)
    with pytest.raises(UserError, match=r"m\.json: the JSON has several tables: movies, series\."):
        opened(json.dumps({"movies": movies, "series": movies}).encode(), "m.json")


def test_half_of_a_pair_of_surrogates_is_replaced():
    text = '[{"title": "Heat \\ud83d", "overview": "\\ud83c\\udfac"}]'
    _, read = opened(text.encode(), "m.json")
    assert read == [["Heat \ufffd", "\U0001f3ac"]]


def test_columns_of_parquet_that_are_not_read_may_hold_anything(tmp_path):
    far = pa.array([10**17], pa.int64()).cast(pa.timestamp("ms"))
    columns = {"title": ["Up"], "poster": pa.array([b"\xff\xd8"]), "added": far}
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    table = open_table(tmp_path / "m.parquet", known=is_usual_name)
    assert list(table.rows) == [["Up", "", ""]]
