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
    SECTIONS,
    ReportContext,
    format_cell,
    render_html,
    to_image,
    truncated_table,
    with_intervals,
)
from tasks.reports.plots import DPI, save
from tasks.reports.run_plots import stage_waterfall

FACTS = ReportContext(
    title="movies.csv: 7 movies",
    run="train-default-movies, MLflow run abc",
    protocol="held-out",
    notes=["Held-out: no model saw the test movies."],
    scores=[("F1 micro", "0.612", "0.500 to 0.700", "0.600", "–")],
    alone="There was no champion.",
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
    """What stages have written: one figure, a map, and a table."""
    save({"stages": stage_waterfall([StageTime("ingest", 0, 1, 1)])}, tmp_path)
    places = {"x": [0.0, 1.0], "y": [0.0, 1.0], "title": ["A", "<b>B"], "genre": ["War", "Drama"]}
    pq.write_table(pa.table(places), tmp_path / "map.parquet")
    pq.write_table(pa.table({"genre": ["War"], "f1": [0.25]}), tmp_path / "genres.parquet")
    return tmp_path


def panel(html: str, name: str) -> str:
    """The markup of a figure's place."""
    (found,) = re.findall(rf'<figure class="card[^>]*data-panel="{name}">.*?</figure>', html, re.S)
    return str(found)


def unpacked(html: str, name: str) -> str:
    (packed,) = re.findall(rf'<script type="text/plain" id="{name}">(.*?)</script>', html)
    return gzip.decompress(b64decode(packed)).decode()


def test_every_panel_shows_its_figure_or_says_why_there_is_none(folder):
    html = render_html(FACTS, [folder])
    for one in (panel for section in SECTIONS.values() for panel in section):
        of = unescape(panel(html, one.name))
        shown, missing = "data:image/png" in of, one.missing in of
        assert (shown, missing) == (one.name == "stages", one.name != "stages")


def test_scores_stand_with_protocol_interval_and_baselines(folder):
    html = render_html(FACTS, [folder])
    for said in (
        "Genres: held-out protocol",
        "Lists (recall@10, nDCG@10): all on the reported half",
        "0.612",
        "0.500 to 0.700",
        "There was no champion.",
        "Rows: 10",
    ):
        assert said in html
    assert '<td>War</td><td class="number">0.250</td>' in html


def test_what_a_source_says_is_text(folder):
    html = render_html(FACTS, [folder])
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    titles = [
        title for trace in json.loads(unpacked(html, "movies"))["data"] for title in trace["text"]
    ]
    assert sorted(titles) == ["&lt;b&gt;B", "A"]


def test_nothing_is_asked_of_another_place(folder):
    html = render_html(FACTS, [folder])
    policy = "default-src 'none'; img-src data: blob:"
    assert f'http-equiv="Content-Security-Policy" content="{policy}' in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "Plotly" in unpacked(html, "plotly")
    assert len(html) < 6_000_000


def test_a_run_without_a_map_has_no_script(tmp_path):
    html = render_html(FACTS, [tmp_path])
    assert "<script" not in html
    assert "This run has not drawn it." in panel(html, "map")


def test_lists_of_the_champion_take_the_place_of_ours_alone(folder):
    films = {"film": ["Alien"], "challenger": ["Gravity"], "champion": ["Predator"]}
    pq.write_table(
        pa.table({"film": ["Alien"], "movies like it": ["Gravity"]}),
        folder / "sample_lists.parquet",
    )
    assert "movies like it" in render_html(FACTS, [folder])
    pq.write_table(pa.table(films), folder / "lists_beside.parquet")
    assert "movies like it" not in render_html(FACTS, [folder])
    assert "Predator" in render_html(FACTS, [folder])


def test_a_champion_without_anything_in_common_is_said(folder):
    pq.write_table(pa.table({"score": pa.array([], pa.string())}), folder / "gate.parquet")
    assert "shares no test movie" in render_html(FACTS, [folder])


def test_a_long_table_is_cut_and_says_so(folder):
    assert "Quarantined rows (6)" in render_html(FACTS, [folder])
    table = truncated_table("x", [{"row": row} for row in range(203)], "")
    assert (len(table.rows), table.more) == (200, 3)


def test_letters_of_a_figure_are_as_large_as_the_page_s(folder):
    width = to_image((folder / "stages.png").read_bytes()).width
    assert width == pytest.approx(12 * 96, abs=1)
    assert DPI > 96


def test_intervals_stand_after_the_score_that_they_are_of():
    scores = {"test_f1_micro_low": 0.5, "test_f1_micro_high": 0.7}
    rows = [("F1 micro", "0.6", "0.5", "–"), ("Recall micro", "0.4", "–", "–")]
    assert with_intervals(rows, scores, "held-out") == [
        ("F1 micro", "0.6", "0.500 to 0.700", "0.5", "–"),
        ("Recall micro", "0.4", "–", "–", "–"),
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (True, "yes"), (0.12345, "0.123"), (3, "3"), (["a", "b"], "a, b"), ("x", "x")],
)
def test_a_cell_is_written_as_people_read_it(value, said):
    assert format_cell(value) == said
