"""The store's shared copy: what lets workers on other machines go on from each other's work.

With `RECOMMENDER_ARTIFACTS` a URL (`s3://bucket/folder`, or any that Arrow opens), files are still
worked on in a local folder. Every finished entry is copied up, and what is not here is fetched.
An object store has no rename, so an entry's `ref.json` goes last and says that it is whole.
Credentials and endpoint come from the provider's own environment variables, as `AWS_ENDPOINT_URL`.
"""

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

TOUCH_INTERVAL = timedelta(hours=1)  # how exactly it is known when an entry was used last


def is_url(root: str) -> bool:
    """Whether an artifacts root is elsewhere."""
    return "://" in root


class RemoteStore(NamedTuple):
    """A folder on an object store; names are relative to it."""

    files: FileSystem
    base: str

    def text(self, name: str) -> str | None:
        """Content of a small file; None where there is none."""
        path = f"{self.base}/{name}"
        if self.files.get_file_info(path).type != FileType.File:
            return None
        with self.files.open_input_stream(path) as stream:
            return str(stream.read().decode(errors="replace"))  # a damaged one is found out later

    def write(self, name: str, text: str) -> None:
        """Write a small file; it is there whole or not at all."""
        with self.files.open_output_stream(f"{self.base}/{name}") as stream:
            stream.write(text.encode())

    def record(self, entry: str) -> str | None:
        """What a whole entry says of itself, and a mark that it was used; None without it."""
        info = self.files.get_file_info(f"{self.base}/{entry}/{RECORD}")
        if info.type != FileType.File:
            return None
        text = self.text(f"{entry}/{RECORD}")
        if text and datetime.now(UTC) - info.mtime > TOUCH_INTERVAL:
            self.write(f"{entry}/{RECORD}", text)
        return text

    def up(self, folder: Path, entry: str) -> None:
        """Copy the files of a local folder up."""
        self.files.create_dir(f"{self.base}/{entry}")
        copy_files(str(folder), f"{self.base}/{entry}", LocalFileSystem(), self.files)

    def push(self, folder: Path, entry: str, record: str) -> None:
        """Copy a local folder up; then, with its record, the entry is whole."""
        self.up(folder, entry)
        self.write(f"{entry}/{RECORD}", record)

    def pull(self, entry: str, folder: Path) -> None:
        """Copy an entry into a local folder, that is there whole or not at all.

        Raises:
            UserError: it is damaged; it is then no entry any more.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = folder.with_name(f".fetching-{uuid4().hex}")
        part.mkdir()
        try:
            copy_files(f"{self.base}/{entry}", str(part), self.files, LocalFileSystem())
            record = record_in(part)
            if record is None or not is_intact(part, record.files):
                self.files.delete_file(f"{self.base}/{entry}/{RECORD}")
                raise UserError(f"{self.base}/{entry} is damaged: run again, it is made anew.")
            part.rename(folder)
        except OSError:
            if not (folder / RECORD).exists():  # else another thread was first
                raise
        finally:
            rmtree(part, ignore_errors=True)

    def prune(self, name: str, max_bytes: int, unused_since: float) -> int:
        """Delete entries under `name`, least recently used first, until `max_bytes` are left; the
        bytes freed. What was used after `unused_since` (seconds since the epoch) stays.

        A folder without a record, left by a writer that was killed, counts as used when its
        newest file was written.
        """
        sizes, used, written = dict[str, int](), dict[str, float](), dict[str, float]()
        for info in self._found(name):
            entry = "/".join(info.path.removeprefix(f"{self.base}/").split("/")[:3])
            sizes[entry] = sizes.get(entry, 0) + (info.size or 0)
            written[entry] = max(written.get(entry, 0.0), info.mtime.timestamp())
            if info.base_name == RECORD:
                used[entry] = info.mtime.timestamp()
        used, freed, excess = written | used, 0, sum(sizes.values()) - max_bytes
        for entry in sorted(used, key=lambda one: used[one]):
            if freed >= excess or used[entry] >= unused_since:
                break
            self._delete(entry)
            freed += sizes[entry]
        return freed

    def _found(self, name: str) -> list[FileInfo]:
        """Files of entries; hidden ones are at work, or locks."""
        chosen = FileSelector(f"{self.base}/{name}", recursive=True, allow_not_found=True)
        infos = [info for info in self.files.get_file_info(chosen) if info.type == FileType.File]
        parts = [info.path.removeprefix(f"{self.base}/{name}/").split("/") for info in infos]
        return [
            info
            for info, names in zip(infos, parts, strict=True)
            if len(names) > 2 and not any(name.startswith(".") for name in names)
        ]

    def _delete(self, entry: str) -> None:
        if isinstance(self.files, LocalFileSystem):
            delete_atomically(Path(self.base) / entry)
            return
        self.files.delete_file(f"{self.base}/{entry}/{RECORD}")  # first, so that none starts on it
        self.files.delete_dir(f"{self.base}/{entry}")


@lru_cache(maxsize=4)
def open_remote(url: str) -> RemoteStore:
    """The folder that a URL names.

    Raises:
        UserError: nothing here opens such a URL.
    """
    try:
        return RemoteStore(*FileSystem.from_uri(url))
    except (ValueError, OSError) as error:
        raise UserError(f"RECOMMENDER_ARTIFACTS: {url} cannot be opened ({error}).") from error
