"""The ways a person runs the flow, with real processes: make, a server, a worker, a terminal."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest
import yaml
from dotenv import dotenv_values
from mlflow import MlflowClient
from mlflow.entities import Run
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate

from flows.config import TrainConfig
from flows.release import ReleaseConfig, perform_action
from flows.runtime.local_stack import stack as stack_module
from flows.runtime.local_stack.processes import Program, programs
from tasks.registry.aliases import versions_by_alias
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import PREFECT, ROOT, free_port
from tests.support.browser import listen, needs_browser
from tests.support.prefect_queues import send_queued
from tests.support.run_stages import answers, call, ended, start_run, statuses, wait_until, writing
from tests.support.stack_pages import FOREIGN_COMPLAINTS, log_in

pytestmark = pytest.mark.long

#: Settings of a challenger that predicts genres worse than the default.
WORSE = ("--doc2vec.vector-size=8", "--classifier.epochs=1", "--classifier.hidden=[2]")
WORSE += ("--no-classifier.linear",)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Where this file's server answers; an artifacts root and a home of its own."""
    ports = free_port(), free_port()
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "RECOMMENDER_ARTIFACTS": str(tmp_path_factory.mktemp("deployed")),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports[0]}/api",
        "PORTS": " ".join(map(str, ports)),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)  # what an earlier test's MLflow left
    return environment


def stack(environment: dict[str, str], action: str) -> subprocess.CompletedProcess[str]:
    prefect_port, mlflow_port = environment["PORTS"].split()
    flags = ["--prefect-port", prefect_port, "--mlflow-port", mlflow_port]
    return call([sys.executable, "-m", "flows.stack", action, *flags], environment)


def access(environment: dict[str, str]) -> dict[str, str]:
    """What `source artifacts/stack.env` sets."""
    variables = dotenv_values(Path(environment["RECOMMENDER_ARTIFACTS"]) / "stack.env")
    return {name: str(value) for name, value in variables.items()}


@pytest.fixture(scope="module")
def up(environment) -> Iterator[None]:
    """The stack as `make serve` brings it up."""
    done = stack(environment, "start")
    assert done.returncode == 0, done.stdout + done.stderr
    for program in ("supervisor", "prefect", "Prefect's scheduler", "worker", "mlflow"):
        assert f"Waiting for {program} …\n" in done.stderr
    environment |= access(environment)
    yield
    stack(environment, "stop")


def started_programs(environment: dict[str, str]) -> dict[str, Program]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", environment["RECOMMENDER_ARTIFACTS"])
        return {program.name: program for program in programs()}


def children_of_the_worker(environment: dict[str, str]) -> list[psutil.Process]:
    worker = psutil.Process(started_programs(environment)["worker"].pid)
    return worker.children(recursive=True)


def processes_of_the_stack(environment: dict[str, str]) -> list[psutil.Process]:
    started = [psutil.Process(one.pid) for one in started_programs(environment).values()]
    return [*started, *(child for one in started for child in one.children(recursive=True))]


@pytest.fixture
def client(up, environment) -> Iterator[SyncPrefectClient]:
    names = (PREFECT_API_URL, PREFECT_API_AUTH_STRING)
    with (
        temporary_settings({setting: environment[setting.name] for setting in names}),
        get_client(sync_client=True) as server_client,
    ):
        yield server_client
        send_queued()


def run_weekly(environment: dict[str, str], config: dict[str, object] | None = None) -> None:
    """Trigger the weekly deployment and wait for its end."""
    changed = ["--param", f"config={json.dumps(config)}"] if config else []
    watched = ["deployment", "run", "train/weekly", "--watch", *changed]
    run = call([*PREFECT, *watched], environment)
    assert run.returncode == 0, run.stdout + run.stderr


def train_from_terminal(environment: dict[str, str], *arguments: str) -> None:
    """Train in a shell that knows nothing of the stack but its artifacts root."""
    unset = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
    shell = {name: value for name, value in environment.items() if name not in unset}
    run = call([sys.executable, "-m", "flows.train", *arguments], shell)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "F1 micro" in run.stdout


