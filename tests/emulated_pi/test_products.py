"""Int8 products on an emulated Raspberry Pi: halves are rounded up there, and our files hold no product that is one."""

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from converters.tflite.writer import tflite_bytes
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.ops.halfway_products import least_alike
from tests.support.one_operator import Parameters, activation, graph_of

RUN = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for given in interpreter.get_input_details():
    interpreter.set_tensor(given["index"], np.load(sys.argv[2])[given["name"]])
interpreter.invoke()
np.save(sys.argv[3], interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
"""
FIRST, SECOND = Parameters(scale=0.5, zero_point=3), Parameters(scale=0.25, zero_point=-7)
OUTPUT = (2.0, -20)  # of which a product of integers is a sixteenth: one in 16 is a half


def products(scale: float) -> Graph:
    """All products of two int8 numbers as one Mul."""
    inputs = (activation("a", (1, 256, 1, 1), FIRST), activation("b", (1, 1, 1, 256), SECOND))
    target = activation("y", (1, 256, 1, 256), Parameters(scale=scale, zero_point=OUTPUT[1]))
    return graph_of("Mul", inputs, target, {"activation": "none"})


def on_aarch64(python: str, graph: Graph, folder: Path) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """The output there, and the simulation's."""
    integers = np.arange(-128, 128, dtype=np.int8)
    given = {"a": integers.reshape(1, 256, 1, 1), "b": integers.reshape(1, 1, 1, 256)}
    files = [str(folder / name) for name in ("model.tflite", "given.npz", "made.npy")]
    Path(files[0]).write_bytes(tflite_bytes(graph))
    np.savez(files[1], **given)
    subprocess.run([python, "-c", RUN, *files], capture_output=True, timeout=120, check=True)
    return np.load(files[2]), IntegerSimulation(graph).run([given["a"], given["b"]])[0]


def test_halves_are_rounded_up_there(emulated_pi: str, tmp_path: Path) -> None:
    """The formula of `halfway_products`, at a scale that a file of ours would not have."""
    found, simulated = on_aarch64(emulated_pi, products(OUTPUT[0]), tmp_path)
    integers = np.arange(-128, 128)
    exact = np.multiply.outer(integers - FIRST.zero_point, integers - SECOND.zero_point) * (0.5 * 0.25 / OUTPUT[0])
    up = np.clip(np.floor(exact + 0.5) + OUTPUT[1], -128, 127)
    even = np.clip(np.rint(exact) + OUTPUT[1], -128, 127)
    assert np.array_equal(found.reshape(256, 256), up) and np.array_equal(simulated.reshape(256, 256), even)
    assert not np.array_equal(up, even)


@pytest.mark.parametrize("scale", [OUTPUT[0], 0.5, 4 / 3])
def test_a_scale_beside_it_gives_the_simulations_integers(scale: float, emulated_pi: str, tmp_path: Path) -> None:
    parameters = tuple((one.scale, one.zero_point) for one in (FIRST, SECOND))
    chosen = least_alike(parameters, (float(np.float32(scale)), OUTPUT[1]))
    found, simulated = on_aarch64(emulated_pi, products(chosen), tmp_path)
    assert np.array_equal(found, simulated) and len(np.unique(found)) > 100
