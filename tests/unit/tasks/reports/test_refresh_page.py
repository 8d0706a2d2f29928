import pyarrow as pa
import pytest

from tasks.core.contracts import QUARANTINE, IndexRef, QuarantineRef, RefreshRef
from tasks.reports.page_parts import MovieList
from tasks.reports.refresh_changes import Changes
from tasks.reports.refresh_page import (
    RefreshContext,
    RefreshOutcome,
    quarantined_text,
    refresh_title,
    refresh_verdict,
    render_refresh,
)
from tasks.reports.refresh_report import refresh_markdown
from tests.unit.tasks.reports.test_verdict import INGESTED

QUARANTINED = INGESTED.model_copy(
    update={
        "source": "new.csv",
        "reasons": {"bad_id": 1, "missing_title": 2},
        "quarantine": QuarantineRef(paths=("q",), digest="d", rows=3),
    }
)
OUTCOME = RefreshOutcome(
    ingested=QUARANTINED,
    refreshed=RefreshRef(index=IndexRef(uri="u", tag="t", rows=1010), added=10, updated=2),
    version="4",
    before="3",
    trained="trained on movies by train-default-movies",
)
UPDATED = [
    {"id": "1", "title": "A", "title before": None, "changed": []},
    {"id": "2", "title": "B", "title before": "C", "changed": ["title"]},
]
MOVIE = {"id": "9", "title": "<b>New</b>", "year": None, "genres": []}
CHANGES = Changes(added=[MOVIE] * 10, updated=UPDATED)


@pytest.fixture
def html() -> str:
    return render_refresh(context_of())


def context_of() -> RefreshContext:
    return RefreshContext(
        title=refresh_title(OUTCOME),
        run="refresh, MLflow run abc",
        verdict=refresh_verdict(OUTCOME, CHANGES),
        lists=[MovieList("<b>New</b>", {"": ["Alien (1979)"]}, "Genres (predicted): none")],
        lists_caption="Lists.",
        added=[MOVIE],
        updated=[],
        rows="Rows read: 15.",
        quarantine=pa.table({name: [] for name in QUARANTINE.names}, schema=QUARANTINE),
        command="movie-recommender refresh new.csv",
        origin={},
        settings={},
    )


def test_the_verdict_of_a_refresh_says_which_version_answers_and_with_whose_models():
    verdict = refresh_verdict(OUTCOME, CHANGES)
    texts = {finding.title: finding.text for finding in verdict.findings}
    assert verdict.headline == "Version 4 is the champion: 10 movies added, 2 updated."
    assert texts["Movies"] == "1,010 movies now; version 3 had 1,000."
    assert texts["Models"].startswith(
        "Those of version 3, trained on movies by train-default-movies. A refresh trains nothing"
    )
    assert texts["Updated"].startswith("1 movie changed, 1 as before.")
    assert texts["Left out"] == "3 rows quarantined: bad id (1), missing title (2)."


def test_a_refresh_without_updates_says_nothing_of_them():
    verdict = refresh_verdict(OUTCOME, CHANGES._replace(updated=[]))
    assert "Updated" not in {finding.title for finding in verdict.findings}


def test_a_file_without_quarantined_rows_says_so():
    assert quarantined_text(INGESTED) == "No row was quarantined."


def test_the_page_has_lists_and_tables_and_escapes_titles(html):
    assert "<b>New" not in html
    assert "<h3>&lt;b&gt;New&lt;/b&gt;</h3>" in html
    assert "<ol><li>Alien (1979)</li></ol>" in html
    assert "No movie of the catalogue was in the file." in html
    assert "No row was quarantined." in html


def test_the_page_of_a_refresh_loads_nothing_from_other_addresses(html):
    assert "default-src 'none'" in html
    assert "http" not in html.replace("http-equiv", "")


def test_the_summary_in_prefect_has_the_headline_and_the_findings():
    text = refresh_markdown("new.csv: 10 movies added", refresh_verdict(OUTCOME, CHANGES))
    assert text.startswith("# new.csv: 10 movies added\n\nVersion 4 is the champion")
    assert "- Left out: 3 rows quarantined" in text


@pytest.mark.parametrize(("rows", "shown"), [(20, " open"), (21, "")])
def test_a_long_table_is_folded(rows, shown):
    html = render_refresh(context_of().model_copy(update={"added": [MOVIE] * rows}))
    assert f'<details class="card table"{shown}>\n<summary>New movies ({rows})' in html
