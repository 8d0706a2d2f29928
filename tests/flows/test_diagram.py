"""The diagram follows values as a flow passes them on."""

from types import ModuleType

import pytest

from flows.diagram import Graph, graph_of, mermaid, reduced

FLOW = """
from prefect import task, unmapped

@task
def ingest(source): ...
@task
def clean(chunk, config): ...
@task
def fit(rows): ...
@task
def test(rows, model): ...
@task
def tell(*found): ...
@task
def prune(): ...

def train(source):
    ingested = ingest(source)
    rows = join(clean.map(ingested.chunks, unmapped(source)))
    fitting = fit.submit(rows)
    model = fitting.result()
    verdict, found = judged(source, rows, *[model])
    found += [model]
    if verdict:
        tell(*[one for one in found])
    prune()

def judged(source, rows, model):
    if source is None:
        return False, []
    return True, [test(rows, model=model)]
"""


@pytest.fixture
def graph(tmp_path, monkeypatch) -> Graph:
    (tmp_path / "own_flow.py").write_text(FLOW)
    monkeypatch.syspath_prepend(tmp_path)
    return graph_of(imported("own_flow"), "train")


def imported(name: str) -> ModuleType:
    return __import__(name)


def test_outcomes_are_followed_through_names_futures_and_helpers(graph):
    assert graph.inputs == {
        "ingest": set(),
        "clean": {"ingest"},
        "fit": {"clean"},
        "test": {"clean", "fit"},
        "tell": {"test", "fit"},
        "prune": set(),
    }


def test_arrows_that_a_longer_way_shows_and_tasks_without_the_source_are_left_out(graph):
    assert reduced(graph.inputs) == {
        "ingest": set(),
        "clean": {"ingest"},
        "fit": {"clean"},
        "test": {"fit"},
        "tell": {"test"},
    }


def test_a_task_of_every_chunk_has_double_sides(graph):
    assert mermaid(graph).splitlines() == [
        "flowchart LR",
        "    source[(source)] --> ingest",
        "    clean[[clean]]",
        "    ingest --> clean",
        "    clean --> fit",
        "    fit --> test",
        "    test --> tell",
    ]
