"""The store's shared copy: what lets workers on other machines go on from each other's work.

With `RECOMMENDER_ARTIFACTS` a URL (`s3://bucket/folder`, or any that Arrow opens), files are still
worked on in a local folder. Every finished entry is copied up, and what is not here is fetched.
An object store has no rename, so an entry's `ref.json` goes last and says that it is whole.
Credentials and endpoint come from the provider's own environment variables, as `AWS_ENDPOINT_URL`.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from tasks.contracts import UserError

RECORD = "ref.json"
TOUCHED_AGAIN = timedelta(hours=1)  # how exactly it is known when an entry was used last


def is_url(root: str) -> bool:
    """Whether an artifacts root is elsewhere."""
    return "://" in root


class Copy(NamedTuple):
    """A folder on an object store; names are relative to it."""

    files: FileSystem
    base: str

    def text(self, name: str) -> str | None:
        """Content of a small file; None where there is none."""
        path = f"{self.base}/{name}"
        if self.files.get_file_info(path).type != FileType.File:
            return None
        with self.files.open_input_stream(path) as stream:
            return str(stream.read().decode())

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
        if text and datetime.now(UTC) - info.mtime > TOUCHED_AGAIN:
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
        """Copy an entry into a local folder, that is there whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder.parent))
        try:
            copy_files(f"{self.base}/{entry}", str(part), self.files, LocalFileSystem())
            part.rename(folder)
        except OSError:
            if not (folder / RECORD).exists():  # else another thread was first
                raise
        finally:
            rmtree(part, ignore_errors=True)

    def prune(self, name: str, max_bytes: int, unused_since: float) -> int:
        """Delete entries under `name`, least recently used first, until `max_bytes` are left; the
        bytes freed. What was used after `unused_since` (seconds since the epoch) stays."""
        sizes, used = dict[str, int](), dict[str, float]()
        for info in self._found(name):
            entry = "/".join(info.path.removeprefix(f"{self.base}/").split("/")[:3])
            sizes[entry] = sizes.get(entry, 0) + (info.size or 0)
            if info.base_name == RECORD:
                used[entry] = info.mtime.timestamp()
        freed, excess = 0, sum(sizes[entry] for entry in used) - max_bytes
        for entry in sorted(used, key=lambda one: used[one]):
            if freed >= excess or used[entry] >= unused_since:
                break
            self._delete(entry)
            freed += sizes[entry]
        return freed

    def _found(self, name: str) -> list[FileInfo]:
        chosen = FileSelector(f"{self.base}/{name}", recursive=True, allow_not_found=True)
        return [info for info in self.files.get_file_info(chosen) if info.type == FileType.File]

    def _delete(self, entry: str) -> None:
        self.files.delete_file(f"{self.base}/{entry}/{RECORD}")  # first, so that none starts on it
        self.files.delete_dir(f"{self.base}/{entry}")


@lru_cache(maxsize=4)
def opened(url: str) -> Copy:
    """The folder that a URL names.

    Raises:
        UserError: nothing here opens such a URL.
    """
    try:
        return Copy(*FileSystem.from_uri(url))
    except (ValueError, OSError) as error:
        raise UserError(f"RECOMMENDER_ARTIFACTS: {url} cannot be opened ({error}).") from error
