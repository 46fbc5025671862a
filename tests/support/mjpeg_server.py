"""A network camera that can be made to fail: numbered frames as Motion JPEG over HTTP, on this machine alone."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.support.numbered_frames import numbered

LOGIN = "user:s3cret-word"


class MjpegServer:
    """Frames whose numbers rise by one from frame to frame, over all connections.

    Attributes:
        size_hw: of the frames from now on.
        silent: while set, connections stay open and nothing comes.
        cut: so many of the next frames end in the middle of their JPEG.
        asked: the Authorization headers that clients sent.
    """

    def __init__(self, period_s: float = 0.02) -> None:
        self.size_hw, self.cut, self.number = (64, 64), 0, 0
        self.silent, self.asked = threading.Event(), list[str | None]()
        self._period_s, self._port = period_s, 0
        self._stopped = threading.Event()
        self._sockets = set[socket.socket]()
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        """With a login in it, as cameras want it."""
        return f"http://{LOGIN}@127.0.0.1:{self._port}/stream?token=s3cret-word"

    def start(self) -> None:
        """Serve, on the port of the first time."""
        self._stopped.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), name="mjpeg server", daemon=True).start()

    def kill(self) -> None:
        """End it and cut every connection."""
        assert self._server is not None
        self._stopped.set()
        self._server.shutdown()
        for connection in list(self._sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # its client was faster
                continue
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Send frames to one client until either ends."""
        self._sockets.add(handler.connection)
        try:
            while not self._stopped.is_set():
                if not self.silent.is_set():
                    data = self._frame()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                    handler.wfile.write(head + data + b"\r\n")
                self._stopped.wait(self._period_s)
        except OSError:  # the client has gone
            return
        finally:
            self._sockets.discard(handler.connection)

    def _frame(self) -> bytes:
        self.number += 1
        data = cv2.imencode(".jpg", numbered(self.number, self.size_hw))[1].tobytes()
        if self.cut > 0:
            self.cut -= 1
            return data[: len(data) // 2]
        return data


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def _handler(camera: MjpegServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            camera.asked.append(self.headers.get("Authorization"))
            self.close_connection = True
            if camera.asked[-1] is None:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            camera.serve(self)

        def log_message(self, *words: object) -> None:
            """Nothing is told."""

    return Handler
