"""Every command of the documents is executed, in order, on the sample."""

import importlib.util
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import pytest
from _pytest.mark import ParameterSet
from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import BaseModel

from flows.cli import MODULES, SUBCOMMANDS
from flows.cli.command_line import config_class, parse
from flows.config import settings_table
from flows.runtime import PROGRAM
from tasks.registry.tracking.metric_groups import SYSTEM, without_groups
from tests.conftest import ROOT, catalogue, write_csv
from tests.support.checkout import Checkout, Done, at_home, check, relocated
from tests.support.documents import Step, spans, steps_of
from tests.support.tour import PAGES_OF_THE_TOUR

PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")),
]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
#: Commands that CI itself is made of, and the line of `.ci/run` that does the same.
CI = {
    "make check": "make check",
    "make test-fast": "make test-all",  # a folder of its tests
    "make test": "make test-all",  # the longest are left out
}
#: Commands that several pages show alike are executed on one of them, for they start servers.
ONCE = {
    "make serve": "docs/schedule.md",
    "source artifacts/stack.env": "docs/schedule.md",
    ".venv/bin/prefect deployment run train/weekly --watch": "docs/schedule.md",
    "make stop": "docs/schedule.md",
}
#: Blocks that are not executed with their page, with the reason that the page gives.
NOT_RUN = {
    ("docs/cluster.md", "needs a PostgreSQL server"),
    ("docs/operations.md", "needs a group"),
    ("docs/cluster.md", "names servers that are not here"),
    ("docs/cluster.md", "needs a Kubernetes cluster"),
    ("docs/add-a-stage.md", "trains twice"),  # an endurance test does
}
#: Files that the pages take for the reader's own.
OWN = ("path/to/movies_metadata.csv", "movies.csv", "new_movies.csv")
FLAG = re.compile(r"--([a-z_][a-z0-9_.-]*)")
#: Flags that the documents name and that are not of a program of ours.
FOREIGN = {"artifacts-destination", "env-manager", "strict", "workers"}


def with_mark(page: str) -> ParameterSet:
    """A page as a parameter: that of the README is tested most often, the tutorial least."""
    marks = {"README.md": [], "docs/add-a-stage.md": pytest.mark.endurance}
    return pytest.param(page, marks=marks.get(page, pytest.mark.long))


def command_of(step: Step) -> str:
    return step.text.split("#")[0].strip()


def is_executed_on(page: str, step: Step) -> bool:
    """Whether the test of a page executes a step of it."""
    command = command_of(step)
    return step.kind != "not run" and command not in CI and ONCE.get(command, page) == page


@pytest.fixture(scope="session")
def first_run(tmp_path_factory, real_server) -> tuple[Checkout, Done]:
    """The README's first command, in a fresh checkout."""
    checkout = Checkout(tmp_path_factory.mktemp("first"), real_server)
    checkout.build()
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch)
        done = checkout.do(steps_of(TEXTS["README.md"])[0])
    return checkout, done


