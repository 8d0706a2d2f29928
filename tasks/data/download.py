"""Files at a URI -> local copies in the store, fetched again when they have changed there."""

import re
import tempfile
from glob import has_magic
from pathlib import Path
from urllib.parse import urlsplit

import fsspec

from tasks.core.contracts import Ref, UserError
from tasks.core.redaction import redacted
from tasks.core.storage import store

VERSION = 2
STAGE = "download"
#: What a web server says of a file's content; without one of them, nothing tells a change.
VERSION_HEADERS = ("ETag", "Last-Modified", "Content-MD5", "Digest")
_URI = re.compile(r"[a-z][a-z0-9+.-]+://")
_WEB = re.compile(r"(.*::)?https?://")


def is_uri(source: str) -> bool:
    """Whether a source is an address that fsspec opens, and not a path."""
    return bool(_URI.match(source))


def strip_query(source: str) -> str:
    """A web address without what follows `?` or `#`, which may be a signature; others as is."""
    return re.split(r"[?#]", source, maxsplit=1)[0] if _WEB.match(source) else source


def download(uri: str) -> tuple[Path, ...]:
    """Local copies of the files at a URI.

    Raises:
        UserError: there is none, it cannot be read, or it changed while it was read.
    """
    try:
        system, path = fsspec.url_to_fs(uri)
        system.invalidate_cache()  # of listings: another run in this process may have made one
        paths = sorted(system.glob(path)) if has_magic(strip_query(path)) else [path]
        refs = [_fetched(system, uri, each) for each in paths]
    except UserError:
        raise
    except Exception as error:  # every protocol's library has errors of its own
        raise UserError(redacted(f"Cannot read {uri}: {error}.")) from error
    if not refs:
        raise UserError(
            f"No such file: {redacted(uri)}. Give --source a CSV or parquet file of movies."
        )
    return tuple(map(store.locate, refs))


def _fetched(system: fsspec.AbstractFileSystem, uri: str, path: str) -> Ref:
    name = _file_name(path)
    version = _version(system, path)
    if version is None:
        return _fetched_anew(system, path, name)

    def fetch(writer: store.EntryWriter) -> Ref:
        system.get_file(path, str(writer.folder / name))
        if _version(system, path) != version:
            raise UserError(f"{name} changed while it was read: run again when it is complete.")
        return writer.file_ref(Ref, name)

    return store.get_or_create(STAGE, [VERSION, uri, path, version], Ref, fetch)


def _file_name(path: str) -> str:
    """The file's name, which is printed and recorded; a server may stand for its only file."""
    return Path(urlsplit(redacted(path)).path if "://" in path else path).name or "movies"


def _version(system: fsspec.AbstractFileSystem, path: str) -> str | None:
    """What is another text when the content is another; None where nothing says so.

    fsspec takes what lies on web servers to be unchanged for ever: they are asked here.
    """
    if not path.startswith(("http://", "https://")):
        return str(system.ukey(path))
    try:
        info = system.info(path)
    except FileNotFoundError:  # for whatever the server says: fetching tells what that is
        return None
    named = [f"{name}: {info[name]}" for name in VERSION_HEADERS if info.get(name)]
    return f"{named} {info['size']}" if named else None


def _fetched_anew(system: fsspec.AbstractFileSystem, path: str, name: str) -> Ref:
    """Fetch a file of which nobody says whether it has changed; equal content is one entry."""
    place = store.cache_root() / STAGE
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".fetching-") as folder:
        file = Path(folder) / name
        system.get_file(path, str(file))

        def keep(writer: store.EntryWriter) -> Ref:
            file.rename(writer.folder / name)
            return writer.file_ref(Ref, name)

        return store.get_or_create(STAGE, [VERSION, name, store.file_digest(file)], Ref, keep)
