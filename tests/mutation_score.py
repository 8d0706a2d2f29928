"""Mutants of the modules that decide, and whether the unit tests notice each of them.

`make mutate` runs it. It exits with 1 if a mutant survives that `tests/surviving_mutants.toml` does
not list, or if fewer than 85% of all mutants are killed. Modules and tests are those of
`[tool.mutmut]` in `pyproject.toml`; arguments select mutants, as in `tasks.genres.metrics*`. Killed
mutants of a function that is unchanged are not tested again: delete `mutants/` to test all.
"""

import fnmatch
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

MIN_SCORE = 0.85
KNOWN_SURVIVORS = Path("tests/surviving_mutants.toml")
KILLED = ("killed", "timeout")


class Mutant(NamedTuple):
    """A mutant, the function that it is in, and what the tests said of it."""

    name: str
    path: Path
    status: str

    @property
    def function(self) -> str:
        """Its name without module and without the number of the mutant."""
        mangled = self.name.rpartition(".")[2].rpartition("__mutmut_")[0]
        return mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")

    @property
    def change(self) -> str:
        """Changed lines before and after, as in `a < b -> a <= b`."""
        lines = get_diff_for_mutant(self.name, path=self.path).splitlines()[2:]
        before, after = (
            " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
        )
        return f"{before} -> {after}"


class KnownSurvivor(NamedTuple):
    """Mutants that no test can or need notice: pattern of function and change, and the reason."""

    pattern: re.Pattern[str]
    reason: str


def read_known_survivors() -> list[KnownSurvivor]:
    """The known survivors; every pattern matches `function: before -> after`."""
    entries = tomllib.loads(KNOWN_SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    return [
        KnownSurvivor(re.compile(pattern), entry["reason"])
        for entry in entries
        for pattern in entry["patterns"]
    ]


def forget_survivors() -> None:
    """Have the mutants that survived an earlier run tested again: there may be new tests."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        data.exit_code_by_key = {
            name: code if status_by_exit_code[code] in KILLED else None
            for name, code in data.exit_code_by_key.items()
        }
        if data.exit_code_by_key:
            data.save()


def tested_mutants(selection: Sequence[str]) -> list[Mutant]:
    """The mutants of the last run that are selected; all without a selection."""
    mutants = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        mutants += [
            Mutant(name, path, status_by_exit_code[code])
            for name, code in data.exit_code_by_key.items()
        ]
    return [
        mutant
        for mutant in mutants
        if not selection or any(fnmatch.fnmatch(mutant.name, name) for name in selection)
    ]


def is_known(description: str, known: Sequence[KnownSurvivor]) -> bool:
    """Whether a mutant, as `function: before -> after`, is listed."""
    return any(survivor.pattern.search(description) for survivor in known)


def print_scores(mutants: Sequence[Mutant]) -> float:
    """Print the share of killed mutants of each module; return that of all."""
    for path in sorted({mutant.path for mutant in mutants}):
        statuses = [mutant.status for mutant in mutants if mutant.path == path]
        killed = sum(status in KILLED for status in statuses)
        print(f"{killed / len(statuses):7.1%} of {len(statuses):4} killed  {path}")
    score = sum(mutant.status in KILLED for mutant in mutants) / len(mutants)
    print(f"{score:7.1%} of {len(mutants):4} killed in all")
    return score


def main(selection: Sequence[str]) -> int:
    """Run the selected mutants that no earlier run killed; return the exit code."""
    forget_survivors()
    mutmut = Path(sys.executable).with_name("mutmut")
    run = subprocess.run([mutmut, "run", *selection], check=False)
    if run.returncode:
        return run.returncode
    mutants, known = tested_mutants(selection), read_known_survivors()
    survivors = [mutant for mutant in mutants if mutant.status not in KILLED]
    descriptions = [(mutant, f"{mutant.function}: {mutant.change}") for mutant in survivors]
    unknown = [pair for pair in descriptions if not is_known(pair[1], known)]
    for mutant, description in unknown:
        print(f"{mutant.status}: {mutant.name}\n    {description}")
    score = print_scores(mutants)
    print(f"{len(survivors)} survived, {len(unknown)} of them not in {KNOWN_SURVIVORS}")
    return int(bool(unknown) or score < MIN_SCORE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
