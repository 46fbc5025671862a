"""What the product starts imports nothing from the folder that somebody stands in, and tells nobody of its use."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device_bench.targets.local import LocalTarget
from edge.engines.other_python import OtherPython
from edge.engines.python_child import THIS_PYTHON, code_arguments, file_arguments, module_arguments

pytestmark = pytest.mark.unhurried  # every file is parsed

MakeArtifact = Callable[..., Path]
ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    path
    for folder in ("edge", "converters", "device_bench", "docs")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "python_child.py"
]
# Modules that children import first, and the product's own packages.
NAMES = ("numpy", "hashlib", "json", "os", "shutil", "tempfile", "runpy", "pip", "venv", "cv2", "onnxruntime", "ctypes")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in whose modules leave a mark when they are imported; the mark's path."""
    mark, folder = tmp_path / "mark", tmp_path / "stranger"
    folder.mkdir()
    body = f"open({str(mark)!r}, 'a').write(__name__ + '\\n')\n"
    for name in NAMES:
        (folder / f"{name}.py").write_text(body)
    for name in ("edge", "device_bench", "converters"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(body)
    monkeypatch.chdir(folder)
    return mark


@pytest.mark.parametrize(
    "arguments",
    [code_arguments("import json, hashlib, numpy"), module_arguments("pip", ["--version"]), "file"],
    ids=["code", "module", "file"],
)
def test_a_python_imports_nothing_from_the_current_folder(
    trap: Path, tmp_path: Path, arguments: list[str] | str
) -> None:
    if isinstance(arguments, str):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "task.py").write_text("import json, hashlib, numpy\n")
        arguments = file_arguments(tmp_path / "elsewhere" / "task.py")
    subprocess.run([THIS_PYTHON, *arguments], stdout=subprocess.DEVNULL, check=True)
    assert not trap.exists(), trap.read_text()


@pytest.mark.parametrize("python", [None, sys.executable])
def test_the_measuring_process_imports_nothing_from_the_current_folder(trap: Path, python: str | None) -> None:
    assert LocalTarget(python).probe()["engines"]
    assert not trap.exists(), trap.read_text()


def test_a_session_in_another_python_imports_nothing_from_the_current_folder(trap: Path) -> None:
    with OtherPython(sys.executable) as python:
        assert python.info.engines
    assert not trap.exists(), trap.read_text()


def test_an_empty_entry_of_the_search_path_is_no_way_in(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(ROOT)]))
    found = subprocess.run(
        [THIS_PYTHON, *code_arguments("print(sys.path.count(''))")], capture_output=True, text=True, check=True
    )
    assert found.stdout == "0\n"


def test_one_module_knows_how_a_python_is_started() -> None:
    """Every `sys.executable`, `-c` and `-m` stands in `edge.engines.python_child`."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            flag = isinstance(node, ast.Constant) and node.value in ("-c", "-m")
            if flag or (isinstance(node, ast.Attribute) and node.attr == "executable"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    # A line for a person to copy, and what runs on a device under its own name.
    assert [place for place in found if not place.startswith("tests/benchmarks/official.py")] == []


def test_one_module_imports_onnx_runtime() -> None:
    """Its telemetry is switched off before: nothing else imports it at the head of a module."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] != "onnxruntime", path
            if isinstance(node, ast.Import):
                assert not any(name.name.partition(".")[0] == "onnxruntime" for name in node.names), path


USE = """
import sys
from edge.engines.engine import open_session
from device_bench.targets.local import LocalTarget
print(open_session("onnxruntime", sys.argv[1]).info.kernels, "onnxruntime" in LocalTarget().probe()["engines"])
"""


def test_onnx_runtime_leaves_no_trace_of_its_use(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the onnxruntime engine is not installed")
    helper = pytest.importorskip("onnx.helper")
    onnx = pytest.importorskip("onnx")
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "relu.onnx").write_bytes(model.SerializeToString())
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    command = [sys.executable, "-c", USE, str(tmp_path / "relu.onnx")]
    assert subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True).stdout == "mlas True\n"
    assert [path for path in home.rglob("*") if path.is_file()] == []
