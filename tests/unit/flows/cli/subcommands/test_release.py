"""What `release` prints of versions: a table that fits 80 columns, and the reasons below it."""

from flows.cli.subcommands.release import COLUMN_HEADS, show, show_reasons, version_columns

WHY = "neither F1 micro nor keyword nDCG@10 is significantly better than the champion's [rec]"
VERSIONS = [
    {
        "version": "12",
        "role": "champion",
        "made": "2026-11-27 21:45",
        "source": "movies_22k",
        "test_f1_micro": 0.6421,
        "test_f1_macro": None,
        "why": WHY,
    }
]


def test_versions_fit_80_columns_and_their_reasons_are_below(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show("versions", version_columns(VERSIONS))
    show_reasons(VERSIONS)
    table, _, reasons = capsys.readouterr().out.partition("┘\n")
    assert "2026-11-27 21:45" in table
    assert all(head in table for head in COLUMN_HEADS.values())
    assert ("0.642" in table, "–" in table) == (True, True)
    assert " ".join(reasons.split()) == f"12: {WHY}"
