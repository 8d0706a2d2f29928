"""Bounds of the registered model, and rows that cannot be answered."""

from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from flows.model import MAX_CHARACTERS, MAX_ROWS, MovieRecommender


def answers(model: MovieRecommender, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = model.predict(None, pd.DataFrame(rows)).to_dict("records")
    return listed


def test_a_request_of_too_many_rows_is_refused():
    with pytest.raises(MlflowException, match=r"at most 1000 rows \(got 1001\)"):
        answers(MovieRecommender(), [{"title": "Alien"}] * (MAX_ROWS + 1))


@pytest.mark.parametrize("column", ["title", "text"])
def test_a_text_that_is_too_long_is_that_row_s_error(column):
    (answer,) = answers(MovieRecommender(), [{column: "a" * (MAX_CHARACTERS + 1)}])
    assert answer["error"] == "A title or text may have at most 10000 characters (got 10001)."


def test_a_row_that_fails_leaves_the_others_their_answers(monkeypatch, caplog):
    def answered(_: object, row: dict[str, Any], limit: int) -> dict[str, Any]:
        if row["title"] == "broken":
            raise ZeroDivisionError("division by zero")
        return {"genres": ["War"]}

    monkeypatch.setattr(MovieRecommender, "_answered", answered)
    broken, whole = answers(MovieRecommender(), [{"title": "broken"}, {"title": "Alien"}])
    assert broken["error"] == "Failed: division by zero (ZeroDivisionError)."
    assert (whole["error"], whole["genres"]) == ("", ["War"])
    assert "A row could not be answered" in caplog.text