def release(environment: dict[str, str], *arguments: str) -> list[dict[str, str]]:
    run = call([sys.executable, "-m", "flows.release", *arguments, "--json"], environment)
    assert run.returncode == 0, run.stdout + run.stderr
    rows: list[dict[str, str]] = json.loads(run.stdout)["versions"]
    return rows


def require_champion(environment: dict[str, str]) -> None:
    """Train where no test before this one has."""
    if not any((Path(environment["RECOMMENDER_ARTIFACTS"]) / "lancedb").glob("*.lance")):
        run_weekly(environment)


def roles(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["version"]: row["role"] for row in rows}


def finished_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Finished runs but those that a new champion starts."""
    started = {run.id for run in runs_of(client, "batch/on-new-champion")}
    runs = [run for run in client.read_flow_runs() if run.id not in started]
    return [run for run in runs if run.state and run.state.is_final()]


def runs_of(client: SyncPrefectClient, deployment: str) -> list[FlowRun]:
    wanted = client.read_deployment_by_name(deployment).id
    return [run for run in client.read_flow_runs() if run.deployment_id == wanted]


@pytest.mark.first
def test_a_week_of_the_stack(up, environment, client, monkeypatch):
    """Trained and promoted, skipped, a challenger kept back, promoted by hand, rolled back."""
    run_weekly(environment)
    (flow_run,) = finished_runs(client)
    assert flow_run.state_name == "Completed"
    assert re.fullmatch(r"train-default-sample-\d{4}", flow_run.name)
    wait_until(lambda: len(runs_of(client, "batch/on-new-champion")) == 1)
    answer = call(
        [sys.executable, "-m", "flows.recommend", "Vertical Limit", "--json"], environment
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count('"title"') == 10

    run_weekly(environment)
    assert sorted(run.state_name for run in finished_runs(client)) == ["Completed", "Skipped"]

    train_from_terminal(environment, "--source", "sample", *WORSE)
    assert len(finished_runs(client)) == 3  # the last one found the server and its password
    rows = release(environment, "list")
    assert roles(rows) == {"2": "", "1": "champion"}
    assert rows[0]["why"].endswith("lower than the champion's (significant at 95%)")
    assert "promotion-gate" in {artifact.key for artifact in client.read_artifacts()}

    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", environment["RECOMMENDER_ARTIFACTS"])
    perform_action(ReleaseConfig(action="promote", versions=["2"]))
    assert versions_by_alias(connect()) == {"champion": "2", "previous": "1"}
    assert roles(release(environment, "rollback")) == {"2": "previous", "1": "champion"}
    wait_until(lambda: len(runs_of(client, "batch/on-new-champion")) == 3)
    for run in runs_of(client, "batch/on-new-champion"):
        assert ended(client, run.id) == "Completed"
    lists = Path(environment["RECOMMENDER_ARTIFACTS"]) / "recommendations.parquet"
    assert lists.exists()


def test_every_deployment_is_there_and_waits_for_its_turn(up, client):
    flows = {flow.id: flow.name for flow in client.read_flows()}
    deployments = {
        f"{flows[deployment.flow_id]}/{deployment.name}": deployment
        for deployment in client.read_deployments()
    }
    names = {"weekly": "train", "daily": "refresh"}
    assert set(deployments) == {f"{flow}/{name}" for name, flow in names.items()} | {
        f"{flow}/on-demand" for flow in ("train", "batch", "release")
    } | {"batch/on-new-champion"}
    weekly = deployments["train/weekly"]
    assert weekly.global_concurrency_limit
    assert weekly.global_concurrency_limit.limit == 1
    (schedule,) = weekly.schedules
    assert (schedule.active, schedule.schedule.cron) == (True, "0 4 * * 1")


def failure_pages(client: SyncPrefectClient, run: UUID) -> list[str]:
    wanted = ArtifactFilter(
        key=ArtifactFilterKey(any_=["failure"]), flow_run_id=ArtifactFilterFlowRunId(any_=[run])
    )
    return [str(artifact.data) for artifact in client.read_artifacts(artifact_filter=wanted)]


def test_a_failed_run_of_a_deployment_goes_on_by_the_command_that_it_prints(
    up, environment, client, tmp_path
):
    """The shell knows no Prefect server: the command has to name it."""
    require_champion(environment)
    titles = tmp_path / "it's mine, all.csv"
    deployment = client.read_deployment_by_name("batch/on-demand")
    config = {"file": str(titles), "output": str(tmp_path / "lists.parquet")}
    parameters = {"config": config}
    run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id
    assert ended(client, run) == "Failed"
    wait_until(lambda: bool(failure_pages(client, run)))  # it is written after the state
    (page,) = failure_pages(client, run)
    titles.write_text("title\nVertical Limit\n")
    server = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
    kept = {name: value for name, value in environment.items() if name not in server}
    done = call(["sh", "-c", page.split("```")[1]], kept | {"PREFECT_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert ended(client, run) == "Completed"
    assert (tmp_path / "lists.parquet").exists()


def test_a_web_page_and_a_stranger_cannot_use_the_server(up, environment):
    api, password = environment["PREFECT_API_URL"], environment["PREFECT_API_AUTH_STRING"]
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{api}/flows/filter", headers=asked)
    assert "access-control-allow-origin" not in preflight.headers
    assert httpx.get(f"{api}/admin/version").status_code == 401
    assert httpx.get(f"{api}/csrf-token", params={"client": "1"}).status_code == 401
    assert httpx.post(f"{api}/flows/filter", json={}).status_code == 403
    login = httpx.BasicAuth(*password.split(":"))
    assert httpx.get(f"{api}/admin/version", auth=login).is_success
    without_csrf_token = httpx.post(f"{api}/flows/filter", json={}, auth=login)
    assert without_csrf_token.status_code == 403


def test_the_server_offers_no_pages_that_call_a_foreign_host(up, environment):
    home = environment["PREFECT_API_URL"].removesuffix("/api")
    settings = httpx.get(f"{home}/ui-settings").json()
    assert (settings["available_uis"], settings["default_ui"]) == (["v1"], "v1")
    page, newer = (
        httpx.get(f"{home}{path}", headers={"Accept": "text/html"}, follow_redirects=True)
        for path in ("/", "/v2/")
    )
    assert newer.text == page.text


def test_no_secret_is_on_a_command_line_or_in_a_log(up, environment):
    password = environment["PREFECT_API_AUTH_STRING"]
    root = Path(environment["RECOMMENDER_ARTIFACTS"])
    lines = [" ".join(one.cmdline()) for one in processes_of_the_stack(environment)]
    assert len(lines) > 3
    assert not [line for line in lines if password in line or "mlflow.db" in line]
    assert not [log for log in (root / "logs").iterdir() if password in log.read_text()]
    for name in ("stack.env", "stack.json"):
        assert (root / name).stat().st_mode & 0o777 == 0o600


@pytest.fixture
def page(up, environment, browser) -> Iterator[Page]:
    """A page in which nothing may go wrong, but what Prefect's and MLflow's own pages do wrong."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    log_in(opened, environment[PREFECT_API_AUTH_STRING.name])
    complaints = listen(opened, "http://127.0.0.1:", FOREIGN_COMPLAINTS)
    yield opened
    opened.context.close()
    assert complaints == []


