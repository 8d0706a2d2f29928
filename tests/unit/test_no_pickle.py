"""No file is unpickled: unpickling runs code."""

import ast
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

MODULES = sorted(path for name in ("app", "flows", "tasks") for path in (ROOT / name).rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
#: Readers that unpickle unless an argument forbids it, with that argument.
READERS = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
#: Readers that unpickle whatever they are told.
FORBIDDEN = {
    "joblib.load",
    "pd.read_pickle",
    "pandas.read_pickle",
    "Doc2Vec.load",
    "KeyedVectors.load",
}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def unsafe_calls(tree: ast.AST) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if is_unsafe(call)]


def is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name not in READERS:
        return name in FORBIDDEN
    argument, safe = READERS[name]
    values = {keyword.arg: keyword.value for keyword in call.keywords}
    value = values.get(argument)
    return not (isinstance(value, ast.Constant) and value.value is safe)


def test_no_module_unpickles():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    assert trees
    assert {path: calls for path, tree in trees.items() if (calls := unsafe_calls(tree))} == {}
    assert [path for path, tree in trees.items() if UNPICKLING & set(imported(tree))] == []


@pytest.mark.parametrize(
    "call",
    [
        "np.load(file)",
        "np.load(file, allow_pickle=True)",
        "torch.load(file, map_location=device)",
        "joblib.load(file)",
    ],
)
def test_a_call_that_could_unpickle_is_seen(call):
    assert unsafe_calls(ast.parse(call)) == [call]
