"""How a source is opened: the options of `edge camera --source`."""

from dataclasses import dataclass
from typing import Literal, get_args

from edge.errors import UsageError, unknown_name

Rotation = Literal[0, 90, 180, 270]
CameraFormat = Literal["mjpg", "yuyv", "nv12", "grey", "bgr"]
CAMERA_FORMATS: tuple[CameraFormat, ...] = get_args(CameraFormat)
ROTATIONS: tuple[Rotation, ...] = get_args(Rotation)
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What is asked of a source; one that cannot give it refuses, or says what it gives instead.

    Attributes:
        size_hw: height and width asked of a camera; None: its own choice. (`--size 720x1280`)
        rate: frames per second asked of a camera; None: its own choice. (`--rate 15`)
        format: how a USB camera is asked to send: a word of CAMERA_FORMATS; None: its own choice. (`--format mjpg`)
        rotate: degrees clockwise, one of ROTATIONS, applied to the frames of every kind of source. (`--rotate 180`)
        network_size_hw: height and width of the second stream that a Pi camera makes for the model, in YUV 4:2:0;
            None: the model gets the frames of the preview. (no option: the artifact's input size)
        max_age_ns: a frame older than this when the model could take it is dropped, cause `too old`; live sources
            alone. (`--max-age 200ms`)
        open_timeout_ns: how long opening a camera or a URL may take. (`--open-timeout 10s`)
        read_timeout_ns: how long the next frame may take. (`--read-timeout 5s`)
        wait_for_source: a live source that cannot be opened at the start is waited for as one that was lost is;
            otherwise it is an error at once. (`--wait-for-source`)
        give_up_ns: after this long without a frame a live source ends by an error; None: it is waited for as long as
            the program runs. (`--give-up 10m`)
    """

    size_hw: tuple[int, int] | None = None
    rate: float | None = None
    format: CameraFormat | None = None
    rotate: Rotation = 0
    network_size_hw: tuple[int, int] | None = None
    max_age_ns: int | None = None
    open_timeout_ns: int = 10 * SECOND_NS
    read_timeout_ns: int = 5 * SECOND_NS
    wait_for_source: bool = False
    give_up_ns: int | None = None

    def __post_init__(self) -> None:
        """Refuse (UsageError) what no source can do."""
        if self.rotate not in ROTATIONS:
            raise UsageError(f"rotate: {self.rotate} degrees; known: {', '.join(map(str, ROTATIONS))}")
        if self.format is not None and self.format not in CAMERA_FORMATS:
            raise UsageError(unknown_name("camera format", self.format, CAMERA_FORMATS))
        for name in ("size_hw", "network_size_hw"):
            size = getattr(self, name)
            if size is not None and min(size) < 1:
                raise UsageError(f"{name}: {size[0]}x{size[1]}: height and width must be positive")
        for name in ("rate", "max_age_ns", "open_timeout_ns", "read_timeout_ns", "give_up_ns"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name}: {value} must be positive")
