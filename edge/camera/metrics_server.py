"""An HTTP server of one page, `/metrics`, for Prometheus: one thread, one request at a time."""

import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread, Timer

from edge.camera.exposition import CONTENT_TYPE
from edge.errors import EdgeError, UsageError

LOOPBACK = "127.0.0.1"
PATH = "/metrics"
SLOWEST_CLIENT_S = 2.0  # between two pieces of a request
LONGEST_REQUEST_S = 5.0
ENDS_S = 0.3
MOST_PORT, MOST_DIGITS = 65535, 5


def read_address(text: str) -> tuple[str, int]:
    """The host and port of `9109`, `127.0.0.1:9109` or `[::1]:9109`; without a host it is the loopback address.

    Refuses (UsageError) what is none; port 0 lets the system choose.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else LOOPBACK
    if not host or not (port.isascii() and port.isdecimal()) or len(port) > MOST_DIGITS or int(port) > MOST_PORT:
        raise UsageError(f"'{text}' is no address to listen on: PORT or HOST:PORT, such as {LOOPBACK}:9109")
    return host, int(port)


@contextmanager
def serving(address: tuple[str, int], page: Callable[[], str]) -> Iterator[tuple[str, int]]:
    """Serve `page()` during the block; gives the address that was bound. Refuses (EdgeError) one that cannot be."""

    class Page(BaseHTTPRequestHandler):
        server_version, sys_version = "edge", ""
        timeout = SLOWEST_CLIENT_S

        def handle(self) -> None:
            """One request, cut off where the client makes it last: the others wait for it."""
            late = Timer(LONGEST_REQUEST_S, self._cut)
            late.daemon = True
            late.start()
            try:
                super().handle()
            finally:
                late.cancel()

        def _cut(self) -> None:
            with suppress(OSError):  # it is closed already
                self.connection.shutdown(socket.SHUT_RDWR)

        def do_GET(self) -> None:
            """The page."""
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            """Its head."""
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            found = self.path.partition("?")[0] == PATH
            body = (page() if found else f"see {PATH}\n").encode()
            self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", CONTENT_TYPE if found else "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """A request is no event of the run."""

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

        def server_bind(self) -> None:
            """Bind without the look-up of the host's name that the base class makes."""
            socketserver.TCPServer.server_bind(self)
            self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no event of the run."""

    try:
        server = Server(address, Page)
    except OSError as error:
        raise EdgeError(f"{address[0]}:{address[1]}: cannot be listened on: {error.strerror or error}") from error
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="edge-metrics", daemon=True)
    with server:
        thread.start()
        try:
            yield str(server.server_address[0]), int(server.server_address[1])
        finally:
            Thread(target=server.shutdown, daemon=True).start()  # waits for the request at hand, which may be slow
            thread.join(ENDS_S)
