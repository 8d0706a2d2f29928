"""The remote store: a copy of the artifacts root that workers on several machines share.

If `RECOMMENDER_ARTIFACTS` is a URL (`s3://bucket/folder`, or any other that Arrow opens), stages
still read and write a local folder. Every finished entry is uploaded, and missing entries are
downloaded. An object store has no rename: `ref.json` is uploaded last, and an entry without it is
incomplete. Credentials and endpoint are environment variables of the provider, such as
`AWS_ENDPOINT_URL`.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple
from uuid import uuid4

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from tasks.core.contracts import UserError
from tasks.core.files import delete_atomically
from tasks.core.storage.entry_record import RECORD, is_intact, record_in

TOUCH_INTERVAL = timedelta(hours=1)  # resolution of the time of last use
ENTRY_DEPTH = 3  # parts of the name of an entry: cache, stage, key


def is_url(root: str) -> bool:
    """Whether an artifacts root is a URL."""
    return "://" in root


class EntryUsage(NamedTuple):
    """Size of an entry in bytes, and when it was last used (seconds since the epoch)."""

    name: str
    size: int
    last_used: float


class RemoteStore(NamedTuple):
    """A folder `base` of a file system; all names are relative to it."""

    files: FileSystem
    base: str

    def read_text(self, name: str) -> str | None:
        """Content of a small file; None if it does not exist."""
        path = f"{self.base}/{name}"
        if self.files.get_file_info(path).type != FileType.File:
            return None
        with self.files.open_input_stream(path) as stream:
            return str(stream.read().decode(errors="replace"))  # parsing detects damage

    def write_text(self, name: str, text: str) -> None:
        """Write a small file; object stores do this atomically."""
        with self.files.open_output_stream(f"{self.base}/{name}") as stream:
            stream.write(text.encode())

    def read_record(self, entry: str) -> str | None:
        """Text of the record of an entry; None if the entry is incomplete.

        Reading counts as use: a record older than an hour is written again.
        """
        info = self.files.get_file_info(f"{self.base}/{entry}/{RECORD}")
        if info.type != FileType.File:
            return None
        text = self.read_text(f"{entry}/{RECORD}")
        if text and datetime.now(UTC) - info.mtime > TOUCH_INTERVAL:
            self.write_text(f"{entry}/{RECORD}", text)
        return text

    def upload(self, folder: Path, entry: str) -> None:
        """Upload the files of a local folder."""
        self.files.create_dir(f"{self.base}/{entry}")
        copy_files(str(folder), f"{self.base}/{entry}", LocalFileSystem(), self.files)

    def push(self, folder: Path, entry: str, record: str) -> None:
        """Upload a local folder, then its record, which makes the entry complete."""
        self.upload(folder, entry)
        self.write_text(f"{entry}/{RECORD}", record)

    def pull(self, entry: str, folder: Path) -> None:
        """Download an entry into a local folder, atomically.

        Raises:
            UserError: the entry is damaged. Its record is deleted, so that it is computed again.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".fetching-{uuid4().hex}")
        partial.mkdir()
        try:
            self._download(entry, partial)
            partial.rename(folder)
        except OSError:
            if not (folder / RECORD).exists():  # else another thread has downloaded it
                raise
        finally:
            rmtree(partial, ignore_errors=True)

    def _download(self, entry: str, folder: Path) -> None:
        copy_files(f"{self.base}/{entry}", str(folder), self.files, LocalFileSystem())
        record = record_in(folder)
        if record is None or not is_intact(folder, record.files):
            self.files.delete_file(f"{self.base}/{entry}/{RECORD}")
            raise UserError(
                f"{self.base}/{entry} is damaged: run again, then it is computed again."
            )

    def prune(self, name: str, max_bytes: int, unused_since: float) -> int:
        """Delete entries under `name`, least recently used first, until `max_bytes` remain.

        Entries used after `unused_since` (seconds since the epoch) are kept. A folder without a
        record, left by a killed writer, counts as used when its newest file was written. Returns
        the number of bytes freed.
        """
        usage = sorted(self._entry_usage(name), key=lambda entry: entry.last_used)
        freed, excess = 0, sum(entry.size for entry in usage) - max_bytes
        for entry in usage:
            if freed >= excess or entry.last_used >= unused_since:
                break
            self._delete(entry.name)
            freed += entry.size
        return freed

    def _entry_usage(self, name: str) -> list[EntryUsage]:
        """Usage of every folder at the depth of entries under `name`."""
        files = dict[str, list[FileInfo]]()
        for info in self._list_files(name):
            parts = info.path.removeprefix(f"{self.base}/").split("/")
            files.setdefault("/".join(parts[:ENTRY_DEPTH]), []).append(info)
        return [_usage(entry, infos) for entry, infos in files.items()]

    def _list_files(self, name: str) -> list[FileInfo]:
        """Files of entries under `name`; hidden folders are locks or are being written."""
        selector = FileSelector(f"{self.base}/{name}", recursive=True, allow_not_found=True)
        infos = [info for info in self.files.get_file_info(selector) if info.type == FileType.File]
        return [info for info in infos if self._is_in_entry(info, name)]

    def _is_in_entry(self, info: FileInfo, name: str) -> bool:
        parts = info.path.removeprefix(f"{self.base}/{name}/").split("/")
        return len(parts) > 2 and not any(part.startswith(".") for part in parts)

    def _delete(self, entry: str) -> None:
        if isinstance(self.files, LocalFileSystem):
            delete_atomically(Path(self.base) / entry)
            return
        with suppress(FileNotFoundError):  # an incomplete entry has no record
            self.files.delete_file(f"{self.base}/{entry}/{RECORD}")  # first: no reader starts
        self.files.delete_dir(f"{self.base}/{entry}")


def _usage(entry: str, files: Sequence[FileInfo]) -> EntryUsage:
    """An entry was last used when its record was last written, else its newest file."""
    records = [info for info in files if info.base_name == RECORD]
    last_used = max(info.mtime.timestamp() for info in records or files)
    return EntryUsage(entry, sum(info.size or 0 for info in files), last_used)


@lru_cache(maxsize=4)
def open_remote(url: str) -> RemoteStore:
    """The remote store at a URL.

    Raises:
        UserError: Arrow has no file system for the URL, or cannot open it.
    """
    try:
        return RemoteStore(*FileSystem.from_uri(url))
    except (ValueError, OSError) as error:
        raise UserError(f"RECOMMENDER_ARTIFACTS: {url} cannot be opened ({error}).") from error
