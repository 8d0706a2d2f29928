import gzip
import json
import re
from base64 import b64decode
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import StageTime
from tasks.reports.page import (
    ReportContext,
    format_cell,
    render_html,
    to_image,
    truncated_table,
    with_intervals,
)
from tasks.reports.plots import DPI, save_figures
from tasks.reports.run_plots import stage_waterfall
from tasks.reports.sections import SECTIONS
from tests.support.report_html import panel

CONTEXT = ReportContext(
    title="movies.csv: 7 movies",
    run="train-default-movies, MLflow run abc",
    protocol="held-out",
    notes=["Held-out: no model saw the test movies."],
    scores=[("F1 micro", "0.612", "0.500 to 0.700", "0.600", "–")],
    gate_missing="There was no champion.",
    rows="Rows: 10",
    quarantined=[{"reason": "bad_id", "rows": 1}],
    quarantined_rows=[{"row": 4, "value": "</td><script>alert(1)</script>"}],
    quarantined_more=5,
    command="movie-recommender train '--source=[\"movies.csv\"]'",
    origin={"source": "movies.csv"},
    settings={"preset": "default"},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stored outputs of the stages: a figure, a map and a table."""
    save_figures({"stages": stage_waterfall([StageTime("ingest", 0, 1, 1)])}, tmp_path)
    movies = {"x": [0.0, 1.0], "y": [0.0, 1.0], "title": ["A", "<b>B"], "genre": ["War", "Drama"]}
    pq.write_table(pa.table(movies), tmp_path / "map.parquet")
    pq.write_table(pa.table({"genre": ["War"], "f1": [0.25]}), tmp_path / "genres.parquet")
    return tmp_path


def decompressed(html: str, name: str) -> str:
    """The content of a compressed script."""
    (compressed,) = re.findall(rf'<script type="text/plain" id="{name}">(.*?)</script>', html)
    return gzip.decompress(b64decode(compressed)).decode()


def test_every_panel_shows_its_figure_or_why_it_is_missing(folder):
    html = render_html(CONTEXT, [folder])
    for figure in (figure for section in SECTIONS.values() for figure in section):
        markup = unescape(panel(html, figure.name))
        shown, missing = "data:image/png" in markup, figure.missing in markup
        assert (shown, missing) == (figure.name == "stages", figure.name != "stages")


def test_scores_are_shown_with_protocol_interval_and_baselines(folder):
    html = render_html(CONTEXT, [folder])
    for text in (
        "Genres: held-out protocol",
        "Recommendations: all columns are scored on the same queries",
        "0.612",
        "0.500 to 0.700",
        "There was no champion.",
        "Rows: 10",
    ):
        assert text in html
    assert '<td>War</td><td class="number">0.250</td>' in html


def test_html_in_a_source_is_escaped(folder):
    html = render_html(CONTEXT, [folder])
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    titles = [
        title
        for trace in json.loads(decompressed(html, "movies"))["data"]
        for title in trace["text"]
    ]
    assert sorted(titles) == ["&lt;b&gt;B", "A"]


def test_page_loads_nothing_from_other_addresses(folder):
    html = render_html(CONTEXT, [folder])
    policy = "default-src 'none'; img-src data: blob:"
    assert f'http-equiv="Content-Security-Policy" content="{policy}' in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "Plotly" in decompressed(html, "plotly")
    assert len(html) < 6_000_000


def test_page_without_a_map_has_no_script(tmp_path):
    html = render_html(CONTEXT, [tmp_path])
    assert "<script" not in html
    assert "This figure was not drawn in this run." in panel(html, "map")


def test_lists_beside_the_champion_replace_the_lists_alone(folder):
    films = {"film": ["Alien"], "challenger": ["Gravity"], "champion": ["Predator"]}
    pq.write_table(
        pa.table({"film": ["Alien"], "movies like it": ["Gravity"]}),
        folder / "sample_lists.parquet",
    )
    assert "movies like it" in render_html(CONTEXT, [folder])
    pq.write_table(pa.table(films), folder / "lists_beside.parquet")
    assert "movies like it" not in render_html(CONTEXT, [folder])
    assert "Predator" in render_html(CONTEXT, [folder])


def test_champion_without_common_test_movies_is_reported(folder):
    pq.write_table(pa.table({"score": pa.array([], pa.string())}), folder / "gate.parquet")
    assert "share no movies and no queries" in render_html(CONTEXT, [folder])


def test_long_table_is_truncated_and_counts_the_other_rows(folder):
    assert "Quarantined rows (6)" in render_html(CONTEXT, [folder])
    table = truncated_table("x", [{"row": row} for row in range(203)], "")
    assert (len(table.rows), table.more) == (200, 3)


def test_figure_is_shown_at_its_size_in_inches(folder):
    width = to_image((folder / "stages.png").read_bytes()).width
    assert width == pytest.approx(12 * 96, abs=1)
    assert DPI > 96


def test_intervals_follow_the_scores():
    scores = {"test_f1_micro_low": 0.5, "test_f1_micro_high": 0.7}
    rows = [("F1 micro", "0.6", "0.5", "–"), ("Recall micro", "0.4", "–", "–")]
    assert with_intervals(rows, scores, "held-out") == [
        ("F1 micro", "0.6", "0.500 to 0.700", "0.5", "–"),
        ("Recall micro", "0.4", "–", "–", "–"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (0.12345, "0.123"), (3, "3"), (["a", "b"], "a, b"), ("x", "x")],
)
def test_cell_is_formatted_by_its_type(value, text):
    assert format_cell(value) == text
