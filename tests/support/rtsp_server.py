"""An RTSP camera that can be killed: GStreamer's server, in a process of the system's Python.

Debian's packages: gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good.
"""

import subprocess
import sys
from pathlib import Path

from tests.support.lacking import lacking

PYTHON = Path("/usr/bin/python3")
PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
_PROGRAM = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
server.get_thread_pool().set_max_threads(0)  # clients in the one loop: its own threads do not answer under Python
media = GstRtspServer.RTSPMediaFactory()
media.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=25/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
media.set_shared(True)
server.get_mount_points().add_factory("/camera", media)
if server.attach(None) == 0:
    sys.exit("the port is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""
_PROBE = 'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer'


def is_there() -> bool:
    """Whether the packages are."""
    return PYTHON.is_file() and not subprocess.run([PYTHON, "-c", _PROBE], capture_output=True, check=False).returncode


def need_rtsp_server() -> None:
    """Skip the test where the packages are not; in CI, fail."""
    if not is_there():
        lacking(f"no RTSP server here: apt-get install {PACKAGES}")


class RtspServer:
    """A stream of 64x48 pixels at 25 frames per second."""

    def __init__(self) -> None:
        self._port = "0"
        self.start()

    @property
    def url(self) -> str:
        """Of the stream."""
        return f"rtsp://127.0.0.1:{self._port}/camera"

    def start(self) -> None:
        """Serve, on the port of the first time."""
        argv = [str(PYTHON), "-c", _PROGRAM, self._port]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None and self._process.stderr is not None
        told = self._process.stdout.readline().strip()
        if not told.isdecimal():
            sys.exit(f"the RTSP server did not start: {self._process.stderr.read()}")
        self._port = told

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.communicate()
