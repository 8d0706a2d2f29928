"""The DAG of `train` as a Mermaid diagram, read off the flow's own source and put into the README.

Shown is a task that something of the source flows into: with double sides if it runs once a chunk,
rounded if it writes to Prefect or MLflow. An arrow goes from a task to one that takes its outcome,
unless a longer way shows that already.
"""

import ast
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from prefect import Task

from flows import train

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- diagram: python -m flows.diagram -->\n", "<!-- diagram end -->"
FIRST = "ingest"
RECORDING = (
    "tasks.registry.tracking.registered_model",
    "tasks.registry.tracking.results",
    "tasks.registry.tracking.runs",
    "tasks.registry.tracking.source",
    "tasks.reports.report",
)
#: Names of tasks that a value comes from.
Origins = frozenset[str]
NOTHING: Origins = frozenset()


@dataclass
class Graph:
    """Tasks in the order of the flow, each with those whose outcome goes into it."""

    inputs: dict[str, Origins] = field(default_factory=dict)
    mapped: set[str] = field(default_factory=set)
    recording: set[str] = field(default_factory=set)

    def add(self, task: str, origins: Origins) -> Origins:
        """Note that `origins` go into a task; its outcome comes from the task alone."""
        self.inputs[task] = self.inputs.get(task, NOTHING) | origins
        return frozenset({task})


class Reader:
    """Follows values through the functions of a module, as they are written."""

    def __init__(self, module: ModuleType) -> None:
        tree = ast.parse(inspect.getsource(module))
        self.functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
        self.tasks = {name: one for name, one in vars(module).items() if isinstance(one, Task)}
        self.graph = Graph()

    def function(self, name: str, given: dict[str, Origins]) -> Origins:
        """Read a function that is given values of these origins; where what it returns is from."""
        made, returned = dict(given), NOTHING
        for node in _statements(self.functions[name].body):
            if isinstance(node, ast.Assign | ast.AugAssign):
                origins = self.value(node.value, made)
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in (part for whole in targets for part in _names(whole)):
                    kept = made.get(target, NOTHING) if isinstance(node, ast.AugAssign) else NOTHING
                    made[target] = origins | kept
            elif isinstance(node, ast.Return) and node.value:
                returned |= self.value(node.value, made)
            elif isinstance(node, ast.Expr):
                self.value(node.value, made)
            elif isinstance(node, ast.If):
                self.value(node.test, made)
        return returned

    def value(self, node: ast.AST, made: dict[str, Origins]) -> Origins:
        """Where the value of an expression is from."""
        if isinstance(node, ast.Name):
            return made.get(node.id, NOTHING)
        if isinstance(node, ast.Call):
            return self.call(node, made)
        return _union(self.value(child, made) for child in ast.iter_child_nodes(node))

    def call(self, node: ast.Call, made: dict[str, Origins]) -> Origins:
        """Where the value of a call is from: a task, a function of the module, or its arguments."""
        given = [self.value(one, made) for one in node.args]
        given += [self.value(one.value, made) for one in node.keywords]
        name, method = _called(node.func)
        if name in self.tasks:
            if method == "map":
                self.graph.mapped.add(name)
            if self.tasks[name].fn.__module__ in RECORDING:
                self.graph.recording.add(name)
            return self.graph.add(name, _union(given))
        if name in self.functions and not method:
            return self.function(name, self.bound(name, node, given))
        return _union([self.value(node.func, made), *given])

    def bound(self, name: str, node: ast.Call, given: list[Origins]) -> dict[str, Origins]:
        """Parameters with the origins of what is given; from a `*` on, of all that follows."""
        parameters = [one.arg for one in self.functions[name].args.args]
        starred = [isinstance(one, ast.Starred) for one in node.args]
        exact = starred.index(True) if True in starred else len(given)
        rest = dict.fromkeys(parameters[exact:], _union(given[exact:]))
        return rest | dict(zip(parameters[:exact], given[:exact], strict=False))


def _statements(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse])
        elif isinstance(node, ast.With | ast.While):
            yield from _statements(node.body)


def _names(node: ast.AST) -> list[str]:
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]


def _called(node: ast.expr) -> tuple[str, str]:
    """Name and method of what is called, as in `embed.map`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id, node.attr
    return (node.id, "") if isinstance(node, ast.Name) else ("", "")


def _union(origins: Iterable[Origins]) -> Origins:
    return NOTHING.union(*origins)


def graph_of(module: ModuleType, flow: str) -> Graph:
    """Every task that a flow calls, helpers of its module included."""
    reader = Reader(module)
    reader.function(flow, {})
    return reader.graph


def before(inputs: dict[str, Origins], task: str) -> Origins:
    """All tasks that a task waits for."""
    found = inputs[task]
    return found | _union(before(inputs, one) for one in found)


def reduced(inputs: dict[str, Origins]) -> dict[str, Origins]:
    """Only what `FIRST` flows into, and of its arrows only those that no longer way shows."""
    shown = {task for task in inputs if task == FIRST or FIRST in before(inputs, task)}
    kept = {task: inputs[task] & shown for task in inputs if task in shown}
    return {
        task: origins - _union(before(kept, one) for one in origins)
        for task, origins in kept.items()
    }


def mermaid(graph: Graph) -> str:
    """The diagram in Mermaid's language, left to right."""
    arrows = reduced(graph.inputs)
    lines = ["flowchart LR", f"    source[(source)] --> {FIRST}"]
    lines += [f"    {task}[[{task}]]" for task in arrows if task in graph.mapped]
    lines += [f"    {task}({task})" for task in arrows if task in graph.recording]
    for task in arrows:
        takers = [taker for taker, origins in arrows.items() if task in origins]
        lines += [f"    {task} --> {' & '.join(takers)}"] if takers else []
    return "\n".join(lines) + "\n"


def section() -> str:
    """The README's diagram."""
    return f"```mermaid\n{mermaid(graph_of(train, 'train'))}```\n"


def write_diagram(readme: Path = README) -> None:
    """Put the diagram into the README."""
    before_it, rest = readme.read_text(encoding="utf-8").split(START)
    page = before_it + START + section() + END + rest.split(END)[1]
    readme.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    print(section(), end="")
    write_diagram()
