import pyarrow as pa

from tasks.core.contracts import QUARANTINE
from tasks.data.quarantine import quarantine_summary


def test_quarantine_summary_has_a_row_per_reason_with_the_first_example():
    rows = [
        {"source": "m.csv", "row": row, "column": "id", "reason": reason, "value": str(row)}
        for row, reason in ((4, "bad_id"), (7, "duplicate_id"), (9, "duplicate_id"))
    ]
    summary_rows = quarantine_summary(pa.Table.from_pylist(rows, QUARANTINE))
    assert [(row["reason"], row["rows"], row["first_row"]) for row in summary_rows] == [
        ("duplicate_id", 2, 7),
        ("bad_id", 1, 4),
    ]
    assert quarantine_summary(QUARANTINE.empty_table()) == []
