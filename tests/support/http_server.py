"""HTTP servers of tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """Its address, while a thread answers."""
    pause = 0.02  # seconds between looks for a stop; by default half of one, which the test waits
    threading.Thread(target=server.serve_forever, args=(pause,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def recording_server(status: int, requests: list[str]) -> Iterator[str]:
    """Address of a server that answers every request alike.

    The targets of its requests are appended to `requests`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(status)
            self.end_headers()

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address
