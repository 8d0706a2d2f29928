"""Files at a URI -> local copies in the store, downloaded again when the file has changed."""

import re
import tempfile
from glob import has_magic
from pathlib import Path
from urllib.parse import urlsplit

import fsspec

from tasks.core.contracts import Ref, UserError
from tasks.core.redaction import redacted
from tasks.core.storage import store

STAGE = "download"
SOURCE_ADVICE = "Give a file of movies, such as CSV, JSON, parquet or xlsx."
#: HTTP headers that identify the version of a file. Without them, changes cannot be detected.
VERSION_HEADERS = ("ETag", "Last-Modified", "Content-MD5", "Digest")
_URI = re.compile(r"[a-z][a-z0-9+.-]+://")
_WEB_ADDRESS = re.compile(r"(.*::)?https?://")


def is_uri(source: str) -> bool:
    """Whether a source is a URI that fsspec opens, not a path."""
    return bool(_URI.match(source))


def strip_query(source: str) -> str:
    """A web address without query and fragment, which may be a signature; other text unchanged."""
    if not _WEB_ADDRESS.match(source):
        return source
    return re.split(r"[?#]", source, maxsplit=1)[0]


def download(uri: str) -> tuple[Path, ...]:
    """Paths of local copies of the files at a URI, which may be a glob pattern.

    Raises:
        UserError: there is no file, it cannot be read, or it changed during the download.
    """
    try:
        refs = _download_all(uri)
    except UserError:
        raise
    except Exception as error:  # the libraries of the protocols raise different errors
        raise UserError(redacted(f"Cannot read {uri}: {error}.")) from error
    if not refs:
        raise UserError(f"No such file: {redacted(uri)}. {SOURCE_ADVICE}")
    return tuple(map(store.locate, refs))


def _download_all(uri: str) -> list[Ref]:
    system, path = fsspec.url_to_fs(uri)
    system.invalidate_cache()  # another run in this process may have cached a listing
    paths = sorted(system.glob(path)) if has_magic(strip_query(path)) else [path]
    return [_download(system, uri, path) for path in paths]


def _download(system: fsspec.AbstractFileSystem, uri: str, path: str) -> Ref:
    """Entry with one file, stored under its remote version or, if that is unknown, its content."""
    name = _file_name(path)
    version = _remote_version(system, path)
    if version is None:
        return _download_by_content(system, path, name)

    def write(writer: store.EntryWriter) -> Ref:
        system.get_file(path, str(writer.folder / name))
        if _remote_version(system, path) != version:
            raise UserError(f"{name} changed while it was read: run again when it is complete.")
        return writer.file_ref(Ref, name)

    return store.get_or_create(STAGE, [uri, path, version], Ref, write)


def _file_name(path: str) -> str:
    """Name of the local copy, without credentials; `movies` if the path has no file name."""
    return Path(urlsplit(redacted(path)).path if "://" in path else path).name or "movies"


def _remote_version(system: fsspec.AbstractFileSystem, path: str) -> str | None:
    """Text that changes with the content of a remote file; None if it cannot be determined.

    fsspec assumes that files on web servers never change, so the headers are requested here.
    """
    if not path.startswith(("http://", "https://")):
        return str(system.ukey(path))
    try:
        info = system.info(path)
    except FileNotFoundError:  # raised for every HTTP error: the download reports which
        return None
    headers = [f"{name}: {info[name]}" for name in VERSION_HEADERS if info.get(name)]
    return f"{headers} {info['size']}" if headers else None


def _download_by_content(system: fsspec.AbstractFileSystem, path: str, name: str) -> Ref:
    """Download a file of unknown version; equal content gives the same entry."""
    folder = store.cache_root() / STAGE
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
        file = Path(temporary) / name
        system.get_file(path, str(file))

        def write(writer: store.EntryWriter) -> Ref:
            file.rename(writer.folder / name)
            return writer.file_ref(Ref, name)

        return store.get_or_create(STAGE, [name, store.file_digest(file)], Ref, write)