def two_runs(environment: dict[str, str]) -> list[Run]:
    """Finished training runs, newest first; those that are missing are made."""
    client = MlflowClient(f"sqlite:///{environment['RECOMMENDER_ARTIFACTS']}/mlflow.db")
    for epochs in (1, 2):
        experiment = client.get_experiment_by_name("movie-recommender")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        if len(runs) < 2:
            run_weekly(environment, {"source": ["sample"], "doc2vec": {"epochs": epochs}})
    return list(client.search_runs([experiment.experiment_id], max_results=2))


def artifacts_of(client: SyncPrefectClient, run: Run) -> dict[str, Artifact]:
    of = run.data.tags["prefect.flow_run_id"]
    return {one.key: one for one in client.read_artifacts() if str(one.flow_run_id) == of}


def every_image_is_there(page: Page) -> None:
    sizes = page.locator("img:visible").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert sizes
    assert all(sizes)


@needs_browser
def test_a_preset_chosen_in_the_form_is_what_the_form_posts(up, environment, client, browser):
    """The request is caught on its way: no run is made of it."""
    home = environment["PREFECT_API_URL"].removesuffix("/api")
    deployment = client.read_deployment_by_name("train/on-demand")
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    log_in(page, environment[PREFECT_API_AUTH_STRING.name])
    page.route("**/create_flow_run", lambda route: route.abort())
    page.goto(f"{home}/deployments/deployment/{deployment.id}/run")
    preset = page.locator(".p-select-button__control")
    preset.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):  # open the choices, go to the second
        page.keyboard.press(key)
        page.wait_for_timeout(500)
    expect(preset).to_have_text("blog")
    with page.expect_request("**/create_flow_run") as request:
        page.get_by_role("button", name="Submit").click()
    page.close()
    parameters = hydrate(request.value.post_data_json["parameters"], HydrationContext())
    assert TrainConfig.model_validate(parameters["config"]) == TrainConfig(preset="blog")


