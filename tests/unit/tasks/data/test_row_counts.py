from contextlib import nullcontext
from pathlib import Path

import pytest

from tasks.core.contracts import UserError
from tasks.data.row_counts import RowCounts
from tests.conftest import catalogue, movie, write_csv
from tests.support.source_files import validate_file


def count_rows(tmp_path: Path, rows: list[dict[str, str]]) -> RowCounts:
    counts = RowCounts()
    counts.add(validate_file(write_csv(tmp_path / "m.csv", rows)))
    return counts


def rows_without_id(count: int) -> list[dict[str, str]]:
    return [movie(number, "Horror") | {"id": "x"} for number in range(count)]


def test_too_many_invalid_rows_are_an_error_with_the_reasons(tmp_path):
    counts = count_rows(tmp_path, [*catalogue(35), *rows_without_id(15)])
    counts.require_usable("m.csv", 0.3)
    with pytest.raises(UserError) as error:
        counts.require_usable("m.csv", 0.2)
    assert str(error.value) == (
        "m.csv: 30% of the rows are invalid, more than --ingest.max-quarantined-share 0.2 allows: "
        "15 bad_id (first: m.csv row 36, column 'id')."
    )


def test_one_invalid_row_of_three_is_accepted(tmp_path):
    counts = count_rows(tmp_path, [*catalogue(2), *rows_without_id(1)])
    counts.require_usable("m.csv", 0.2)


@pytest.mark.parametrize(("rows", "is_error"), [(49, False), (50, True)])
def test_the_share_of_invalid_rows_is_checked_from_50_rows_on(tmp_path, rows, is_error):
    counts = count_rows(tmp_path, [*catalogue(rows - 20), *rows_without_id(20)])
    with pytest.raises(UserError) if is_error else nullcontext():
        counts.require_usable("m.csv", 0.2)


def test_missing_overviews_do_not_count_as_invalid(tmp_path):
    without_overview = [movie(100 + n, "Horror") | {"overview": ""} for n in range(20)]
    counts = count_rows(tmp_path, [*catalogue(5), *without_overview])
    counts.require_usable("m.csv", 0.0)
    assert (counts.rows, counts.kept, counts.reasons["missing_overview"]) == (25, 5, 20)


def test_a_source_without_valid_rows_is_rejected_with_the_reason(tmp_path):
    with pytest.raises(UserError, match=r"m.csv: the file has a header but no rows"):
        RowCounts().require_usable("m.csv", 0.2)
    counts = count_rows(tmp_path, [movie(1, "Horror") | {"overview": ""}])
    with pytest.raises(UserError, match=r"none of its 1 rows is valid: 1 missing_overview"):
        counts.require_usable("m.csv", 0.2)


def test_a_row_that_is_neither_kept_nor_quarantined_is_an_error(tmp_path):
    chunk = validate_file(write_csv(tmp_path / "m.csv", catalogue(3)))
    with pytest.raises(RuntimeError, match="do not sum to the rows read"):
        RowCounts().add(chunk._replace(rows=4))
