"""Every command of the documents is executed, in order, on the sample."""

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from pydantic import BaseModel

from flows.cli import MODULES, SUBCOMMANDS
from flows.cli.command_line import config_class, parse
from flows.config import settings_table
from flows.runtime import PROGRAM
from tests.conftest import ROOT
from tests.support.documents import (
    Checkout,
    Done,
    Step,
    comparable,
    promised,
    relocated,
    spans,
    steps_of,
)

PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")),
]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
#: Commands that are executed by something else, and where to see that: CI itself, or the tests of
#: the whole stack, which brings up a server, a worker and MLflow's UI. Starting them again is slow.
ELSEWHERE = {
    "make test": (".ci/run", "make test"),
    "make check": (".ci/run", "make check"),
    "make serve": ("tests/system/test_deployment.py", 'stack(environment, "start")'),
    "make stop": ("tests/system/test_deployment.py", 'stack(environment, "stop")'),
    "source artifacts/stack.env": ("tests/system/test_deployment.py", '"stack.env"'),
    "make worker": (
        "flows/runtime/local_stack/stack.py",
        '["prefect", "worker", "start", "--pool"',
    ),
    "make mlflow": ("flows/runtime/local_stack/stack.py", '["mlflow", "ui", "--host"'),
    ".venv/bin/prefect deployment run train/weekly": (
        "tests/system/test_deployment.py",
        '"deployment", "run", "train/weekly", "--watch"',
    ),
    ".venv/bin/prefect deployment run train/weekly --watch": (
        "tests/system/test_deployment.py",
        '"deployment", "run", "train/weekly", "--watch"',
    ),
    ".venv/bin/python -m flows.diagram": ("tests/flow/test_train.py", "write_diagram("),
}
#: Blocks that cannot be executed here, by page, with the reason that the page gives.
NOT_RUN = {
    ("docs/cluster.md", "needs a PostgreSQL server"),
    ("docs/cluster.md", "names servers that are not here"),
    ("docs/cluster.md", "needs a Kubernetes cluster"),
}
#: Files that the README takes for the reader's own: the sample under their names.
OWN = ("path/to/movies_metadata.csv", "movies.csv", "new_movies.csv")
FLAG = re.compile(r"--([a-z_][a-z0-9_.-]*)")
#: Flags that the documents name and that are not of a program of ours.
FOREIGN = {"artifacts-destination", "strict"}


def elsewhere(step: Step) -> bool:
    return step.text.split("#")[0].strip() in ELSEWHERE


def check(step: Step, done: Done) -> None:
    """A step ended as the page says, and printed what it shows."""
    assert done.code == step.code, f"{step.text}\n{done.output}"
    said = comparable(done.output)
    for line in promised(step.output):
        assert line in said, f"{step.text}\n{done.output}"


def at_home(patch: pytest.MonkeyPatch) -> None:
    """Runs write into the checkout that they are started in."""
    patch.delenv("RECOMMENDER_ARTIFACTS", raising=False)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory, real_server) -> Iterator[tuple[Checkout, Done]]:
    """The README's first command, in a fresh checkout."""
    checkout = Checkout(tmp_path_factory.mktemp("first"), real_server)
    checkout.build()
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch)
        done = checkout.do(steps_of(TEXTS["README.md"])[0])
    yield checkout, done
    APILogWorker.drain_all(timeout=5)  # while the server that they go to is there
    EventsWorker.drain_all()


@pytest.fixture
def checkout(first_run, tmp_path, monkeypatch) -> Iterator[Checkout]:
    """A checkout in which the sample has been trained on, once."""
    at_home(monkeypatch)
    copy = relocated(first_run[0], tmp_path)
    for name in OWN:
        (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "data" / "sample_movies.csv", copy.folder / name)
    yield copy
    copy.end()


def test_the_first_command_prints_what_the_readme_shows(first_run):
    done = first_run[1]
    shown = TEXTS["README.md"].split("prints at the end:\n\n```\n")[1].split("```")[0]
    check(Step("run", "make train", output=tuple(shown.splitlines())), done)


@pytest.mark.parametrize("page", [page for page in PAGES if steps_of(TEXTS[page])])
def test_every_command_of_a_page_does_what_the_page_says(checkout, page):
    steps = steps_of(TEXTS[page])[page == "README.md" :]  # its first made the checkout
    for step in steps:
        if step.kind != "not run" and not elsewhere(step):
            check(step, checkout.do(step))


def test_only_what_cannot_be_executed_here_is_marked_so():
    marked = {
        (page, step.path)
        for page in PAGES
        for step in steps_of(TEXTS[page])
        if step.kind == "not run"
    }
    assert marked == NOT_RUN


def test_what_is_executed_elsewhere_is():
    used = {step.text.split("#")[0].strip() for page in PAGES for step in steps_of(TEXTS[page])}
    for command, (file, text) in ELSEWHERE.items():
        assert command in used
        assert text in (ROOT / file).read_text(encoding="utf-8")


def config_of(name: str) -> type[BaseModel] | None:
    """The config of a subcommand or of `python -m flows.name`; None if there is none."""
    functions = MODULES | {key: subcommand.function for key, subcommand in SUBCOMMANDS.items()}
    return config_class(resolve_name(functions[name])) if name in functions else None


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
    programs = ["train", "recommend", "predict", "refresh", "batch", "release", "stack"]
    configs = [config_of(name) for name in programs]
    rows = "\n".join(row for config in configs for row in settings_table(config))
    known = set(FLAG.findall(rows.replace("not_genre", "not-genre"))) | FOREIGN
    known |= {name.replace("_", "-") for name in known} | {"help", "debug", "json"}
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
