"""The project's modules -> the objects, functions and calls in them."""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

PACKAGES = ("app", "flows", "tasks")


@cache
def modules() -> list[ModuleType]:
    """All modules of the project, by name."""
    names = [*PACKAGES]
    for package in map(import_module, PACKAGES):
        names += [module.name for module in walk_packages(package.__path__, f"{package.__name__}.")]
    return [import_module(name) for name in sorted(names)]


def members(kind: type) -> dict[str, Any]:
    """Objects of a kind that a module defines, by their full names."""
    return {
        f"{module.__name__}.{name}": value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, kind) and getattr(value, "__module__", None) == module.__name__
    }


@cache
def functions() -> list[tuple[ModuleType, ast.FunctionDef]]:
    """Syntax trees of all functions and methods, without functions inside of functions."""
    return [
        (module, node)
        for module in modules()
        for node in definitions_in(ast.parse(inspect.getsource(module)))
    ]


def definitions_in(block: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Functions of a module or class, and of the classes in it."""
    for node in block.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from definitions_in(node)


def calls(names: str) -> Iterator[tuple[ModuleType, ast.FunctionDef, ast.Call]]:
    """Calls of functions whose names match a pattern, each with the function that it stands in."""
    for module, function in functions():
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and re.fullmatch(names, called_name(node)):
                yield module, function, node


def called_name(call: ast.Call) -> str:
    """Name of the called function, without its module or object."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""
