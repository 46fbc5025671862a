"""ai-edge-quantizer, an independent implementation, given our ranges writes our scales, zero points and integers.

It runs in an environment of its own (`make peers`).
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.scheme import INT8_MAX, INT8_MIN, Scheme
from edge.graph.graph import Graph
from edge.graph.passes.fuse_activations import fuse_activations
from tests.converters.convert.test_int16 import float_of, quantized

# Ranges go in as float64: as float32 some scales come out one unit in the last place off.
QUANTIZE = """
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import quantizer, recipe

source, ranges, ours, target = sys.argv[1:]
found = {
    name: {"min": np.full((1, 1), low, np.float64), "max": np.full((1, 1), high, np.float64)}
    for name, (low, high) in json.load(open(ranges)).items()
}
quantizer.Quantizer(source, recipe.static_wi8_ai8()).quantize(found).export_model(target, overwrite=True)


def tensors(path):
    interpreter = Interpreter(model_path=path, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    operators = interpreter._get_ops_details()
    made = {int(index) for operator in operators for index in operator["outputs"]}
    made |= {int(detail["index"]) for detail in interpreter.get_input_details()}
    result = {}
    for detail in interpreter.get_tensor_details():
        parameters = detail["quantization_parameters"]
        if detail["name"] and len(parameters["scales"]):
            data = None if int(detail["index"]) in made else interpreter.get_tensor(detail["index"])
            result[detail["name"]] = (parameters["scales"], parameters["zero_points"], data)
    return result, [operator["op_name"] for operator in operators]


(mine, codes), (theirs, their_codes) = tensors(ours), tensors(target)
report = {"codes_equal": codes == their_codes, "tensors": len(mine), "missing": sorted(set(mine) - set(theirs))}
report.update(scales=[], zero_points=[], constants=[], integers=0)
for name, (scales, zero_points, data) in mine.items():
    if name not in theirs:
        continue
    other_scales, other_zero_points, other = theirs[name]
    if not np.array_equal(scales, other_scales):
        report["scales"].append(name)
    if not np.array_equal(zero_points, other_zero_points):
        report["zero_points"].append(name)
    if data is not None:
        report["integers"] += int(data.size)
        if data.dtype != other.dtype or not np.array_equal(data, other):
            report["constants"].append(name)
print("REPORT" + json.dumps(report))
"""


def ranges_of(graph: Graph) -> dict[str, tuple[float, float]]:
    """The real range of every int8 activation, float64."""
    found = {}
    for name, tensor in graph.tensors.items():
        if tensor.data is None and tensor.quantization is not None:
            scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0])
            found[name] = ((INT8_MIN - zero_point) * scale, (INT8_MAX - zero_point) * scale)
    return found


@pytest.fixture(params=["classify", "segment"])
def report(request: pytest.FixtureRequest, ai_edge_quantizer_python: str, tmp_path: Path) -> dict[str, Any]:
    """What both files hold, for a small MobileNetV2 and a small Fast-SCNN."""
    ours = to_nhwc(quantized(request.param, Scheme()))
    paths = [tmp_path / name for name in ("float.tflite", "ranges.json", "ours.tflite", "theirs.tflite")]
    paths[0].write_bytes(tflite_bytes(to_nhwc(fuse_activations(float_of(request.param)))))
    paths[1].write_text(json.dumps(ranges_of(ours)))
    paths[2].write_bytes(tflite_bytes(ours))
    done = subprocess.run(
        [ai_edge_quantizer_python, "-c", QUANTIZE, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("REPORT"))
    result: dict[str, Any] = json.loads(line.removeprefix("REPORT"))
    return result


def test_it_writes_the_same_scales_zero_points_and_integers(report: dict[str, Any]) -> None:
    """Bit for bit: every activation, weight and bias, and the same operators in the same order."""
    assert report["tensors"] > 140 and report["integers"] > 300_000
    assert report["missing"] == []
    assert report["codes_equal"]
    assert (report["scales"], report["zero_points"], report["constants"]) == ([], [], [])


def test_a_range_that_is_not_ours_is_noticed(ai_edge_quantizer_python: str, tmp_path: Path) -> None:
    """The comparison can fail: one activation with another range gives another scale."""
    ours = to_nhwc(quantized("classify", Scheme()))
    ranges = ranges_of(ours)
    name = ours.operators[3].outputs[0]
    ranges[name] = (ranges[name][0] * 1.01, ranges[name][1] * 1.01)
    paths = [tmp_path / part for part in ("float.tflite", "ranges.json", "ours.tflite", "theirs.tflite")]
    paths[0].write_bytes(tflite_bytes(to_nhwc(fuse_activations(float_of("classify")))))
    paths[1].write_text(json.dumps(ranges))
    paths[2].write_bytes(tflite_bytes(ours))
    done = subprocess.run(
        [ai_edge_quantizer_python, "-c", QUANTIZE, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("REPORT"))
    assert name in json.loads(line.removeprefix("REPORT"))["scales"]