@needs_browser
def test_the_run_s_page_of_prefect_shows_its_artifacts(up, environment, client, page):
    run, home = two_runs(environment)[0], environment["PREFECT_API_URL"].removesuffix("/api")
    page.goto(f"{home}/runs/flow-run/{run.data.tags['prefect.flow_run_id']}")
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts")).first.click()
    expect(page.get_by_role("link", name="progress-preprocess")).to_be_visible()
    for key, said in {"genres": "average_precision", "training-summary": "F1 micro"}.items():
        page.goto(f"{home}/artifacts/artifact/{artifacts_of(client, run)[key].id}")
        expect(page.get_by_text(said, exact=True).first).to_be_visible()
    every_image_is_there(page)


@needs_browser
def test_prefect_leads_to_the_report_in_mlflow(up, environment, client, page):
    run = two_runs(environment)[0]
    link = artifacts_of(client, run)["report"].data
    page.goto(re.search(r"\((http[^)]+)\)", link)[1])
    report = page.frame_locator("iframe")
    source = run.inputs.dataset_inputs[0].dataset.name
    expect(report.get_by_role("heading", level=1)).to_contain_text(f"{source}: ")
    expect(report.locator("#map[data-drawn]")).to_be_attached(timeout=30_000)


@needs_browser
def test_mlflow_compares_two_runs(up, environment, page):
    runs, port = two_runs(environment), environment["PORTS"].split()[1]
    assert all("system/cpu_utilization_percentage" in run.data.metrics for run in runs)
    ids = ",".join(f'"{run.info.run_id}"' for run in runs)
    of = f'runs=[{ids}]&experiments=["{runs[0].info.experiment_id}"]'
    page.goto(f"http://127.0.0.1:{port}/#/compare-runs?{of}")
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    expect(page.get_by_text("baseline/baseline_tfidf_f1_micro", exact=True).first).to_be_attached()


#: Where the first movie of the first coloured genre is on the screen.
FIRST_POINT = """() => {
    const { xaxis, yaxis } = map._fullLayout, { x, y } = map.calcdata[1][0].t;
    const box = map.getBoundingClientRect();
    return [
        box.left + xaxis._offset + xaxis.l2p(x[0]), box.top + yaxis._offset + yaxis.l2p(y[0]),
    ];
}"""


def report_of(environment: dict[str, str], run: Run) -> str:
    root = Path(environment["RECOMMENDER_ARTIFACTS"])
    return (root / "mlruns" / run.info.run_id / "artifacts" / "report.html").as_uri()


@needs_browser
def test_a_report_is_a_file_that_needs_nothing_else(up, environment, browser):
    page = browser.new_context(offline=True).new_page()
    address = report_of(environment, two_runs(environment)[0])
    complaints = listen(page, address)
    page.goto(address)
    expect(page.locator("#map[data-drawn]")).to_be_visible(timeout=30_000)
    every_image_is_there(page)
    page.locator("#map").scroll_into_view_if_needed()
    page.mouse.move(*page.evaluate(FIRST_POINT))
    expect(page.locator("#map .hovertext")).to_contain_text(re.compile(r"\(\d{4}\)"))
    page.context.close()
    assert complaints == []


@needs_browser
def test_a_report_without_webgl_shows_the_still_map(up, environment, browser):
    page = browser.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(report_of(environment, two_runs(environment)[0]))
    expect(
        page.get_by_text("This browser has no WebGL: the map is a static image.")
    ).to_be_visible()
    expect(page.get_by_alt_text("Map without titles")).to_be_visible()
    page.close()


