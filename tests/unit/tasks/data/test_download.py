"""A file on a web server is downloaded again only if it has changed."""

import hashlib
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.core.contracts import UserError
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.data.sources import resolve_source, source_name
from tests.support.http_server import served


class Site(ThreadingHTTPServer):
    """A web server with one file, which sends the version header that a test chooses."""

    content, version_header, modified, downloads = b"id\n1\n", "ETag", 1_000_000_000, 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/movies.csv"

    def headers(self) -> dict[str, str]:
        etag = hashlib.sha256(self.content).hexdigest()
        versions = {"ETag": f'"{etag}"', "Last-Modified": formatdate(self.modified, usegmt=True)}
        length = {"Content-Length": str(len(self.content))}
        return length | {name: versions[name] for name in versions if name == self.version_header}

    def write(self, content: bytes) -> None:
        self.content, self.modified = content, self.modified + 60


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in self.server.headers().items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.downloads += 1
        self.do_HEAD()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site(("127.0.0.1", 0), Handler)
    with served(server):
        yield server


def read_source(site: Site, query: str = "") -> bytes:
    (path,) = resolve_source(site.address + query).files
    assert path.name == "movies.csv"
    return path.read_bytes()


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_file_is_downloaded_again_only_if_it_changed(site, header):
    site.version_header = header
    assert [read_source(site), read_source(site)] == [b"id\n1\n"] * 2
    assert site.downloads == 1
    site.write(b"id\n2\n")  # of equal length
    assert read_source(site) == b"id\n2\n"
    assert site.downloads == 2


def test_a_file_without_version_headers_is_downloaded_every_time(site):
    site.version_header = "none"
    assert resolve_source(site.address) == resolve_source(site.address)
    assert site.downloads == 2
    site.write(b"id\n2\n")
    assert read_source(site) == b"id\n2\n"


def test_a_file_that_changes_during_the_download_is_rejected(site, monkeypatch):
    respond = Handler.do_GET

    def change_then_respond(handler: Handler) -> None:
        handler.server.write(b"id\n3\n")
        respond(handler)

    monkeypatch.setattr(Handler, "do_GET", change_then_respond)
    with pytest.raises(UserError, match=r"movies.csv changed while it was read: run again"):
        read_source(site)


def test_a_signed_query_is_not_part_of_any_name(site):
    assert source_name(f"{site.address}?X-Amz-Signature=a/b.c") == "movies"
    assert read_source(site, "?X-Amz-Signature=a/b.c") == b"id\n1\n"


@pytest.mark.parametrize("header", ["ETag", "none"])
def test_a_login_is_not_part_of_any_name(site, header):
    site.version_header = header
    address = f"http://alice:s3cr3t@127.0.0.1:{site.server_port}/?file=movies.csv"
    source = resolve_source(address)
    assert (source.name, [file.name for file in source.files]) == ("127", ["movies"])
    assert "cr3t" not in source_name("http://alice:s3?cr3t@host/")


def test_remote_sources_have_no_reference_files(site):
    assert find_ratings([f"films={site.address}"]) is None
    assert find_known_items([f"films={site.address}"]) is None
    assert site.downloads == 0


def test_the_error_for_a_failing_server_has_its_address(site, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.send_error(500))
    with pytest.raises(UserError, match=r"Cannot read http://127\.0\.0\.1"):
        read_source(site)
