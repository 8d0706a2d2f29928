"""The way of a newcomer: README to first recommendation, comparison and scheduled run.

Every command is one of the pages, and a program of its own as in a terminal. Seconds of each step,
screenshots and output are in the folder `TOUR_FOLDER`, by default a temporary one.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, Page, ViewportSize, expect
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from tasks.registry.tracking.experiment_page import FOR_TRAINING, view_page
from tests.support.browser import NAVIGATION_MS, listen, needs_browser
from tests.support.checkout import Checkout, Done, at_home
from tests.support.demo_page import DESKTOP, PHONE, expect_list
from tests.support.pictures import PICTURES, Addresses, addresses_of, opened, show
from tests.support.run_stages import wait_until
from tests.support.stack_pages import FOREIGN_COMPLAINTS, keep_assistant_closed, log_in
from tests.support.tour import (
    PAGES_OF_THE_TOUR,
    Reader,
    Tour,
    command_on,
    newcomer,
)

pytestmark = pytest.mark.long

COMPARE, SCHEDULE = PAGES_OF_THE_TOUR
TERMINAL = ".venv/bin/movie-recommender"
CRON = '- cron: "0 4 * * 1"'
#: Seconds until the first scheduled run: `make deploy` takes ten on a quiet machine.
SOON, EVERY = 25, 60


@pytest.fixture(scope="module")
def tour(tmp_path_factory) -> Iterator[Tour]:
    folder = Path(os.environ.get("TOUR_FOLDER") or tmp_path_factory.mktemp("tour"))
    folder.mkdir(parents=True, exist_ok=True)
    tour = Tour(folder)
    yield tour
    print(f"\n{folder}\n{tour.write_table()}")


@pytest.fixture(scope="module")
def reader(tmp_path_factory, migrated_database) -> Iterator[Reader]:
    """A newcomer with a fresh checkout."""
    folder, home = tmp_path_factory.mktemp("newcomer"), tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch)
        checkout = newcomer(folder, home, migrated_database, dict(os.environ))
    yield Reader(checkout, ("README.md", *PAGES_OF_THE_TOUR))
    checkout.end_servers()
    if (folder / "artifacts" / "stack.json").exists():  # not all tests were selected
        checkout.call("make stop")


@pytest.fixture(scope="module")
def trained(reader: Reader, tour: Tour) -> Done:
    with tour.step("`make train`", "scores of the sample"):
        done = reader.carry_out("README.md", "make train")
    tour.keep_output("1-train", done)
    return done


@pytest.fixture(scope="module")
def served(reader: Reader, tour: Tour, trained: Done) -> Checkout:
    """The stack is up, and the terminal knows its server."""
    with tour.step("`make serve`", "addresses of Prefect and MLflow"):
        done = reader.carry_out(SCHEDULE, "make serve")
    tour.keep_output("3-serve", done)
    reader.carry_out(SCHEDULE, "source artifacts/stack.env")
    with tour.step("`make status`", "the stack is up, the next scheduled run"):
        reader.carry_out(SCHEDULE, "make status")
    return reader.checkout


@pytest.fixture(scope="module")
def compared(reader: Reader, tour: Tour, served: Checkout) -> list[Done]:
    """A second version, and what the terminal says of both."""
    with tour.step("`train --classifier.hidden 64`", "version 2 was not promoted"):
        trained_again = reader.carry_out(COMPARE, f"{TERMINAL} train")
    with tour.step("`release list`", "two versions"):
        versions = reader.carry_out(COMPARE, f"{TERMINAL} release list")
    with tour.step("`release diff champion 2`", "settings and scores that differ"):
        differences = reader.carry_out(COMPARE, f"{TERMINAL} release diff")
    reader.carry_out(COMPARE, f"{TERMINAL} release diff champion 2 --json")
    outputs = [trained_again, versions, differences]
    for name, done in zip(("4-train", "5-list", "6-diff"), outputs, strict=True):
        tour.keep_output(name, done)
    return outputs


def schedule_soon(file: Path) -> None:
    """Write a schedule of seconds into `prefect.yaml`, in place of its Mondays."""
    first = datetime.now(UTC) + timedelta(seconds=SOON)
    text = file.read_text()
    assert text.count(CRON) == 1
    soon = f'- interval: {EVERY}\n        anchor_date: "{first.isoformat()}"'
    file.write_text(text.replace(CRON, soon))


def scheduled_runs(checkout: Checkout) -> list[FlowRun]:
    """Runs that a schedule has started, and that have ended."""
    names = (PREFECT_API_URL, PREFECT_API_AUTH_STRING)
    access = {setting: checkout.environment[setting.name] for setting in names}
    with temporary_settings(access), get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    return [run for run in runs if run.auto_scheduled and run.state and run.state.is_final()]


@pytest.fixture(scope="module")
def scheduled(reader: Reader, tour: Tour, compared: list[Done]) -> FlowRun:
    """The first run that nobody has started."""
    reader.carry_out(SCHEDULE, "make worker")
    with tour.step("`make deploy`", f"a schedule that begins in {SOON} s"):
        schedule_soon(reader.checkout.folder / "prefect.yaml")
        reader.carry_out(SCHEDULE, "make deploy")
    with tour.step("wait for the schedule", "a run that nobody has started has ended"):
        wait_until(lambda: bool(scheduled_runs(reader.checkout)))
    return min(scheduled_runs(reader.checkout), key=lambda run: run.start_time)


@pytest.fixture(scope="module")
def demo(reader: Reader, tour: Tour, trained: Done) -> str:
    """Address of the demo page, as `make demo` serves it."""
    with tour.step("`make demo`", "the page answers"):
        done = reader.checkout.do(command_on("docs/recommendations.md", "make demo"))
    assert done.code == 0
    return f"http://127.0.0.1:{reader.checkout.port(8000)}"


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address of this machine; nothing may go wrong, but what is foreign pages' fault."""
    pages = list[tuple[Page, list[str]]]()

    def open_address(
        address: str,
        password: str = "",
        home: str = "http://127.0.0.1:",
        size: ViewportSize = DESKTOP,
    ) -> Page:
        page = browser.new_context(viewport=size).new_page()
        page.set_default_navigation_timeout(NAVIGATION_MS)
        log_in(page, password) if password else None
        keep_assistant_closed(page)  # it hides charts, and each browser opens it once
        pages.append((page, listen(page, home, FOREIGN_COMPLAINTS)))
        page.goto(address)
        return page

    yield open_address
    for page, complaints in pages:
        page.context.close()
        assert complaints == []


