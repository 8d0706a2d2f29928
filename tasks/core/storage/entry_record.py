"""An entry's `ref.json`: the stage's result, and what the entry's files have to look like.

It is what tells damage from data. Every file of the entry is listed with size and SHA-256, and the
record holds a digest of its own content, so that a changed byte is noticed wherever it is.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

RECORD = "ref.json"
FILE_LIST = "files.json"  # written by a worker on another disk for the one who writes the record


class StoredFile(BaseModel, frozen=True):
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


Files = dict[str, StoredFile]
_files = TypeAdapter(Files)


class Record(BaseModel, frozen=True):
    """Content of a `ref.json`; `digest` is the SHA-256 of `result` and `files`."""

    result: dict[str, Any]
    files: Files
    digest: str


def new_record(result: BaseModel, files: Files) -> Record:
    """The record of an entry with these files, from what its stage returned."""
    plain = json.loads(result.model_dump_json())
    return Record(result=plain, files=files, digest=_digest(plain, files))


def parse_record(text: str | bytes | None) -> Record | None:
    """What a `ref.json` says; None where it is damaged, or of an earlier version."""
    try:
        record = Record.model_validate_json(text or "")
    except ValidationError:
        return None
    return record if record.digest == _digest(record.result, record.files) else None


def record_in(folder: Path) -> Record | None:
    """The record in an entry's folder; None where there is none that can be used."""
    try:
        return parse_record((folder / RECORD).read_bytes())
    except OSError:
        return None


def list_files(folder: Path) -> Files:
    """All files of a folder by their relative path, but for the record and the list itself."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: StoredFile(size=path.stat().st_size, sha256=sha256_of(path))
        for name, path in names.items()
        if name not in (RECORD, FILE_LIST)
    }


def dump_files(files: Files) -> bytes:
    """Content of the file `FILE_LIST`."""
    return _files.dump_json(files)


def parse_files(text: str | None) -> Files:
    """The inverse of `dump_files`; no files where there is no text."""
    return _files.validate_json(text or "{}")


def is_intact(folder: Path, files: Files) -> bool:
    """Whether a folder holds these files as they were written: sizes first, which cost nothing."""
    try:
        sizes = {name: (folder / name).stat().st_size for name in files}
        return all(sizes[name] == file.size for name, file in files.items()) and all(
            sha256_of(folder / name) == file.sha256 for name, file in files.items()
        )
    except OSError:
        return False


def sha256_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(result: dict[str, Any], files: Files) -> str:
    plain = {name: file.model_dump() for name, file in files.items()}
    return hashlib.sha256(json.dumps([result, plain], sort_keys=True).encode()).hexdigest()
