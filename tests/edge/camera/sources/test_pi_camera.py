"""A Pi camera gives the model's size beside a preview. picamera2 is stood in for, and held to its published wheel."""

import ast
import inspect
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.sources.opening import open_source
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.pi_camera import PiCameraSource, open_pi_camera
from edge.errors import DataError, EngineError, UsageError
from edge.vision.frame import Frame
from tests.support import pi_camera
from tests.support.pi_camera import Rig


def frames(rig: Rig, number: int = 0, **options: Any) -> Iterator[Any]:
    return PiCameraSource(number, SourceOptions(**options), imported=rig.imported).frames()


def test_the_model_gets_its_size_and_people_the_preview() -> None:
    """The smallest even-sided shape of the preview that covers the model's: nothing is cut off or stretched."""
    rig = Rig()
    frame = next(frames(rig, size_hw=(480, 642), network_size_hw=(224, 224)))
    assert isinstance(frame, Frame) and frame.preview is not None
    assert (frame.format, frame.size_hw, frame.image.shape) == ("yuv420", (224, 300), (336, 320))
    assert (frame.preview.format, frame.preview.size_hw, frame.preview.image.shape) == (
        "bgr",
        (480, 642),
        (480, 642, 3),
    )
    assert (frame.bgr() == frame.bgr()[0, 0]).all() and (frame.preview.bgr() == 60).all()
    assert frame.name == frame.preview.name and frame.captured_ns == frame.preview.captured_ns


def test_every_request_is_released_and_the_camera_closed() -> None:
    rig = Rig(frames=5)
    given = []
    with pytest.raises(DataError, match="picamera2:0: gives no frame: TimeoutError"):
        given.extend(frames(rig))
    assert [frame.name for frame in given] == ["0", "1", "2", "3", "4"]
    assert [request.ref_count for request in rig.requests] == [0] * 5 and not rig.made[0].is_open
    opened = frames(rig := Rig())
    next(opened)
    opened.close()  # type: ignore[attr-defined]
    assert [request.ref_count for request in rig.requests] == [0] and not rig.made[0].is_open


def test_a_frame_is_as_old_as_the_sensor_says() -> None:
    """The stand-in stamps it 5 ms before now, on the clock that also counts the time asleep."""
    frame = next(frames(Rig()))
    assert isinstance(frame, Frame) and frame.captured_ns <= time.monotonic_ns() - 5_000_000


@pytest.mark.parametrize(("degrees", "flipped", "small"), [(0, 0, True), (180, 1, True), (90, 0, False)])
def test_the_pi_turns_a_picture_upside_down_itself(degrees: int, flipped: int, small: bool) -> None:
    """By a quarter it cannot: then there is one stream, which is turned as any camera's is."""
    rig = Rig()
    frame = next(frames(rig, rotate=degrees, network_size_hw=(96, 96), rate=15.0))
    assert rig.made[0].asked["transform"] == pi_camera.Transform(hflip=flipped, vflip=flipped)
    assert rig.made[0].asked["controls"] == {"FrameRate": 15.0}
    assert (frame.preview is not None) is small


def test_a_size_that_the_camera_does_not_give_is_refused() -> None:
    rig = Rig(gives_wh=(640, 480))
    with pytest.raises(UsageError, match=r"asked for 720x1280 \(height x width\), the camera gives 480x640"):
        next(frames(rig, size_hw=(720, 1280)))
    assert not rig.made[0].is_open


def test_a_camera_that_is_not_there_is_lost() -> None:
    with pytest.raises(DataError, match=r"picamera2:3: cannot be opened: list index out of range"):
        next(frames(Rig(), 3))


def test_a_python_without_picamera2_says_where_it_comes_from() -> None:
    """None of the tests' environments has it: it comes by apt alone."""
    told = r"sudo apt install python3-picamera2; a virtual environment sees it with: python3 -m venv --system-site"
    with pytest.raises(EngineError, match=told) as caught:
        open_source("picamera2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("picamera2:front", {}, "the number of a camera stands behind the colon: picamera2:0"),
        ("picamera2", {"format": "mjpg"}, "--format: picamera2 gives BGR"),
    ],
)
def test_what_it_cannot_be_asked_for_is_refused(text: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_pi_camera(text, SourceOptions(**options))


def published(folder: Path) -> dict[str, dict[str, ast.FunctionDef]]:
    """Class -> method -> its definition, in picamera2's wheel as the index has it."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*argv, "--dest", str(folder), "picamera2"], check=True, timeout=300)
    (wheel,) = folder.glob("picamera2-*.whl")
    found: dict[str, dict[str, ast.FunctionDef]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in ("picamera2/picamera2.py", "picamera2/request.py", "picamera2/job.py"):
            for node in ast.parse(archive.read(name)).body:
                if isinstance(node, ast.ClassDef):  # the last of several overloads is the definition
                    found[node.name] = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


@pytest.mark.slow
def test_the_stand_in_has_the_signatures_of_the_published_package(tmp_path: Path) -> None:
    """Names in their order and which have a default; plain constants among the defaults are equal."""
    classes = published(tmp_path)
    compared = 0
    for stand_in in (pi_camera.Picamera2, pi_camera.CompletedRequest, pi_camera.Job):
        for name, method in vars(stand_in).items():
            if not inspect.isfunction(method) or (stand_in is pi_camera.Job and name.startswith("__")):
                continue
            theirs = classes[stand_in.__name__][name].args
            ours = list(inspect.signature(method).parameters.values())
            assert [parameter.name for parameter in ours] == [argument.arg for argument in theirs.args], name
            defaults = [parameter.default for parameter in ours if parameter.default is not parameter.empty]
            assert len(defaults) == len(theirs.defaults), name
            for value, default in zip(defaults, theirs.defaults, strict=True):
                if isinstance(default, ast.Constant | ast.Dict):
                    assert value == ast.literal_eval(default), name
            compared += 1
    assert compared == 13


@pytest.mark.parametrize(("name", "shape"), [("main", (4, 6, 3)), ("lores", (6, 32))])
def test_the_stand_in_pads_rows_as_the_package_does(name: str, shape: tuple[int, ...]) -> None:
    """picamera2's Helpers._make_array_shared: packed pixels are cut to their width, YUV420 keeps its long rows."""
    rig = Rig()
    camera = rig.imported("picamera2").Picamera2(0)
    camera.configure({"main": {"size": (6, 4), "format": "RGB888"}, "lores": {"size": (6, 4), "format": "YUV420"}})
    camera.start()
    array = camera.capture_request(wait=False).get_result().make_array(name)
    assert array.shape == shape and array.dtype == np.uint8
