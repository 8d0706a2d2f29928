"""What lies on a web server is fetched again when it changed there, and only then."""

import hashlib
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.core.contracts import UserError
from tasks.data.sources import find_ratings, resolve_source, source_name


class Site(ThreadingHTTPServer):
    """A web server with one file, that says of it what the test lets it say."""

    content, validator, written, fetched = b"id\n1\n", "ETag", 1_000_000_000, 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/movies.csv"

    def headers(self) -> dict[str, str]:
        etag = hashlib.sha256(self.content).hexdigest()
        said = {"ETag": f'"{etag}"', "Last-Modified": formatdate(self.written, usegmt=True)}
        length = {"Content-Length": str(len(self.content))}
        return length | {name: said[name] for name in said if name == self.validator}

    def write(self, content: bytes) -> None:
        self.content, self.written = content, self.written + 60


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in self.server.headers().items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.fetched += 1
        self.do_HEAD()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetched(site: Site, query: str = "") -> bytes:
    (path,) = resolve_source(site.address + query).files
    assert path.name == "movies.csv"
    return path.read_bytes()


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_a_file_is_fetched_again_when_it_changed_and_only_then(site, validator):
    site.validator = validator
    assert [fetched(site), fetched(site)] == [b"id\n1\n"] * 2
    assert site.fetched == 1
    site.write(b"id\n2\n")  # as long as before
    assert fetched(site) == b"id\n2\n"
    assert site.fetched == 2


def test_a_file_of_which_nothing_is_said_is_fetched_each_time(site):
    site.validator = "none"
    assert resolve_source(site.address) == resolve_source(site.address)
    assert site.fetched == 2
    site.write(b"id\n2\n")
    assert fetched(site) == b"id\n2\n"


def test_a_file_that_changes_while_it_is_fetched_is_refused(site, monkeypatch):
    answer = Handler.do_GET

    def change_then_answer(handler: Handler) -> None:
        handler.server.write(b"id\n3\n")
        answer(handler)

    monkeypatch.setattr(Handler, "do_GET", change_then_answer)
    with pytest.raises(UserError, match=r"movies.csv changed while it was read: run again"):
        fetched(site)


def test_a_signature_in_an_address_gets_into_no_name(site):
    assert source_name(f"{site.address}?X-Amz-Signature=a/b.c") == "movies"
    assert fetched(site, "?X-Amz-Signature=a/b.c") == b"id\n1\n"


@pytest.mark.parametrize("validator", ["ETag", "none"])
def test_a_login_in_an_address_without_a_file_gets_into_no_name(site, validator):
    site.validator = validator
    address = f"http://alice:s3cr3t@127.0.0.1:{site.server_port}/?file=movies.csv"
    named = resolve_source(address)
    assert (named.name, [file.name for file in named.files]) == ("127", ["movies"])
    assert "cr3t" not in source_name("http://alice:s3?cr3t@host/")


def test_ratings_are_not_looked_for_beside_a_copy(site):
    assert find_ratings([f"films={site.address}"]) is None
    assert site.fetched == 0


def test_a_server_that_fails_is_named(site, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.send_error(500))
    with pytest.raises(UserError, match=r"Cannot read http://127\.0\.0\.1"):
        fetched(site)
