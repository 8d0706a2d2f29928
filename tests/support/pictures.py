"""The pictures of the documents: the page of each, what it shows, and how it is taken again.

`python -m tests.support.pictures` takes all of them, of the champion in `RECOMMENDER_ARTIFACTS`,
while `make serve` and `make demo` are up.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dotenv import dotenv_values
from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tasks.registry.tracking.experiment_page import view_page
from tests.conftest import ROOT
from tests.support.browser import NAVIGATION_MS, chromium
from tests.support.stack_pages import keep_assistant_closed, log_in

FOLDER = ROOT / "docs" / "img"
DEMO = "http://127.0.0.1:8000"
#: Pictures that programs draw, with the program: they are no pages.
FIGURES = {
    "relevance-popularity.png": "benchmarks/ranking.py",
    "timeline.png": "benchmarks/timeline.py",
}
#: The film of the demo page; the sample has it, and so has Kaggle's file of 7,000 movies.
FILM = "Vertical Limit"


class Addresses(NamedTuple):
    """Where the pages of an artifacts root are."""

    prefect: str
    password: str  # of Prefect's page
    mlflow: str
    demo: str
    experiment: str
    flow_run: str
    report: str


@dataclass(frozen=True)
class Picture:
    """A page as a picture shows it."""

    address: str  # with fields of `Addresses`
    size: ViewportSize
    shows: tuple[str, ...]  # selectors of what the picture is there for
    prepare: Callable[[Page], None] = lambda _: None  # after the page is open
    part: str = ""  # selector of what is cut out, if it is not the whole view


def unfold_explanation(page: Page) -> None:
    """Open the explanation of the first movie, and hide texts of others."""
    page.get_by_text("Why this one").first.click()
    page.evaluate(HIDE_OVERVIEWS)


def show_artifacts(page: Page) -> None:
    """Select the tab of a run's artifacts."""
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts")).first.click()


#: Overviews are not ours to show: their letters are replaced before they are blurred.
HIDE_OVERVIEWS = r"""() => document.querySelectorAll(".overview").forEach(text => {
    text.textContent = text.textContent.replace(/[\p{L}\p{N}]/gu, "x");
    text.style.filter = "blur(4px)";
})"""
PICTURES = {
    "report.png": Picture(
        "{report}",
        {"width": 1280, "height": 1500},
        ("#headline", "text=Against the champion", "h2:text('Scores')", "text=95% interval"),
    ),
    "map.png": Picture(
        "{report}",
        {"width": 1280, "height": 1500},
        ("#map[data-drawn]", "#map .legendtext >> nth=1", "label:text('Coloured genres')"),
        part="[data-panel=map]",
    ),
    "demo.png": Picture(
        f"{{demo}}/?title={FILM}",
        {"width": 1100, "height": 900},
        (
            f"text=10 movies like {FILM}",
            "text=Same genres >> nth=0",
            "text=Contribution of each >> nth=0",
        ),
        unfold_explanation,
    ),
    "prefect.png": Picture(
        "{prefect}/runs/flow-run/{flow_run}",
        {"width": 1280, "height": 1000},
        ("text=Completed >> nth=0", ".run-graph canvas", ".artifact-card__title >> nth=0"),
        show_artifacts,
    ),
    "mlflow.png": Picture(
        view_page("{mlflow}", "{experiment}", charts=True).replace("%7B", "{").replace("%7D", "}"),
        {"width": 1440, "height": 900},
        (
            "text=train-default- >> nth=0",
            "text=headline/test_f1_micro >> nth=0",
            "text=headline/test_f1_macro >> nth=0",
        ),
    ),
}


def addresses_of(root: Path, demo: str = DEMO) -> Addresses:
    """Where the stack of an artifacts root serves its pages; the run is that of the champion."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    version = client.get_model_version_by_alias("movie-recommender", "champion")
    run = client.get_run(version.run_id)
    access = dotenv_values(root / "stack.env")
    return Addresses(
        prefect=str(access["PREFECT_API_URL"]).removesuffix("/api"),
        password=str(access["PREFECT_API_AUTH_STRING"]),
        mlflow=(root / "mlflow-ui").read_text(),
        demo=demo,
        experiment=run.info.experiment_id,
        flow_run=run.data.tags["prefect.flow_run_id"],
        report=(root / "mlruns" / run.info.run_id / "artifacts" / "report.html").resolve().as_uri(),
    )


def show(page: Page, picture: Picture, addresses: Addresses) -> None:
    """Open the page of a picture and bring what it shows into view.

    Raises:
        AssertionError: something of it is not there.
    """
    page.goto(picture.address.format(**addresses._asdict()))
    picture.prepare(page)
    if picture.part:
        page.locator(picture.part).scroll_into_view_if_needed()
    for selector in picture.shows:
        expect(page.locator(selector)).to_be_in_viewport()


def opened(browser: Browser, picture: Picture, addresses: Addresses) -> Page:
    """A new page of a picture's size, that Prefect lets in."""
    page = browser.new_context(viewport=picture.size).new_page()
    page.set_default_navigation_timeout(NAVIGATION_MS)
    log_in(page, addresses.password)
    keep_assistant_closed(page)
    return page


def save(page: Page, picture: Picture, path: Path) -> None:
    """Write a picture in 256 colours, which takes a third of the space."""
    content = page.locator(picture.part).screenshot() if picture.part else page.screenshot()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(path, optimize=True)


def main() -> None:
    """Take every picture again."""
    addresses = addresses_of(Path(os.environ.get("RECOMMENDER_ARTIFACTS", "artifacts")))
    with chromium() as browser:
        for name, picture in PICTURES.items():
            page = opened(browser, picture, addresses)
            show(page, picture, addresses)
            page.wait_for_timeout(2000)  # graphs and charts are drawn with a movement
            save(page, picture, FOLDER / name)
            page.context.close()
            print(FOLDER / name)


if __name__ == "__main__":
    main()