def test_the_readme_leads_to_a_first_recommendation(reader, tour, trained):
    with tour.step('`recommend "Alien"`', "Aliens"):
        done = reader.carry_out("README.md", f'{TERMINAL} recommend "Alien"')
    tour.keep_output("2-recommend", done)
    assert "Aliens" in done.printed


def report_in(done: Done, checkout: Checkout) -> str:
    """Address of the report that a training has printed."""
    (path,) = re.findall(r"^Report: (.+)$", done.printed, re.MULTILINE)
    return (checkout.folder / path).as_uri()


@needs_browser
def test_the_report_that_the_terminal_names_shows_the_champion(reader, tour, trained, open_page):
    address = report_in(trained, reader.checkout)
    with tour.step("open the report", "version 1 is the champion"):
        page = open_page(address, home=address)
        expect(page.locator("#map[data-drawn]")).to_be_attached()
    seen = page.get_by_text("version 1 is the champion")
    tour.photograph_own_page(page, "report", seen)


def test_a_second_training_is_compared_in_the_terminal(compared):
    trained_again, versions, differences = compared
    assert "Model version 2 was not promoted" in trained_again.printed
    assert "champion" in versions.printed
    assert "[512, 256]" in differences.printed


@pytest.fixture
def addresses(reader: Reader, scheduled: FlowRun, demo: str) -> Addresses:
    """Where the newcomer finds the pages of each server."""
    return addresses_of(reader.checkout.folder / "artifacts", demo)


