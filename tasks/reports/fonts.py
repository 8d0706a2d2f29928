"""Letters that Matplotlib's own font lacks -> installed fonts that have them."""

import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from tasks.core.logs import logger

REGULAR_WEIGHTS = (400, "normal", "regular", "book")
BOXES = ("Last Resort High-Efficiency",)  # Matplotlib's, with a box for every letter
PACKAGES = "fonts-noto-cjk (Chinese, Japanese, Korean) or fonts-noto-core (most others)"


def use_fallback_fonts(figure: Figure) -> None:
    """Let all texts of a figure take letters that their font lacks from other installed fonts."""
    texts = _texts(figure)
    letters = {letter for text in texts for letter in text.get_text() if letter.isprintable()}
    missing = lacking(findfont(FontProperties()), letters)
    for text in texts if missing else ():
        text.set_fontfamily([*text.get_fontfamily(), *fallback_families(frozenset(missing))])


def _texts(figure: Figure) -> list[Text]:
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()  # before, they have no text
    return [text for text in figure.findobj(Text) if isinstance(text, Text)]


def lacking(path: str, letters: Iterable[str]) -> set[str]:
    """The letters that a font file has no glyph for."""
    font = get_font(path)
    return {letter for letter in letters if not font.get_char_index(ord(letter))}


@cache
def fallback_families(letters: frozenset[str]) -> tuple[str, ...]:
    """Names of installed fonts that together have as many of the letters as possible.

    Letters that none has are named in the log, once, instead of in a warning for each.
    """
    families, missing = list[str](), set(letters)
    while missing and (best := _font_with_most(missing)):
        families.append(best.name)
        missing = lacking(best.fname, missing)
    if missing:
        _log_missing(missing)
    return tuple(families)


def _font_with_most(letters: set[str]) -> FontEntry | None:
    """The regular font that has most of the letters, the first by name; None if none has any."""
    fonts = [font for font in fontManager.ttflist if font.style == "normal"]
    fonts = [font for font in fonts if font.weight in REGULAR_WEIGHTS and font.name not in BOXES]
    fonts = [font for font in fonts if Path(font.fname).exists()]  # the list is of an earlier day
    counts = {font: len(letters) - len(lacking(font.fname, letters)) for font in fonts}
    best = min(counts, key=lambda font: (-counts[font], font.name), default=None)
    return best if best and counts[best] else None


def _log_missing(letters: set[str]) -> None:
    warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
    logger.warning(
        "Figures show boxes for %d letters, such as %s: no installed font has them. Install one, "
        "such as Debian's %s, and train with --refresh.",
        len(letters),
        "".join(sorted(letters)[:5]),
        PACKAGES,
    )
