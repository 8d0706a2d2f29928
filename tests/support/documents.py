"""What the documents say to run, read from their fenced blocks.

A block of `bash` holds commands, one of `console` commands after `$ ` with their output; a comment
`exit code 2` behind a command says how it ends. Above a block may stand, as an HTML comment:
`not run: why`, `file: path` (the block is that file) or `change: path` (a diff of lines to add).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

BLOCK = re.compile(
    r"(?:^<!-- (not run|file|change): (.+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
EXIT_CODE = re.compile(r"# exit code (\d)")


@dataclass(frozen=True)
class Step:
    """A command of a page, or a file that the page says to write (`kind` file or change)."""

    kind: str
    text: str
    path: str = ""
    code: int = 0
    output: tuple[str, ...] = ()


def steps_of(page: str) -> list[Step]:
    """Everything that a page says to do, in order."""
    return [step for block in BLOCK.findall(page) for step in _block(*block)]


def _block(mark: str, what: str, language: str, body: str) -> list[Step]:
    if mark in ("file", "change"):
        return [Step(mark, body, what)]
    if language not in ("bash", "console"):
        return []
    steps = _console(body) if language == "console" else [_command(one) for one in _joined(body)]
    return [replace(step, kind="not run", path=what) for step in steps] if mark else steps


def _joined(body: str) -> list[str]:
    """Lines, those that end in a backslash with the next; comments alone on a line left out."""
    lines = re.sub(r"\\\n\s*", "", body).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _console(body: str) -> list[Step]:
    """Commands after `$ `, with the lines after `> ` that belong to them."""
    whole = re.sub(r"\\\n> ", "", body)
    parts = re.split(r"^\$ ", whole, flags=re.MULTILINE)[1:]
    steps = []
    for part in parts:
        first, *rest = part.splitlines()
        more = list(takewhile(lambda line: line.startswith("> "), rest))
        command = "\n".join([first, *(line[2:] for line in more)])
        steps.append(_command(command, *rest[len(more) :]))
    return steps


def _command(line: str, *output: str) -> Step:
    ending = EXIT_CODE.search(line)
    return Step("run", line, code=int(ending[1]) if ending else 0, output=output)


def spans(page: str) -> Iterator[str]:
    """Inline code of a page, blocks left out."""
    return (code.strip() for code in re.findall(r"`([^`\n]+)`", BLOCK.sub("", page)))