def training_runs(checkout: Checkout) -> list[str]:
    """Ids of the training runs in MLflow, in their order."""
    client = MlflowClient(f"sqlite:///{checkout.folder}/artifacts/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
    return [run.info.run_id for run in runs]


@needs_browser
def test_mlflow_shows_both_runs(tour, addresses, open_page):
    (address,) = re.findall(r"^MLflow +(\S+)$", (tour.folder / "3-serve.txt").read_text(), re.M)
    with tour.step("open MLflow's table of runs", "the names and the scores of both runs"):
        page = open_page(address)
        names = page.get_by_role("link", name="train-default-sample")
        expect(names).to_have_count(2)
        expect(page.get_by_text("Every training and every refresh")).to_be_visible()
        for metric in ("headline/test_f1_micro", "headline/test_f1_macro"):
            expect(page.get_by_role("columnheader", name=metric).first).to_be_visible()
    tour.photograph(page, "mlflow-experiment", names.first)


@needs_browser
def test_the_address_that_a_training_prints_shows_charts_of_the_scores(
    compared, tour, addresses, open_page
):
    (address,) = re.findall(r"# compare (\S+)", compared[0].printed)
    with tour.step("open the comparison that the training named", "a chart of each score"):
        page = open_page(address)
        chart = page.get_by_text("headline/test_f1_micro", exact=True).first
        expect(chart).to_be_visible()
    tour.photograph(page, "mlflow-charts", chart)


@needs_browser
def test_the_registry_shows_what_is_the_champion(tour, addresses, open_page):
    page = open_page(f"{addresses.mlflow}/#/models/movie-recommender?{FOR_TRAINING}")
    champion = page.get_by_text("@ champion").first
    expect(champion).to_be_visible()
    tour.photograph(page, "mlflow-registry", champion)


@needs_browser
def test_mlflow_compares_both_runs(reader, tour, addresses, open_page):
    ids = ",".join(f'"{run}"' for run in training_runs(reader.checkout))
    query = f'runs=[{ids}]&experiments=["{addresses.experiment}"]'
    with tour.step("compare both runs in MLflow", "Comparing 2 Runs"):
        page = open_page(f"{addresses.mlflow}/#/compare-runs?{query}")
        title = page.get_by_text("Comparing 2 Runs from 1 Experiment")
        expect(title).to_be_visible()
    tour.photograph(page, "mlflow-compare", title)


def test_a_schedule_starts_a_run_by_itself(reader, scheduled):
    """`make newest` runs this test with the newest releases."""
    assert scheduled.state_name == "Skipped"  # the sample is what the champion was trained on
    assert scheduled.tags[-2:] == ["default", "sample"]  # after those of the schedule
    assert server_errors(reader.checkout.folder / "artifacts") == []


def server_errors(root: Path) -> list[str]:
    """Errors in the log of Prefect's server.

    Not of them: an event or a heartbeat that met a locked SQLite database, and comes again.
    """
    log = (root / "logs" / "prefect.log").read_text()
    records = re.split(r"^(?=\d\d:\d\d:\d\d\.\d{3} \| )", log, flags=re.MULTILINE)
    errors = [record for record in records if re.match(r"\S+ \| (ERROR|CRITICAL)", record)]
    retried = r"Failed in consume_loop|Worker channel heartbeat persistence failed"
    return [e for e in errors if "database is locked" not in e or not re.search(retried, e)]


@needs_browser
def test_prefect_s_page_asks_for_the_password_and_shows_what_waits(tour, addresses, browser):
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.goto(f"{addresses.prefect}/deployments")
    password = page.get_by_placeholder("admin:pass")
    tour.photograph(page, "prefect-login", password)
    with tour.step("log in to Prefect", "the deployment `weekly`"):
        password.fill(addresses.password)
        page.get_by_role("button", name="Login").click()
        weekly = page.get_by_role("link", name="weekly").first
        expect(weekly).to_be_visible()
    tour.photograph(page, "prefect-deployments", weekly)
    page.context.close()


@needs_browser
def test_prefect_s_pages_show_the_scheduled_run(tour, scheduled, addresses, open_page):
    with tour.step("open Prefect's runs", "the scheduled run"):
        page = open_page(f"{addresses.prefect}/runs", addresses.password)
        expect(page.get_by_role("link", name=scheduled.name).first).to_be_visible()
    tour.photograph(page, "prefect-runs", page.get_by_role("tab", name="Flow runs"))
    page = open_page(f"{addresses.prefect}/runs/flow-run/{scheduled.id}", addresses.password)
    tour.photograph(page, "prefect-scheduled-run", page.get_by_text("Skipped").first)


@needs_browser
@pytest.mark.endurance
def test_pages_of_prefect_and_mlflow_open_on_a_phone(tour, scheduled, addresses, open_page):
    """Each is opened anew: Prefect's list of deployments hangs if its window grows."""
    pages = {
        "mlflow-experiment": view_page(addresses.mlflow, addresses.experiment),
        "mlflow-registry": f"{addresses.mlflow}/#/models/movie-recommender?{FOR_TRAINING}",
        "prefect-deployments": f"{addresses.prefect}/deployments",
        "prefect-runs": f"{addresses.prefect}/runs",
        "prefect-scheduled-run": f"{addresses.prefect}/runs/flow-run/{scheduled.id}",
    }
    for name, address in pages.items():
        tour.photograph_on_a_phone(open_page(address, addresses.password, size=PHONE), name)


@needs_browser
def test_the_demo_page_answers(tour, demo, open_page):
    page = open_page(demo)
    question = page.get_by_role("combobox", name="Titles you like")
    tour.photograph_own_page(page, "demo", question)
    page.set_viewport_size(DESKTOP)
    with tour.step("ask the demo page for Alien", "Aliens"):
        question.fill("Alien")
        question.press("Enter")
        expect_list(page, "Alien (1979)")
    first = page.get_by_role("heading", name="Aliens 1986")
    tour.photograph_own_page(page, "demo-list", first)


@needs_browser
@pytest.mark.parametrize("name", PICTURES)
def test_the_page_of_a_picture_shows_what_the_picture_shows(name, addresses, browser):
    picture = PICTURES[name]
    home = addresses.report if "{report}" in picture.address else "http://127.0.0.1:"
    page = opened(browser, picture, addresses)
    complaints = listen(page, home, FOREIGN_COMPLAINTS)
    show(page, picture, addresses)
    page.context.close()
    assert complaints == []


@needs_browser
def test_no_overview_can_be_read_in_the_picture_of_the_demo_page(addresses, browser):
    page = opened(browser, PICTURES["demo.png"], addresses)
    show(page, PICTURES["demo.png"], addresses)
    letters = set("".join(page.locator(".overview").all_text_contents()))
    page.context.close()
    assert {letter for letter in letters if letter.isalnum()} == {"x"}


def schedule_on_mondays(checkout: Checkout) -> None:
    """Undo `schedule_soon`, whose runs would wait before those that are asked for."""
    file = checkout.folder / "prefect.yaml"
    soon = re.compile(r"- interval: .*\n +anchor_date: .*")
    file.write_text(soon.sub(CRON, file.read_text()))
    assert checkout.do(command_on(SCHEDULE, "make deploy")).code == 0


@pytest.mark.last
@pytest.mark.endurance
def test_the_rest_of_both_pages_does_what_they_say(reader, tour, scheduled):
    schedule_on_mondays(reader.checkout)
    reader.carry_out(SCHEDULE, ".venv/bin/prefect deployment run train/weekly --watch")
    reader.carry_out(SCHEDULE, ".venv/bin/prefect deployment run train/on-demand")
    reader.checkout.end_servers()  # with Ctrl+C, as the page says of the worker
    with tour.step("`make stop`", "what was stopped"):
        reader.carry_out(SCHEDULE, "make stop")
    with tour.step("`make mlflow`", "MLflow's page without the rest of the stack"):
        reader.carry_out(COMPARE, "make mlflow")
    reader.steps.pop("README.md")  # tests/system/test_docs_commands.py executes it whole
    assert reader.remaining() == []