@pytest.fixture
def checkout(first_run, migrated_database, tmp_path, monkeypatch) -> Iterator[Checkout]:
    """A checkout in which the sample has been trained on, once."""
    at_home(monkeypatch)
    copy = relocated(first_run[0], tmp_path / "checkout")
    copy.environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    (tmp_path / "prefect").mkdir()
    shutil.copy(migrated_database, tmp_path / "prefect" / "prefect.db")
    for name in OWN:
        (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_csv(copy.folder / name, catalogue(90))
    yield copy
    copy.end()


def test_the_first_command_prints_what_the_readme_shows(first_run):
    done = first_run[1]
    shown = TEXTS["README.md"].split("prints at the end:\n\n```\n")[1].split("```")[0]
    check(Step("run", "make train", output=tuple(shown.splitlines())), done)


def run_of(checkout: Checkout) -> Run:
    """The only run that MLflow has of a checkout."""
    client = MlflowClient(f"sqlite:///{checkout.folder}/artifacts/mlflow.db")
    experiment = client.get_experiment_by_name("movie-recommender")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def first_cells(header: str) -> list[str]:
    """The first cell of every row of a table of the page on data formats."""
    table = TEXTS["docs/data-formats.md"].split(f"| {header} |")[1].split("\n\n")[0]
    return [row.split(" | ")[0] for row in table.splitlines() if row.startswith("| `")]


def metric_patterns() -> dict[str, str]:
    """Patterns of the metrics in the table, by their names there."""
    names = [name for cell in first_cells("metric") for name in re.findall(r"`(.+?)`", cell)]
    return {name: name.replace("…", ".*").replace("NAME", ".+") for name in names}


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


#: Metrics of sources with more than the sample has, of later runs and of other presets.
NOT_OF_THE_FIRST_RUN = re.compile(
    r"rec_keyword_|rec_colike_|rec_known_|rec_popularity_lift|champion_|gate_|drift_|refresh_|blog_"
    r"|network_2/|source_quarantined_…"
)


def test_the_table_of_metrics_has_every_metric_of_a_run_and_no_other(first_run):
    metrics = run_of(first_run[0]).data.metrics
    logged = {*without_groups(metrics), *(name for name in metrics if name.startswith(SYSTEM))}
    patterns = metric_patterns()
    bounds = [f"{pattern}_(low|high)" for pattern in patterns.values()]
    unknown = [name for name in logged if not matches(name, [*patterns.values(), *bounds])]
    assert unknown == []
    expected = {name for name in patterns if not NOT_OF_THE_FIRST_RUN.match(name)}
    assert [
        name for name in expected if not any(matches(one, [patterns[name]]) for one in logged)
    ] == []


def documented_artifacts() -> set[str]:
    """Files and folders of the table; a name without a folder is in that of the one before it."""
    paths = set()
    for cell in first_cells("artifact"):
        names = re.findall(r"`(.+?)`", cell)
        folder = str(Path(names[0]).parent)
        paths |= {names[0], *(f"{folder}/{name}" for name in names[1:])}
    return paths


def test_the_table_of_artifacts_has_every_file_of_a_run_and_no_other(first_run):
    root = Path(run_of(first_run[0]).info.artifact_uri.removeprefix("file://"))
    stored = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    paths = documented_artifacts()
    folders = tuple(path for path in paths if path.endswith("/"))
    plots = {path for path in stored if Path(path).match("evaluation/*.png")}
    tables = {path.removesuffix(".parquet") + ".json" for path in paths}
    others = {path for path in stored - plots - tables if not path.startswith(folders)}
    with_champion = {f"evaluation/{name}.parquet" for name in ("gate", "lists_beside", "drift")}
    quarantine = {"source/quarantine.parquet"}  # in the section on quarantine
    assert others - quarantine == paths - with_champion - set(folders) - {"evaluation/*.png"}
    assert plots
    assert all(any(path.startswith(folder) for path in stored) for folder in folders)


def test_the_table_of_prefect_s_artifacts_has_every_artifact_of_a_run(first_run):
    checkout = first_run[0]
    table = TEXTS["docs/operations.md"].split("| artifact | content |")[1].split("\n\n")[0]
    names = {name for row in table.splitlines() for name in re.findall(r"`([a-z-]+)`", row)}
    flow_run = run_of(checkout).data.tags["prefect.flow_run_id"]
    server = {PREFECT_API_URL: checkout.environment["PREFECT_API_URL"]}
    with temporary_settings(server), get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
        )
    keys = {str(artifact.key) for artifact in artifacts}
    assert {key for key in keys if not key.startswith("progress-")} <= names
    assert {"training-summary", "genres", "slices", "mistakes", "sample-lists", "report"} <= keys


def is_executed_here(page: str) -> bool:
    """Whether a page has commands, and `tests/system/test_tour.py` does not execute them."""
    return bool(steps_of(TEXTS[page])) and page not in PAGES_OF_THE_TOUR


@pytest.mark.parametrize("page", [with_mark(page) for page in PAGES if is_executed_here(page)])
def test_every_command_of_a_page_does_what_the_page_says(checkout, page):
    steps = steps_of(TEXTS[page])[page == "README.md" :]  # its first made the checkout
    for step in steps:
        if is_executed_on(page, step):
            done = checkout.do(step)
            check(step, done)
            if step.text.startswith("curl "):
                check_served_movies(checkout, step, done)