#: Stages in which a run dies, by their folder in the cache, and what makes it work there anew.
DEATHS: dict[str, dict[str, Any]] = {
    "doc2vec": {"doc2vec": {"seed": 1}},
    "documents": {"refresh": True},
    "classifier": {"classifier": {"seed": 2}},
    "lists": {"doc2vec": {"seed": 3}},
}


@pytest.mark.endurance
@pytest.mark.parametrize("stage", DEATHS)
def test_a_run_of_the_worker_that_is_killed_loses_nothing(stage, up, environment, client):
    root = Path(environment["RECOMMENDER_ARTIFACTS"])
    require_champion(environment)
    before, config = roles(release(environment, "list")), {"source": ["sample"], **DEATHS[stage]}
    run = start_run(client, config)
    wait_until(lambda: writing(root, stage))
    for process in psutil.Process(started_programs(environment)["worker"].pid).children(
        recursive=True
    ):
        process.send_signal(signal.SIGKILL)
    assert ended(client, run) == "Crashed"
    assert roles(release(environment, "list")) == before
    assert answers(environment) == 10
    assert ended(client, start_run(client, config)) == "Completed"
    assert "RUNNING" not in statuses(environment)
    assert answers(environment) == 10


@pytest.mark.endurance
def test_a_run_without_end_is_cancelled(up, environment, client, tmp_path):
    """By the shipped automation, that here waits for seconds and not for a day."""
    automation = yaml.safe_load(stack_module.AUTOMATIONS["cancel-endless-runs"].read_text())
    automation["name"], automation["trigger"]["within"] = "soon", 20
    (tmp_path / "soon.yaml").write_text(yaml.safe_dump(automation))
    made = call([*PREFECT, "automation", "create", "-f", str(tmp_path / "soon.yaml")], environment)
    assert made.returncode == 0, made.stderr
    endless = {"epochs": 1_000_000, "max_words": 10**12}
    run = start_run(client, {"source": ["sample"], "doc2vec": endless})
    assert ended(client, run, 240) == "Cancelled"
    wait_until(lambda: not children_of_the_worker(environment))
    assert "RUNNING" not in statuses(environment)


def test_a_bad_source_through_make_gives_one_sentence(tmp_path, environment):
    """`make` finds its environment ready: the marker of this interpreter's own venv.

    The sentences of other bad sources: test_a_bad_source_is_refused_before_anything_starts.
    """
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("not run from make's .venv")
    path = tmp_path / "m.csv"
    path.write_text("id,title,genres\n1,a,[]\n")
    # the tests' own make hands its variables on
    shell = {name: value for name, value in environment.items() if not name.startswith("MAKE")}
    run = subprocess.run(
        [str(shutil.which("make")), "train", f"SOURCE={path}"],
        env=shell,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode != 0
    assert "no column 'overview'" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.last
@pytest.mark.endurance
def test_killed_programs_are_started_again_and_answer(up, environment):
    before = started_programs(environment)
    assert list(before) == ["prefect", "mlflow", "worker"]
    for program in before.values():
        psutil.Process(program.pid).kill()
    old = {program.pid for program in before.values()}
    wait_until(
        lambda: not (old | {0}) & {one.pid for one in started_programs(environment).values()}
    )
    wait_until(lambda: stack(environment, "status").returncode == 0)
    status = stack(environment, "status").stdout
    lines = dict(line.split(maxsplit=1) for line in status.splitlines())
    for name in before:
        assert re.match(r"up since .*, started again after it ended at ", lines[name])
    assert lines["next"].startswith("train/weekly at ")


@pytest.mark.last
def test_a_second_stack_is_refused_and_the_first_one_stops_whole(up, environment):
    """Nothing is up after it."""
    again = stack(environment, "start")
    assert again.returncode == 2
    assert "The stack is already running" in again.stderr
    running = processes_of_the_stack(environment)
    done = stack(environment, "stop")
    assert done.stdout == "Stopped: worker, mlflow, prefect.\n"
    assert not [one for one in running if one.is_running() and one.status() != "zombie"]
    assert stack(environment, "stop").stdout == "Nothing of the stack was running.\n"
    down = stack(environment, "status")
    assert (down.returncode, down.stdout) == (1, "The stack is down: `make serve` starts it.\n")
