import gzip
import json
import re
from base64 import b64decode
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import QUARANTINE, StageTime
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import decision_without_champion
from tasks.reports.page import ReportContext, ScoreLine, render_html, score_lines, why_not_compared
from tasks.reports.page_parts import format_cell, quarantine_tables, to_image, truncated_table
from tasks.reports.plots import DPI, save_figures
from tasks.reports.run_plots import stage_waterfall
from tasks.reports.sections import SECTIONS
from tasks.reports.verdict import Finding, Verdict
from tests.support.report_html import panel
from tests.unit.tasks.reports.test_verdict import SUMMARY

F1 = ScoreLine(
    words="F1 over all genre labels",
    term="F1 micro",
    good="higher is better",
    key="test_f1_micro",
    values=("0.612", "0.500 to 0.700", "0.600", "–"),
)
REJECTED = {"row": 4, "reason": "bad_id", "column": "id", "value": "</td><script>alert(1)</script>"}
CONTEXT = ReportContext(
    title="movies.csv: 7 movies",
    run="train-default-movies, MLflow run abc",
    verdict=Verdict(
        outcome="promoted",
        headline="Promoted: version 3 is the champion.",
        findings=[Finding(title="Why", text="F1 is higher.")],
    ),
    protocol="held-out",
    notes=["Held-out: no model saw the test movies."],
    scores=[F1],
    comparisons=[],
    gate_missing="There was no champion.",
    rows="Rows: 10",
    quarantine=pa.Table.from_pylist([REJECTED | {"source": "movies.csv"}], QUARANTINE),
    command="movie-recommender train '--source=[\"movies.csv\"]'",
    origin={"source": "movies.csv"},
    settings={"preset": "default"},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stored outputs of the stages: a figure, a map and a table."""
    save_figures({"stages": stage_waterfall([StageTime("ingest", ((0, 1),), 1)])}, tmp_path)
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
    assert len(html) < 3_000_000  # 22,000 movies and all figures add 2.1 MB


def test_page_without_a_map_does_not_carry_the_map_s_code(tmp_path):
    html = render_html(CONTEXT, [tmp_path])
    assert "Plotly" not in html
    assert 'id="plotly"' not in html
    assert "This figure was not drawn in this run." in panel(html, "map")


def test_the_verdict_comes_first(folder):
    html = render_html(CONTEXT, [folder])
    assert "<title>movies.csv: 7 movies: Promoted: version 3 is the champion.</title>" in html
    order = [
        html.index(text)
        for text in (
            ">Promoted: version 3 is the champion.</h2>",
            "<dt>Why</dt><dd>F1 is higher.</dd>",
            '<section id="scores">',
            '<section id="Recommendations">',
            '<section id="Genres">',
        )
    ]
    assert order == sorted(order)


def sample_lists(folder: Path) -> None:
    films = {"film": ["Alien"], "movies like it": [["Gravity (2013)", "Sunshine (2007)"]]}
    pq.write_table(pa.table(films), folder / "sample_lists.parquet")


def test_lists_of_well_known_films_are_open(folder):
    sample_lists(folder)
    html = render_html(CONTEXT, [folder])
    assert "<ol><li>Gravity (2013)</li><li>Sunshine (2007)</li></ol>" in html
    before = html[: html.index("<li>Gravity (2013)</li>")]
    assert before.count("<details") == before.count("</details>")


def test_lists_beside_the_champion_replace_the_lists_alone(folder):
    sample_lists(folder)
    films = {
        "film": ["Alien", "Heat"],
        "challenger": [["Moon"], ["Ronin"]],
        "champion": [["Aliens"], None],
    }
    pq.write_table(pa.table(films), folder / "lists_beside.parquet")
    html = render_html(CONTEXT, [folder])
    assert "Gravity" not in html
    assert "this run and the champion recommend" in html
    assert "<h4>champion</h4><ol><li>Aliens</li></ol>" in html.replace("\n", "")
    assert html.count("Its catalogue lacks this film.") == 1


def test_a_metric_is_named_in_words_and_by_its_key(folder):
    html = render_html(CONTEXT, [folder])
    assert '<th scope="row">F1 over all genre labels<small>F1 micro; higher is better' in html
    assert "<code>test_f1_micro</code>" in html


def test_every_figure_says_what_it_shows(folder):
    html = render_html(CONTEXT, [folder])
    alt = "Time per stage. 1 stages in 1.0 seconds. Longest: ingest 1.0 s."
    assert f'alt="{alt}"' in panel(html, "stages")


def test_figures_without_a_description_are_described_by_their_caption(folder, monkeypatch):
    figure = stage_waterfall([StageTime("ingest", ((0, 1),), 1)])
    figure.set_label("")
    save_figures({"stages": figure}, folder)
    html = render_html(CONTEXT, [folder])
    assert 'alt="Time per stage. A bar per stage' in panel(html, "stages")


def test_a_figure_of_full_width_or_without_image_leaves_no_hole_beside_it(folder):
    html = render_html(CONTEXT, [folder])
    assert '<figure class="card wide" data-panel="stages">' in html
    assert '<figure class="card wide" data-panel="reliability">' in html


def test_long_table_is_truncated_and_counts_the_other_rows(folder):
    quarantine = pa.Table.from_pylist([REJECTED] * 206, QUARANTINE)
    rows = quarantine_tables(quarantine)["rows"]
    assert (len(rows.rows), rows.more) == (200, 6)
    table = truncated_table("x", [{"row": row} for row in range(203)], "")
    assert (len(table.rows), table.more) == (200, 3)


def test_figure_is_shown_at_its_size_in_inches(folder):
    width = to_image((folder / "stages.png").read_bytes()).width
    assert width == pytest.approx(12 * 96, abs=1)
    assert DPI > 96


def test_a_score_has_its_interval_and_key():
    scores = {"test_f1_micro_low": 0.5, "test_f1_micro_high": 0.7}
    rows = [("F1 micro", "0.6", "0.5", "–"), ("Keyword nDCG@10", "0.4", "–", "–")]
    f1, keywords = score_lines(rows, scores, "held-out")
    assert (f1.key, f1.values) == ("test_f1_micro", ("0.6", "0.500 to 0.700", "0.5", "–"))
    assert keywords.key == "rec_keyword_ndcg_at_10"
    assert keywords.values == ("0.4", "–", "–", "–")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (0.12345, "0.123"),
        (3, "3"),
        (["a", "b"], "a, b"),
        ([], "–"),
        ("x", "x"),
    ],
)
def test_cell_is_formatted_by_its_type(value, text):
    assert format_cell(value) == text


@pytest.mark.parametrize(
    ("protocol", "champion", "reason"),
    [
        ("held-out", CheckedVersion(version=""), "There was no champion to compare with."),
        ("held-out", CheckedVersion(version="3", damage="no index"), "The champion is damaged"),
        ("blog", CheckedVersion(version="3"), "Not compared with the champion: the scores"),
    ],
)
def test_a_run_that_was_not_compared_says_why(protocol, champion, reason):
    why = decision_without_champion(champion).why
    summary = SUMMARY.model_copy(update={"protocol": protocol, "why": why})
    assert why_not_compared(summary).startswith(reason)
