"""The record `ref.json` of an entry: result of the stage, and sizes and digests of its files.

The record detects damage. It lists every file of the entry with size and SHA-256, and contains a
digest of its contents, so that any changed byte is detected.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

RECORD = "ref.json"
FILE_LIST = "files.json"  # a worker with another disk writes it for the writer of the record


class StoredFile(BaseModel, frozen=True):
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


Files = dict[str, StoredFile]
_files = TypeAdapter(Files)


class Record(BaseModel, frozen=True):
    """Content of a `ref.json`. `digest` is the SHA-256 of `result` and `files`."""

    result: dict[str, Any]
    files: Files
    digest: str


def new_record(result: BaseModel, files: Files) -> Record:
    """Record of an entry from the result of its stage and its files."""
    plain = json.loads(result.model_dump_json())
    return Record(result=plain, files=files, digest=_digest(plain, files))


def parse_record(text: str | bytes | None) -> Record | None:
    """Parse a `ref.json`; None if it is missing, damaged or of an earlier version."""
    try:
        record = Record.model_validate_json(text or "")
    except ValidationError:
        return None
    return record if record.digest == _digest(record.result, record.files) else None


def record_in(folder: Path) -> Record | None:
    """Read the record in the folder of an entry; None if it is missing or unusable."""
    try:
        return parse_record((folder / RECORD).read_bytes())
    except OSError:
        return None


def list_files(folder: Path) -> Files:
    """Files of a folder by relative path, without the record and the file list."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: StoredFile(size=path.stat().st_size, sha256=sha256_of(path))
        for name, path in names.items()
        if name not in (RECORD, FILE_LIST)
    }


def dump_files(files: Files) -> bytes:
    """Serialise a file list as the content of `FILE_LIST`."""
    return _files.dump_json(files)


def parse_files(text: str | None) -> Files:
    """Inverse of `dump_files`; an empty list if `text` is None or empty."""
    return _files.validate_json(text or "{}")


def is_intact(folder: Path, files: Files) -> bool:
    """Whether all files have the recorded size and digest; sizes first, which is fast."""
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
