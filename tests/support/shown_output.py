"""Output that a page shows -> the lines of it that a command did not print.

A shown `…` stands for any text. Times, dates and durations are not compared, numbers within a
tolerance: scores of the sample differ a little between processors.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

BOX = str.maketrans(dict.fromkeys("┃│┏┓┗┛┡┩└┘━─┳┻╇┴┬┼", " "))
SCORE_TOLERANCE = 0.05  # recall of the sample's 33 test movies moved by .034 with the threads
PERCENT_TOLERANCE = 3.0
PARTS = re.compile(
    r"(?P<gap>…)"
    r"|(?P<time>\b\d{4}-\d\d-\d\d\b|\b\d\d:\d\d(?::\d\d)?\b|\b\d+(?:\.\d+)? ?s\b)"
    r"|(?<![\w.])(?P<number>-?\d+(?:\.\d+)?(?!\w)%?)"
)
PATTERNS = {
    "gap": r".*?",
    "time": r"[\d:.-]+(?: ?s)?",
    "number": r"(?<![\w.])(-?\d+(?:\.\d+)?(?!\w)%?)",
}


def comparable(output: str) -> str:
    """Output without the frames and spaces of tables."""
    return " ".join(output.translate(BOX).split())


def missing_lines(shown: Sequence[str], output: str) -> list[str]:
    """Shown lines that stand nowhere in the output."""
    text = comparable(output)
    lines = filter(None, map(comparable, shown))
    return [line for line in lines if not stands_in(line, text)]


def stands_in(line: str, text: str) -> bool:
    """Whether a part of the text has the words of a line, and numbers close to its numbers."""
    parts = list(PARTS.finditer(line))
    ends = [0, *(place for part in parts for place in part.span()), len(line)]
    words = [re.escape(line[start:end]) for start, end in list(pairwise(ends))[::2]]
    patterns = [PATTERNS[str(part.lastgroup)] for part in parts]
    pattern = words[0] + "".join(map("".join, zip(patterns, words[1:], strict=True)))
    numbers = [part["number"] for part in parts if part["number"]]
    return any(
        all(map(is_close, numbers, match.groups()))
        for match in re.finditer(rf"(?<!\w){pattern}(?!\w)", text)
    )


def is_close(shown: str, printed: str) -> bool:
    """Whole numbers have to be equal; scores and percentages may differ within a tolerance."""
    if shown.endswith("%") != printed.endswith("%"):
        return False
    difference = abs(float(shown.rstrip("%")) - float(printed.rstrip("%")))
    if shown.endswith("%"):
        return difference <= PERCENT_TOLERANCE
    return difference <= (SCORE_TOLERANCE + 1e-9 if "." in shown else 0)
