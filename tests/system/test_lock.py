"""`requirements.lock` pins everything that the project needs, on every machine that it supports."""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import chain, product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = [Requirement(line) for line in LOCK.splitlines() if not line.startswith("#")]
ASKED = [
    Requirement(line)
    for line in chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
]
MACHINES = [
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9", **platform}
    for minor, platform in product(
        (11, 12, 13, 14),
        (
            {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
            {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
        ),
    )
]


def pins_of(name: str, machine: dict[str, str] | None = None) -> list[Version]:
    """Versions that the lock pins a package to, on this machine or another."""
    return [
        Version(next(iter(pin.specifier)).version)
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate(machine))
    ]


def installed(requirements: list[Requirement]) -> Iterator[str]:
    """Names of the installed packages that requirements lead to."""
    seen, queue = set[tuple[str, frozenset[str]]](), list(requirements)
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            needs = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:  # an extra that is not installed
            continue
        yield name
        contexts = [{"extra": extra} for extra in (*extras, "")]
        queue += [
            need
            for need in needs
            if need.marker is None or any(map(need.marker.evaluate, contexts))
        ]


@pytest.mark.parametrize("requirement", ASKED, ids=str)
def test_a_requirement_is_pinned_to_one_release_that_satisfies_it(requirement):
    for machine in MACHINES:
        (pin,) = pins_of(requirement.name, machine)
        assert requirement.specifier.contains(pin), machine


def test_every_line_pins_one_version_and_names_no_registry():
    for pin in PINS:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin
        assert not pin.url
        assert not pin.extras, "pip refuses constraints with extras"


def test_sqlalchemy_is_below_the_release_that_breaks_prefect_s_scheduler():
    assert pins_of("sqlalchemy") < [Version("2.1")]


def test_the_project_is_built_with_the_locked_setuptools():
    (setuptools,) = map(Requirement, PYPROJECT["build-system"]["requires"])
    assert setuptools.specifier.contains(*pins_of("setuptools"))


def test_all_that_the_project_leads_to_is_pinned():
    assert [name for name in installed(ASKED) if not pins_of(name)] == []


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not run from make's .venv")
def test_make_installed_the_pinned_releases():
    installed_versions = {name: Version(version(name)).public for name in installed(ASKED)}
    assert installed_versions == {name: str(*pins_of(name)) for name in installed_versions}
