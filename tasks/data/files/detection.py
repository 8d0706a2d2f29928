"""First bytes of a file -> its format, compression, encoding and delimiter.

Names of files lie: a parquet file may be called `films.pq`, or have no suffix at all.
"""

import bz2
import codecs
import csv
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

import charset_normalizer

from tasks.core.contracts import UserError

Kind = Literal["parquet", "spreadsheet", "json", "text"]
Delimiter = Literal["comma", "semicolon", "tab", "pipe"]

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
#: Encodings that are told by their mark at the start of the file.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16's does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ENCODING_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8 with BOM", "utf-16": "UTF-16"}
#: Encodings that are proposed for a file that is not Unicode.
LEGACY_ENCODINGS = [
    *("cp1252", "latin_1", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp874"),
    *("shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "koi8_r"),
    *("iso8859_2", "mac_roman"),
]
USUAL_LEGACY_ENCODING = "cp1252"  # of Excel in western countries
#: Files of other kinds, by their first bytes.
OTHER_KINDS = {
    b"ARROW1": "Feather",
    b"FEA1": "Feather",
    b"SQLite format 3": "SQLite",
    b"\x80\x02": "pickle",
    b"\x80\x03": "pickle",
    b"\x80\x04": "pickle",
    b"\x80\x05": "pickle",
    b"%PDF": "PDF",
}
SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".ods")  # zip archives
ZIP = b"PK\x03\x04"
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ESCAPED = re.compile(r'\\(["\\])')
SAMPLE_BYTES = 1 << 16
SAMPLE_LINES = 2000
BROKEN_FILE = (csv.Error, OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


class FileFormat(NamedTuple):
    """How a file is read; of delimited text also its dialect.

    `escape` is a backslash or none. With `skip_space`, a space after a delimiter is no text.
    `sheets` says which sheets of a spreadsheet with several are read.
    """

    kind: Kind
    encoding: str = "utf-8"
    delimiter: str = ","
    escape: str | None = None
    skip_space: bool = False
    sheets: str = ""

    def __str__(self) -> str:
        """Like `semicolon-separated, UTF-8 with BOM`."""
        if self.kind != "text":
            return {"json": "JSON"}.get(self.kind, self.kind) + self.sheets
        encoding = ENCODING_NAMES.get(self.encoding, self.encoding)
        escaped = ", quotes escaped by backslashes" if self.escape else ""
        return f"{DELIMITERS[self.delimiter]}-separated, {encoding}{escaped}"

    @property
    def csv_options(self) -> dict[str, Any]:
        """Options of `csv.reader`."""
        return {"delimiter": self.delimiter, "skipinitialspace": self.skip_space}

    def plain(self, lines: Iterable[str]) -> Iterable[str]:
        """Lines whose quotes are doubled; a backslash escapes quotes and backslashes alone."""
        return (_doubled_quotes(line) for line in lines) if self.escape else lines

    @property
    def is_usual(self) -> bool:
        """Whether the file is what `movies.csv` or `movies.parquet` usually is."""
        return self in (TEXT, FileFormat("parquet"))


TEXT = FileFormat("text")


def _doubled_quotes(line: str) -> str:
    return _ESCAPED.sub(lambda escaped: '""' if escaped[1] == '"' else "\\", line)


def open_bytes(path: Path) -> IO[bytes]:
    """The content of a file, decompressed if its first bytes are those of gzip, bzip2, xz or zip.

    Raises:
        UserError: an archive has not exactly one file.
    """
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if start.startswith(b"BZh"):
        return bz2.open(path)
    if start.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    if start.startswith(ZIP) or path.suffix.lower() == ".zip":
        return _open_only_member(path)
    return path.open("rb")


def _open_only_member(path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: the archive is damaged ({error}).") from error
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if len(names) != 1:
        raise UserError(
            f"{path}: the archive has {len(names)} files ({', '.join(names)[:200]}). "
            f"Choose one: --source zip://{names[0] if names else 'FILE'}::{path}"
        )
    return archive.open(names[0])


@contextmanager
def open_text(path: Path, encoding: str, errors: str = "strict") -> Iterator[IO[str]]:
    """The text of a file, whose line ends are kept."""
    with open_bytes(path) as file, TextIOWrapper(file, encoding, errors, newline="") as text:
        yield text


def detect_format(
    path: Path, encoding: str | None, delimiter: str | None, known: Callable[[str], bool]
) -> FileFormat:
    """Format of a file by its content; a given encoding or delimiter is not questioned.

    `known` says whether a column name is one of those that are read: the delimiter is that which
    splits the header into most of them.

    Raises:
        UserError: the file is empty or an archive of several files, or there is no such encoding.
    """
    if _is_spreadsheet(path):
        return FileFormat("spreadsheet")
    with open_bytes(path) as file:
        start = file.read(SAMPLE_BYTES)
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        raise UserError(f"{path}: the file is empty.")
    if start.startswith(b"PAR1"):
        return FileFormat("parquet")
    if other := next((kind for mark, kind in OTHER_KINDS.items() if start.startswith(mark)), None):
        raise UserError(f"{path}: a {other} file is not read. Export it as parquet or CSV.")
    encoding = _known_encoding(encoding) if encoding else _detected_encoding(start)
    if start.decode(encoding, "ignore").lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        return FileFormat("json", encoding)
    with open_text(path, encoding, "replace") as text:
        lines = list(islice(text, SAMPLE_LINES))
    lines = [line for line in without_hint(lines) if line.strip()]
    return _dialect(lines, FileFormat("text", encoding, delimiter or _delimiter(lines, known)))


def _is_spreadsheet(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(len(OLD_EXCEL))
    if start == OLD_EXCEL:
        return True
    if not zipfile.is_zipfile(path):
        return start.startswith(ZIP) and path.suffix.lower() in SPREADSHEETS  # a damaged one
    with zipfile.ZipFile(path) as archive:
        return not {"[Content_Types].xml", "mimetype"}.isdisjoint(archive.namelist())


def _known_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise UserError(f"--ingest.encoding {name}: there is no such encoding.") from None


def _detected_encoding(start: bytes) -> str:
    """UTF-8 unless the file begins with another encoding's mark; what is not UTF-8 is found when
    the file is read, with its row."""
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    zeros = (start[:1000:2].count(0), start[1:1000:2].count(0))  # of even and odd bytes
    if max(zeros) > len(start[:1000]) / 8:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return "utf-8"


def guess_encoding(path: Path) -> str | None:
    """The likeliest encoding of a file that is not Unicode; None if none is likely."""
    with open_bytes(path) as file:
        sample = b"".join(line for line in islice(file, 200_000) if not line.isascii())
    matches = charset_normalizer.from_bytes(sample[:SAMPLE_BYTES], cp_isolation=LEGACY_ENCODINGS)
    best = matches.best()
    if best is None:
        return None
    equal = [one for one in matches if (one.chaos, one.coherence) == (best.chaos, best.coherence)]
    likely = [encoding for one in equal for encoding in one.could_be_from_charset]
    return USUAL_LEGACY_ENCODING if USUAL_LEGACY_ENCODING in likely else best.encoding


def _delimiter(lines: Sequence[str], known: Callable[[str], bool]) -> str:
    """The delimiter that splits the header into most known columns, then into most columns."""

    def columns(delimiter: str) -> tuple[int, int]:
        header = next(csv.reader(lines, delimiter=delimiter), [])
        return sum(map(known, header)), len(header)

    return max(DELIMITERS, key=columns)


def without_hint(lines: Iterable[str]) -> list[str]:
    """Lines without the first one that tells Excel the delimiter (`sep=;`)."""
    kept = list(lines)
    return kept[1:] if kept and re.fullmatch(r"\ufeff?sep=.\s*", kept[0]) else kept


def _dialect(lines: Sequence[str], form: FileFormat) -> FileFormat:
    """The dialect with most complete rows: one of two that are common, or RFC 4180's.

    A quote in a cell is doubled there, and a cell in quotes begins right after the delimiter.
    """
    dialects = [form]
    if any(
        re.search(rf'{re.escape(form.delimiter)} "[^"{re.escape(form.delimiter)}\s]', line)
        for line in lines
    ):
        dialects.insert(0, form._replace(skip_space=True))
    if any(re.search(r'\\"(?!")', line) for line in lines):
        dialects.insert(0, form._replace(escape="\\"))
    return max(dialects, key=lambda dialect: _complete_rows(lines, dialect))


def _complete_rows(lines: Sequence[str], form: FileFormat) -> int:
    """Rows with as many cells as the header, less those whose quotes break the rules."""
    reader = csv.reader(form.plain(lines), strict=True, **form.csv_options)
    width, complete = 0, 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            complete -= 1
            continue
        if row is None:
            return complete
        width = width or len(row)
        complete += len(row) == width
