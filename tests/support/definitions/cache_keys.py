"""What every stage hashes into the key of its cache entry, as the code has it."""

import ast
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tests.support.definitions.modules import calls


def cache_keys() -> dict[str, Any]:
    """The parts of every key, by the function that looks an entry up.

    `key_of` hashes keys; the fingerprint of a training is made by it as well.
    """
    keys: dict[str, Any] = {}
    for module, function, call in calls("get_or_create|key_of"):
        name = f"{module.__name__}.{function.name}"
        assert name not in keys, f"{name} has two keys"
        *stage, key = call.args[:2]  # `key_of` has no stage
        definition = key_definition(module, function, key)
        keys[name] = definition | ({"stage": stage_name(module, stage[0])} if stage else {})
    return keys


def key_definition(module: ModuleType, function: ast.FunctionDef, key: ast.expr) -> dict[str, Any]:
    """The parts of a key, what the names in them stand for, and the parameters in none of them."""
    variables, types = assignments(function), parameters(function)
    if isinstance(key, ast.Name):
        key = variables.get(key.id, key)
    meanings: dict[str, Any] = {}
    nodes = [key]
    for node in nodes:
        for name in names_in(node) - meanings.keys():
            if name in variables:
                nodes.append(variables[name])
            meanings |= meaning(name, variables, types, vars(module))
    parts = key.elts if isinstance(key, ast.List) else [key]
    return {
        "key": [ast.unparse(part) for part in parts],
        "where": meanings,
        "not in the key": {name: types[name] for name in types.keys() - meanings.keys()},
    }


def meaning(
    name: str,
    variables: Mapping[str, ast.expr],
    types: Mapping[str, str],
    constants: Mapping[str, Any],
) -> dict[str, Any]:
    """What a variable is assigned, the type of a parameter, or the value of a constant."""
    if name in variables:
        return {name: ast.unparse(variables[name])}
    if name in types:
        return {name: types[name]}
    value = constants.get(name)
    return {name: value} if isinstance(value, int | str | tuple) else {}


def names_in(node: ast.AST) -> set[str]:
    """All names in an expression."""
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def parameters(function: ast.FunctionDef) -> dict[str, str]:
    """Types of the parameters of a function, as written."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {
        argument.arg: ast.unparse(argument.annotation) if argument.annotation else ""
        for argument in arguments
    }


def assignments(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Values of the local variables of a function that are assigned by `name = value`."""
    values: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, node.value)
    return values


def stage_name(module: ModuleType, node: ast.expr) -> str:
    """Value of a text, or of a constant of the module."""
    return str(node.value if isinstance(node, ast.Constant) else getattr(module, ast.unparse(node)))
