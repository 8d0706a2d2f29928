"""Text cells of a catalogue -> clean text, ids, years and counts; never evaluated as code."""

import hashlib
import html
import re
import unicodedata
from typing import Literal

import ftfy
from ftfy.badness import is_bad

Reason = Literal[
    "damaged_line",
    "shifted_row",
    "bad_id",
    "missing_title",
    "missing_overview",
    "placeholder_overview",
    "repeated_overview",
    "unreadable_genres",
    "duplicate_id",
    "folded_row",
    "repeated_header",
]
#: What is written where there is no value, in lower case; a title may be any of it but nothing.
MISSING = frozenset(
    [
        *("", "na", "n/a", "n.a.", "<na>", "nan", "-nan", "none", "null", "(null)", "nil", "nat"),
        *("\\n", "#n/a", "#na", "#name?", "#value!", "#ref!", "#null!", "-", "--", "–", "—", "?"),
        *("tbd", "tba", "undefined", "unknown", "missing", "(no genres listed)", "not available"),
    ]
)
LONGEST_MISSING = max(map(len, MISSING))
#: Placeholders for a missing overview, in lower case without punctuation.
PLACEHOLDERS = frozenset(
    [
        *("no overview", "no overview found", "no overview yet", "no overview available"),
        *("no description", "no description available", "no plot", "no plot available"),
        *("no synopsis", "no synopsis available", "not available", "plot unknown", "add a plot"),
        *("plot unavailable", "plot to be announced", "plot kept under wraps", "under wraps"),
        *("the plot is unknown", "plot is unknown", "plot undisclosed", "to be announced"),
        *("to be determined", "coming soon", "overview coming soon", "n a", "none", "null", "nan"),
    ]
)
LONGEST_PLACEHOLDER = 60  # characters; longer texts are not compared with the placeholders
_CONTROL = re.compile(r"[\x00-\x1f\x7f\s]+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LETTER = re.compile(r"[^\W\d_]")
#: Tags of HTML that descriptions have; other text between angle brackets is text.
_TAG = re.compile(
    r"</?(?:p|br|i|b|em|strong|a|span|div|ul|ol|li|h[1-6]|u|s|sup|sub|q|cite|small|img|font|hr|table"
    r"|tr|td|tbody|blockquote|center|code|pre)(?:\s+[a-z-]+=[^<>]{0,300})?\s*/?>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z][a-z0-9]+);", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(18[7-9]\d|19\d\d|20\d\d)(?!\d)")
#: What ftfy's slower test finds in Latin text: bytes of UTF-8 side by side, or with a space lost.
_MAYBE_MOJIBAKE = re.compile(r"[^\x00-\x7f]{2}|[\x80-\x9fÃÂ]")
_NUMBER_ID = re.compile(r"0*(\d{1,18})(\.0+)?", re.ASCII)
_COMPACT_DATE = re.compile(r"(18[7-9]\d|19\d\d|20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?:\.0)?")
_SHORT_DATE = re.compile(r"(\d{1,2})[./-]\d{1,2}[./-](\d{1,2})(?:\s+\d{1,2}:\d\d(?::\d\d)?)?")
MAX_DAY = 31
FIRST_YEAR_OF_LAST_CENTURY = 30  # of two digits
MAX_ID_LENGTH = 100
CONTENT_ID_LENGTH = 16  # hexadecimal digits


def clean_text(text: str) -> str:
    """Text as it was meant: no HTML, no mojibake, composed letters (NFC), single spaces."""
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = without_entities(text)
    if not text.isascii():
        is_mojibake = _MAYBE_MOJIBAKE.search(text) and is_bad(text)
        text = unicodedata.normalize("NFC", ftfy.fix_encoding(text) if is_mojibake else text)
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    return " ".join(text.split())


def without_entities(text: str) -> str:
    """Text with its entities replaced; `&amp;quot;` has two of them in each other."""
    for _ in range(2):
        if _ENTITY.search(text):
            text = html.unescape(text)
    return _TAG.sub(" ", text)


def is_missing(text: str) -> bool:
    """Whether a cell says that it has no value, in one of the usual ways (`MISSING`)."""
    return len(text) <= LONGEST_MISSING + 10 and text.strip().casefold() in MISSING


def parse_number_id(text: str) -> str | None:
    """A whole number in digits, also written as a float (`862.0`); None for other text."""
    match = _NUMBER_ID.fullmatch(text.strip())
    return match[1] if match else None


def parse_id(text: str) -> str | None:
    """A number as `parse_number_id` has it, or any other id such as `tt0076759`; None if missing.

    A text that is too long to be an id counts as missing too.
    """
    if number := parse_number_id(text):
        return number
    text = clean_text(text)
    return None if is_missing(text) or len(text) > MAX_ID_LENGTH else text


def content_id(content: str) -> str:
    """An id for a movie that has none: the first digits of the SHA-256 of its content."""
    return hashlib.sha256(content.encode()).hexdigest()[:CONTENT_ID_LENGTH]


def parse_year(text: str, *, is_year_first: bool = False) -> int | None:
    """Year from 1870 to 2099 in a date of any usual form; None for other text.

    `1995-10-30`, `10/30/1995`, `October 30, 1995`, `19951030`, `(1995)`, `1995.0`; of a span
    (`1995–1999`) the first. A year of two digits (`30.10.95`) is the last number, or with
    `is_year_first` the first; up to 29 it is of this century.
    """
    text = text.strip()
    if match := _COMPACT_DATE.fullmatch(text) or _YEAR.search(text):
        return int(match[1])
    if match := _SHORT_DATE.fullmatch(text):
        year = match[1] if is_year_first else match[2]
        return _year_of_two_digits(year) if len(year) == 2 else None
    return None


def _year_of_two_digits(digits: str) -> int:
    return int(digits) + (2000 if int(digits) < FIRST_YEAR_OF_LAST_CENTURY else 1900)


def order_of_short_date(text: str) -> int:
    """1 if a date of two digits each can only begin with its year (`95/10/30`), -1 if it can only
    end with it, 0 if neither or both are possible."""
    match = _SHORT_DATE.fullmatch(text.strip())
    return (int(match[1]) > MAX_DAY) - (int(match[2]) > MAX_DAY) if match else 0


def parse_count(text: str) -> int | None:
    """A count, also written as a float or with commas (`5415.0`, `1,234`); None for other text."""
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.strip())
    return int(float(plain)) if re.fullmatch(r"\d{1,15}(\.\d+)?", plain) else None


def parse_imdb_id(text: str) -> str | None:
    """An IMDb id such as `tt0114709`; None for other text."""
    match = re.fullmatch(r"tt[0-9]+", text.strip())
    return match[0] if match else None


def overview_problem(overview: str) -> Reason | None:
    """Why a cleaned text is not a valid overview; None if it is valid."""
    if is_missing(overview):
        return "missing_overview"
    if not _WORD.search(overview) and not (_LETTER.search(overview) and not overview.isascii()):
        return "placeholder_overview"
    if len(overview) > LONGEST_PLACEHOLDER:
        return None
    words = re.sub(r"[\W_]+", " ", overview.casefold()).strip()
    return "placeholder_overview" if words in PLACEHOLDERS else None
