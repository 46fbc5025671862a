"""The tools of `tests.benchmarks.ptq_peers`: what each is called with, where it runs, and what it promises.

A tool runs in a folder of its own; beside that lie float.onnx, float.tflite and the calibration images, normalized:
nchw/*.npy and nhwc/*.npy one by one, nhwc.npy together; for `edge` the photographs and the list of those it may use.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from converters.onnx2tf.isolated import AGENT, MEMORY_LIMIT_BYTES
from edge.engines.python_child import THIS_PYTHON, code_arguments, file_arguments
from tests.support.environments import ENVIRONMENTS

INPUT = "x"  # of the float files
Promise = Literal["simulation", "graph"]

EDGE = "import sys; from edge.cli.main import main; sys.exit(main(sys.argv[1:]))"
LITERT_CLI_IMAGES = """
import pathlib, numpy
def get_calibration_data():
    paths = sorted(pathlib.Path("../nhwc").glob("*.npy"))
    return {"serving_default": [{"x": numpy.load(path)} for path in paths]}
"""
AI_EDGE_QUANTIZER = """
import pathlib, numpy
from ai_edge_quantizer import quantizer, recipe
images = [{"x": numpy.load(path)} for path in sorted(pathlib.Path("../nhwc").glob("*.npy"))]
made = quantizer.Quantizer("../float.tflite", recipe.static_wi8_ai8())
ranges = made.calibrate({"serving_default": images}, num_threads=1)
made.quantize(ranges).export_model("model.tflite", overwrite=True)
"""
ONNXRUNTIME = """
import pathlib, sys, numpy
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
class Images(CalibrationDataReader):
    def __init__(self):
        self.paths = iter(sorted(pathlib.Path("../nchw").glob("*.npy")))
    def get_next(self):
        path = next(self.paths, None)
        return None if path is None else {"x": numpy.load(path)}
chosen = {"per_channel": True, "activation_type": QuantType.QUInt8} if "per_channel" in sys.argv else {}
quant_pre_process("../float.onnx", "prepared.onnx")
quantize_static("prepared.onnx", "model.onnx", Images(), **chosen)
"""
NNCF = """
import pathlib, sys, numpy, onnx, nncf
paths = sorted(pathlib.Path("../nchw").glob("*.npy"))
chosen = {"fast_bias_correction": False, "preset": nncf.QuantizationPreset.MIXED} if "accurate" in sys.argv else {}
images = nncf.Dataset(paths, lambda path: {"x": numpy.load(path)})
onnx.save(nncf.quantize(onnx.load("../float.onnx"), images, subset_size=len(paths), **chosen), "model.onnx")
"""
ONNX2TF_JOB = {
    "source": "../float.onnx",
    "memory_bytes": MEMORY_LIMIT_BYTES,
    "batch": None,
    "calibration": [INPUT, "../nhwc.npy"],
}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One way to quantize.

    Attributes:
        named: in the table, behind the package and its version.
        package: the distribution whose version is told; None: this product.
        environment: fixture of `tests.support.environments` whose interpreter runs it; None: this interpreter.
        command: what follows; given the interpreter.
        writes: format -> the file that it writes, in its folder.
        promise: what its files are held to: the integer simulation of the artifact, or the file's own graph of
            QuantizeLinear and DequantizeLinear executed literally in float; None: it makes no promise.
        needs: files to lay into its folder before.
    """

    named: str
    package: str | None
    environment: str | None
    command: Callable[[str], Sequence[str]]
    writes: Mapping[str, str]
    promise: Promise | None = None
    needs: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The interpreter; it need not be there."""
        return Path(THIS_PYTHON) if self.environment is None else ENVIRONMENTS[self.environment].interpreter


def _edge(effort: str) -> Tool:
    words = ["quantize", "../float.onnx", "--card", "../card.toml", "--images", "../photographs"]
    words += ["--labels", "../calibration.tsv", "--effort", effort, "--no-verify", "-o", "artifact"]
    return Tool(
        named=f"`--effort {effort}`",
        package=None,
        environment=None,
        command=lambda python: [python, *code_arguments(EDGE, words)],
        writes={"tflite": "artifact/model.tflite", "onnx": "artifact/model.onnx"},
        promise="simulation",
    )


def _script(named: str, package: str, environment: str | None, code: str, file: str, *arguments: str) -> Tool:
    """A tool that is called from Python."""
    kind = file.rpartition(".")[2]
    return Tool(
        named=named,
        package=package,
        environment=environment,
        command=lambda python: [python, *code_arguments(code, arguments)],
        writes={kind: file},
        promise="graph" if kind == "onnx" else None,
    )


LITERT_CLI = Tool(
    named="`static_wi8_ai8`",
    package="litert-cli",
    environment="litert_cli_python",
    command=lambda python: [
        os.fspath(Path(python).with_name("litert")), "quantize", "../float.tflite", "--recipe", "static_wi8_ai8",
        "--calibration-data", "images.py", "--output", "model.tflite",
    ],
    writes={"tflite": "model.tflite"},
    needs={"images.py": LITERT_CLI_IMAGES},
)  # fmt: skip
ONNX2TF = Tool(
    named="`-oiqt`, per channel",
    package="onnx2tf",
    environment="onnx2tf_python",
    command=lambda python: [python, *file_arguments(AGENT, ["job.json"])],
    writes={"tflite": "out/float_full_integer_quant.tflite"},
    needs={"job.json": json.dumps(ONNX2TF_JOB)},
)
TOOLS: Mapping[str, Tool] = {
    "edge-fast": _edge("fast"),
    "edge-default": _edge("default"),
    "litert-cli": LITERT_CLI,
    "ai-edge-quantizer": _script(
        "`static_wi8_ai8`", "ai-edge-quantizer", "ai_edge_quantizer_python", AI_EDGE_QUANTIZER, "model.tflite"
    ),
    "onnx2tf": ONNX2TF,
    "onnxruntime": _script("`quantize_static`, defaults", "onnxruntime", None, ONNXRUNTIME, "model.onnx"),
    "onnxruntime-per-channel": _script(
        "per channel, uint8 activations", "onnxruntime", None, ONNXRUNTIME, "model.onnx", "per_channel"
    ),
    "nncf": _script("defaults", "nncf", "nncf_python", NNCF, "model.onnx"),
    "nncf-accurate": _script(
        "mixed preset, full bias correction", "nncf", "nncf_python", NNCF, "model.onnx", "accurate"
    ),
}
