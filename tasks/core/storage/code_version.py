"""Module -> digest of the code and of the libraries that the output of its functions depends on.

The digest is a part of the key of every entry of the cache: after a change of a stage, of a helper
or of a library, the stage is computed again.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parents[3]
PACKAGES = ("app", "flows", "tasks")
#: Distributions that are not called like the module that they install.
DISTRIBUTIONS = {"PIL": "pillow", "dotenv": "python-dotenv", "sklearn": "scikit-learn"}


@cache
def code_version(module: str) -> str:
    """SHA-256 of a module, the project's modules it imports, and the versions of libraries.

    Imports are followed, also those inside functions. Each module is digested once per process:
    later changes on disk are not what runs.
    """
    files = imported_files(module)
    parts = [f"{name} {_file_digest(file)}" for name, file in sorted(files.items())]
    parts += [f"{name} {installed}" for name, installed in library_versions(files).items()]
    parts.append(f"python {sys.version_info.major}.{sys.version_info.minor}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def imported_files(module: str) -> dict[str, Path]:
    """File of a module and of every module of this project that it imports, directly or not."""
    files: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        file = None if name in files else project_file(name, PROJECT)
        if file is not None:
            files[name] = file
            pending += imported_names(file)
    return files


def library_versions(files: Mapping[str, Path]) -> dict[str, str]:
    """Version of every library that some modules import, by its name; empty if not installed."""
    modules = {name.partition(".")[0] for file in files.values() for name in imported_names(file)}
    libraries = modules - {*PACKAGES, *sys.stdlib_module_names}
    return {name: _installed_version(name) for name in sorted(libraries)}


@cache
def imported_names(file: Path) -> frozenset[str]:
    """Names that a file imports, with the packages that contain them.

    For `from a.b import c`, these are `a`, `a.b` and `a.b.c`, which may be a module or not.
    """
    names = {name for node in ast.walk(ast.parse(file.read_bytes())) for name in _names_in(node)}
    return frozenset(package for name in names for package in _with_packages(name))


def _names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))


@cache
def project_file(name: str, project: Path) -> Path | None:
    """File of a module of the project; None for a library, and for what is no module."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    path = project.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@cache
def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _installed_version(library: str) -> str:
    try:
        return version(DISTRIBUTIONS.get(library, library))
    except PackageNotFoundError:
        return ""
