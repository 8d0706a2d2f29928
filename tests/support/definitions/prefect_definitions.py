"""Deployments, automations, flows, tasks and artifacts in Prefect."""

import ast
import inspect
from pathlib import Path
from sys import maxsize
from textwrap import dedent
from types import FunctionType, ModuleType
from typing import Any

import yaml
from prefect import Flow, Task, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events.schemas.automations import AutomationCore

from flows.runtime.local_stack import stack
from tests.conftest import ROOT
from tests.support.definitions.modules import PACKAGES, calls, members

#: Attributes of a flow or task that identify it, or are shown in another way.
NOT_OPTIONS = (
    *("description", "fn", "parameters", "source_code", "task_key", "task_runner", "version"),
)
SHOW_TABLE = "show_table"
CREATE_ARTIFACT = rf"create_\w+_artifact|ArtifactCreate|{SHOW_TABLE}"
CREATE_PROGRESS_ARTIFACT = "gather|progress_bar|watch_epochs"


@flow
def flow_without_options() -> None:
    pass


@task
def task_without_options() -> None:
    pass


def deployments() -> dict[str, Any]:
    """`prefect.yaml` with its aliases resolved; deployments by their full names."""
    project: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    by_name = {}
    for deployment in project.pop("deployments"):
        flow_name = deployment["entrypoint"].partition(":")[2]
        by_name[f"{flow_name}/{deployment['name']}"] = deployment
    del project["definitions"]
    return project | {"deployments": by_name}


def automations() -> dict[str, Any]:
    """The automations that the local stack creates, as Prefect reads their files."""
    files = stack.AUTOMATIONS.items()
    return {name: read_automation(file).model_dump(exclude_unset=True) for name, file in files}


def read_automation(file: Path) -> AutomationCore:
    return AutomationCore.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def tasks() -> dict[str, Any]:
    """The options of every task."""
    return {name: options(task, task_without_options) for name, task in members(Task).items()}


def flows() -> dict[str, Any]:
    """Options and task runner of every flow, and the tasks that it calls."""
    return {
        name: options(flow, flow_without_options)
        | {"task_runner": task_runner(flow), "tasks": called_tasks(flow)}
        for name, flow in members(Flow).items()
    }


def options(decorated: Any, without_options: Any) -> dict[str, Any]:
    """The attributes of a flow or task that an option has changed."""
    return {
        name: option_text(value)
        for name, value in vars(decorated).items()
        if name not in NOT_OPTIONS
        and not name.startswith("_")
        and value != getattr(without_options, name)
    }


def option_text(value: Any) -> Any:
    """An option, with the names of functions and classes in place of their objects."""
    if value == NO_CACHE:
        return "NO_CACHE"
    if isinstance(value, list):
        return [option_text(item) for item in value]
    return value.__name__ if isinstance(value, FunctionType) else value


def task_runner(flow: Flow[..., Any]) -> str:
    """The task runner of a flow and its number of threads."""
    threads = vars(flow.task_runner)["_max_workers"]
    return f"{type(flow.task_runner).__name__}({'unbounded' if threads == maxsize else threads})"


def called_tasks(flow: Flow[..., Any]) -> dict[str, list[str]]:
    """The tasks that a flow and the functions and tasks below it call, by calling function."""
    called: dict[str, list[str]] = {}
    functions: list[Any] = [flow.fn]
    for function in functions:
        task_calls, helpers = calls_in(function)
        called |= {f"{function.__module__}.{function.__name__}": task_calls} if task_calls else {}
        functions += [helper for helper in helpers if helper not in functions]
    return called


def calls_in(function: FunctionType) -> tuple[list[str], list[FunctionType]]:
    """Calls of tasks in a function, in their order, and the project's functions in its calls."""
    tree = ast.parse(dedent(inspect.getsource(function)))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    methods = {id(node.value): f".{node.attr}" for node in attributes}
    task_calls, helpers = [], []
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        value = inspect.unwrap(function).__globals__.get(node.id)
        if isinstance(value, Task):
            task_calls.append(f"{node.id}{methods.get(id(node), '')}")
            helpers.append(inspect.unwrap(value.fn))
        elif isinstance(value, FunctionType) and value.__module__.split(".")[0] in PACKAGES:
            helpers.append(value)
    return task_calls, helpers


def artifacts() -> dict[str, dict[str, str]]:
    """Keys and descriptions of artifacts as the code has them, by the function that creates them.

    A description says what the artifact shows; that of progress changes while it is shown.
    """
    artifacts: dict[str, dict[str, str]] = {}
    for module, function, call in calls(f"{CREATE_ARTIFACT}|{CREATE_PROGRESS_ARTIFACT}"):
        if function.name == SHOW_TABLE:  # its callers are listed
            continue
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        if "key" in arguments:
            keys = loop_values(module, function, arguments["key"]) or [text_of(arguments["key"])]
        else:
            keys = [f"progress-{text_of(call.args[0])}"]
        description = (
            text_of(arguments["description"]) if "description" in arguments else "(progress)"
        )
        name = f"{module.__name__}.{function.name}"
        artifacts.setdefault(name, {}).update(dict.fromkeys(keys, description))
    return artifacts


def loop_values(module: ModuleType, function: ast.FunctionDef, variable: ast.expr) -> list[str]:
    """The values of a variable of a loop over a constant mapping; none for anything else."""
    loops = [node for node in ast.walk(function) if isinstance(node, ast.For)]
    for loop in loops:
        first = loop.target.elts[0] if isinstance(loop.target, ast.Tuple) else loop.target
        if ast.unparse(first) == ast.unparse(variable):
            return list(getattr(module, ast.unparse(loop.iter).removesuffix(".items()"), []))
    return []


def text_of(node: ast.expr) -> str:
    """The text of a constant or an f-string; any other expression in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    return f"{{{ast.unparse(node)}}}"
