"""How the tests compare what a page shows with what a command prints."""

import pytest

from tests.support.shown_output import missing_lines

TABLE = """
┃ score    ┃ this run ┃ prior ┃
│ F1 micro │    0.526 │ 0.355 │
Model version 2 was made at 2026-11-24 12:00 in 1.6s.
"""


@pytest.mark.parametrize(
    "line",
    [
        "│ F1 micro │ 0.550 │ 0.330 │",
        "│ F1 micro │ 0.526 │ …",
        "Model version 2 was made …",
        "made at 2025-01-01 09:30 in 12s",
        "…",
    ],
)
def test_a_line_with_close_scores_and_other_times_is_found(line):
    assert missing_lines([line], TABLE) == []


@pytest.mark.parametrize(
    "line",
    [
        "│ F1 micro │ 0.580 │ 0.355 │",
        "│ F1 macro │ 0.526 │ 0.355 │",
        "Model version 3 was made …",
        "│ micro │ 0.526 │ 0.35 │ 1 │",
        "2 was made at … in 1.6s for nothing",
    ],
)
def test_another_word_score_or_count_is_missing(line):
    assert missing_lines([line], TABLE)


def test_whole_numbers_are_equal_and_percentages_close():
    assert missing_lines(["414 rows, 43% words"], "414 rows, 41% words") == []
    assert missing_lines(["414 rows, 43% words"], "414 rows, 39% words") != []
    assert missing_lines(["414 rows"], "413 rows") != []
    assert missing_lines(["version 1 of 2"], "version 1 of 12") != []