def check_served_movies(checkout: Checkout, step: Step, done: Done) -> None:
    """What a server answers is what the terminal prints."""
    assert "--fail" in step.text
    answer = json.loads(done.printed)
    served = answer.get("predictions", [answer])[0]["movies"]
    command = f'.venv/bin/movie-recommender recommend "Alien" --json --limit {len(served)}'
    listed = json.loads(checkout.call(command).printed)
    assert served
    for name in ("title", "year"):
        assert [movie[name] for movie in served] == [movie[name] for movie in listed]
    scores = [movie["score"] for movie in served]
    assert scores == pytest.approx([movie["score"] for movie in listed], abs=1e-4)


@pytest.mark.endurance
def test_the_diagram_of_an_added_stage_has_it(checkout):
    steps = [step for step in steps_of(TEXTS["docs/add-a-stage.md"]) if step.kind != "run"]
    for step in steps:
        check(step, checkout.do(replace(step, kind="run") if step.kind == "not run" else step))


def test_only_what_cannot_be_executed_here_is_marked_so():
    marked = {
        (page, step.path)
        for page in PAGES
        for step in steps_of(TEXTS[page])
        if step.kind == "not run"
    }
    assert marked == NOT_RUN


def test_what_is_executed_on_another_page_is():
    for command, page in ONCE.items():
        assert command in map(command_of, steps_of(TEXTS[page]))


def test_what_no_page_executes_is_executed_by_ci():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    calls = {" ".join(line.split()[:2]) for line in lines}
    assert calls >= set(CI.values())


def config_of(name: str) -> type[BaseModel] | None:
    """The config of a subcommand or of `python -m flows.name`; None if there is none."""
    commands = SUBCOMMANDS | MODULES
    return config_class(resolve_name(commands[name].function)) if name in commands else None


def inline(start: str) -> list[tuple[str, str]]:
    pages = {**TEXTS, "benchmarks/README.md": (ROOT / "benchmarks/README.md").read_text()}
    pairs = {(page, span) for page, text in pages.items() for span in spans(text)}
    return sorted((page, span) for page, span in pairs if re.match(start, span))


@pytest.mark.parametrize(("page", "span"), inline(r"(\.venv/bin/)?python -m "))
def test_a_program_that_a_sentence_names_takes_these_arguments(page, span):
    words = shlex.split(span)
    module, arguments = words[2], words[3:]
    assert importlib.util.find_spec(module), module
    config = config_of(module.removeprefix("flows."))
    if config and arguments:
        parse(config, module, arguments)
    assert config or not [word for word in arguments if word.startswith("-")]


@pytest.mark.parametrize(("page", "span"), inline(rf"(\.venv/bin/)?{PROGRAM} [a-z]"))
def test_a_subcommand_that_a_sentence_names_takes_these_arguments(page, span):
    name, *arguments = shlex.split(span)[1:]
    assert name in SUBCOMMANDS
    if arguments:
        parse(config_of(name), name, arguments)


def test_every_flag_that_a_sentence_names_is_one_of_ours():
    programs = [*SUBCOMMANDS, *MODULES]
    configs = [config_of(name) for name in programs]
    rows = "\n".join(row for config in configs for row in settings_table(config))
    known = set(FLAG.findall(rows)) | FOREIGN
    known |= {f"no-{name}" for name in re.findall(r"`--(\S+)` \| `(?:True|False)`", rows)}
    known |= {"help", "help-all", "debug", "json"}
    for page, text in TEXTS.items():
        for span in spans(text):
            named = [name for name in FLAG.findall(span) if span.startswith("--")]
            unknown = [name for name in named if name.rstrip(".") not in known]
            stages = [name for name in unknown if any(one.startswith(name) for one in known)]
            assert unknown == stages, f"{page}: {span}"


def test_every_extra_that_is_installed_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(re.findall(r"-e '\.\[(\w+)\]'", "\n".join(TEXTS.values())))
    assert extras
    assert extras <= set(project["optional-dependencies"])


def anchors_of(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_the_documents_leads_somewhere():
    for page, text in TEXTS.items():
        for name, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            target = (ROOT / page).parent / name if name else ROOT / page
            assert target.exists(), f"{page}: {name}"
            assert not anchor or anchor in anchors_of(target), f"{page}: {name}#{anchor}"


def test_every_target_of_make_that_the_documents_name_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {span.split()[1] for _, span in inline(r"make [a-z]")}
    blocks = (step.text for page in PAGES for step in steps_of(TEXTS[page]))
    named |= {text.split()[1] for text in blocks if text.startswith("make ")}
    assert named <= targets
