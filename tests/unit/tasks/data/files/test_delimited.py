"""One wrong character costs the row that it is in, and changes no other."""

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.data.files.delimited import MAX_RECORD_LINES, DamagedLine, read_records
from tasks.data.files.detection import TEXT

#: Marks stand between letters: `,",` and the like can, with another quote, be read in two ways.
parts = st.sampled_from(["abc", "é", "it's", "-", "a, b", 'say "x" and', "c\nd", "f\n12 g", "7"])
words = st.lists(parts, max_size=4).map(" ".join)
rows_of_text = st.lists(st.tuples(words, words, words), min_size=2, max_size=8)


def written(rows: list[list[str]], **dialect: Any) -> list[str]:
    """The text of each row."""
    lines = []
    for row in rows:
        file = io.StringIO(newline="")
        csv.writer(file, lineterminator="\n", **dialect).writerow(row)
        lines.append(file.getvalue())
    return lines


def read(text: str) -> list[Any]:
    return list(read_records(io.StringIO(text, newline=""), TEXT))


@given(
    rows_of_text,
    st.sampled_from(['"', ",", "\n", "\0", '""']),
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
@example([("Sly Fox", "a", "b"), ("x", "y", "z"), ("x", "y", "z")], '"', 3, False, 0)
def test_a_wrong_character_changes_no_other_row(rows, character, place, replaces, quoting):
    numbered = [["id", "title", "overview", "genres"]]
    numbered += [[str(number), *row] for number, row in enumerate(rows, 1)]
    lines = written(numbered, quoting=quoting)
    damaged = 1 + place % len(rows)
    line = lines[damaged]
    at = place % (len(line) - 1)  # not the line's end
    lines[damaged] = line[:at] + character + line[at + replaces :]
    records = read("".join(lines))
    for number, row in enumerate(numbered):
        if number != damaged:
            assert records.count(row) == 1, (number, row, records)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_text_with_a_line_like_a_row_is_text_if_a_quote_ends_it(quoting):
    rows = [["id", "title", "overview", "genres"], ["2", "f\n12, g", "", "c\nd"]]
    assert read("".join(written(rows, quoting=quoting))) == rows


@pytest.mark.parametrize("last", [',\n2,,",a",\n', '"""\n2,,",a",\n'])
def test_a_quote_within_a_cell_opens_no_other(last):
    """Python's reader takes `a"` for a cell, and what comes before it for text."""
    records = read(f'id,title,overview,genres\n1,"{last}3,x,y,z\n')
    assert ["2", "", ",a", ""] in records
    assert records[-1] == ["3", "x", "y", "z"]


@pytest.mark.parametrize("rows", [5, 3 * MAX_RECORD_LINES])
def test_a_quote_that_is_never_closed_costs_its_own_line(rows):
    lines = [f"{number},Title {number},Text,Drama\n" for number in range(rows)]
    lines[2] = '2,"Sly Fox,Text,Drama\n'
    records = read("id,title,overview,genres\n" + "".join(lines))
    assert len(records) == rows + 1
    assert records[3] == ["2", '"Sly Fox', "Text", "Drama"]
    assert records[-1] == [str(rows - 1), f"Title {rows - 1}", "Text", "Drama"]


def test_two_stray_quotes_in_one_column_do_not_swallow_the_rows_between():
    lines = ["id,title,overview,genres"]
    lines += [f"{number},Title {number},Text,Drama" for number in range(6)]
    lines[2], lines[5] = '1,"Sly Fox,Text,Drama', '4,Tom",Text,Drama'
    records = read("\n".join(lines))
    assert [record[0] for record in records] == ["id", "0", "1", "2", "3", "4", "5"]


def test_lines_in_a_quoted_cell_are_text_though_they_have_commas():
    text = 'id,title,overview,genres\n1,Kill,"One\nRed, white, blue, and gold\nend",Drama\n'
    assert read(text)[1] == ["1", "Kill", "One\nRed, white, blue, and gold\nend", "Drama"]


def test_quotes_within_a_cell_without_quotes_are_letters():
    text = 'id,title,overview,genres\n1,"Crocodile" Dundee,A man,Comedy\n2,9" nails,x,Drama\n'
    assert [record[1] for record in read(text)[1:]] == ['"Crocodile" Dundee', '9" nails']


def test_a_quoted_row_with_a_stray_quote_is_damaged():
    text = '"id","title","overview","genres"\n"1","A "big" one","x","Drama"\n"2","B","y","War"\n'
    assert read(text)[1:] == [DamagedLine('"1","A "big" one","x","Drama"'), ["2", "B", "y", "War"]]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_two_stray_quotes_do_not_swallow_the_rows_between_them(delimiter):
    rows = [[f"tt{n:07d}", f"Film {n}", f"Text {n}.", "Drama"] for n in range(400)]
    lines = [delimiter.join(row) for row in [["id", "title", "overview", "genres"], *rows]]
    lines[21] = lines[21].replace("Film 20", '"Film 20')
    lines[321] = lines[321].replace("Film 320", 'Film 320"')
    records = list(
        read_records((f"{line}\n" for line in lines), TEXT._replace(delimiter=delimiter))
    )
    assert len(records) == 401
    assert [row for row in rows if row not in records] == [rows[20], rows[320]]


def test_text_with_commas_is_no_row():
    text = [["One, two, three, four", "x", "y", "z"], ["a\nb, c, d, e\nf, g, h, i", "x", "y", "z"]]
    header = ["title", "overview", "genres", "year"]
    assert read("".join(written([header, *text]))) == [header, *text]
