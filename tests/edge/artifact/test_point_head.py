"""The section `point_head`: files of a network and of its head that do not belong together are named, in one line."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from edge.artifact.model_file import ModelFile
from edge.artifact.point_head import PointHeadFiles, point_head_problem

Tree = dict[str, Any]
KINDS = (("tflite", "run", "int8"), ("onnx", "run", "uint8"), ("onnx", "source", "int8"))


def tensor(name: str, meaning: str, nhwc: tuple[int, ...], layout: str, dtype: str, scale: float, zero: int) -> Tree:
    n, h, w, c = nhwc
    shape = [n, h, w, c] if layout == "nhwc" else [n, c, h, w]
    scores = "exclusive" if meaning == "logits" else None
    told = {"name": name, "meaning": meaning, "shape": shape, "layout": layout, "dtype": dtype, "scores": scores}
    return told if dtype == "float32" else {**told, "scale": scale, "zero_point": zero}


def file(name: str, kind: tuple[str, str, str], inputs: list[tuple[Any, ...]], outputs: list[tuple[Any, ...]]) -> Tree:
    form, role, dtype = kind
    layout = "nhwc" if form == "tflite" else "nchw"
    zero = 128 if dtype == "uint8" else 0
    ports = [
        [tensor(*one, layout=layout, dtype=dtype, scale=1 / 128, zero=zero) for one in t] for t in (inputs, outputs)
    ]
    known = {"format": form, "role": role, "sha256": "0" * 64, "size_bytes": 9, "format_version": 3}
    return {**known, "path": f"{name}_{role}.{form}", "inputs": ports[0], "outputs": ports[1]}


def trees(kinds: tuple[tuple[str, str, str], ...] = KINDS) -> tuple[list[Tree], list[Tree]]:
    """Files of a network of 3 classes and 5 fine features, and of its head for 16 points."""
    maps = [("logits", "logits", (1, 8, 12, 3)), ("fine", "features", (1, 16, 24, 5))]
    networks = [file("model", kind, [("x", "image", (1, 64, 96, 3))], maps) for kind in kinds]
    points = ("points", "points", (1, 16, 1, 8)), ("answer", "logits", (1, 16, 1, 3))
    return networks, [file("head", kind, [points[0]], [points[1]]) for kind in kinds]


def problem(networks: list[Tree], heads: list[Tree]) -> str | None:
    section = PointHeadFiles.model_validate({"steps": 2, "files": heads})
    return point_head_problem(section, "segment", tuple(ModelFile.model_validate(tree) for tree in networks))


def given(tree: Tree) -> Tree:
    return tree["inputs"][0]  # type: ignore[no-any-return]


def answer(tree: Tree) -> Tree:
    return tree["outputs"][0]  # type: ignore[no-any-return]


def points(count: int) -> Callable[[Tree, Tree], object]:
    def edit(network: Tree, head: Tree) -> None:
        given(head)["shape"][1] = answer(head)["shape"][1] = count

    return edit


def one_class(network: Tree, head: Tree) -> None:
    given(head)["shape"][3], answer(head)["shape"][3], network["outputs"][0]["shape"][3] = 6, 1, 1


REFUSED: dict[str, tuple[Callable[[Tree, Tree], object], str]] = {
    "more points than there can be": (points(2**31 - 1), "2147483647 points; 1 to 65536"),
    "points along the other axis": (
        lambda network, head: (given(head).update(shape=[1, 1, 16, 8]), answer(head).update(shape=[1, 1, 16, 3])),
        r"'points' is (1, 1, 16, 8) in nhwc; 1 points here are (1, 1, 1, 8)",
    ),
    "points as images": (lambda network, head: given(head).update(shape=[16, 1, 1, 8]), "'points' is (16, 1, 1, 8)"),
    "an answer for others": (lambda network, head: answer(head).update(shape=[1, 8, 1, 3]), "'answer' is (1, 8, 1, 3)"),
    "an answer without axes": (lambda network, head: answer(head).update(shape=[]), "'answer' is ()"),
    "features of a vector": (lambda network, head: network["outputs"][1].update(shape=[5]), "'fine' is (5,)"),
    "features of another layout": (lambda network, head: network["outputs"][1].update(layout="nc"), "in layout 'nc'"),
    "another network's head": (lambda network, head: answer(head).update(shape=[1, 16, 1, 4]), "(1, 16, 1, 3)"),
    "one class": (one_class, "one class; points are uncertain between two"),
    "another scale": (lambda network, head: given(head).update(scale=0.5), "scale and zero point (0.5, 0)"),
    "another zero point": (lambda network, head: given(head).update(zero_point=3), "(0.0078125, 3)"),
    "an answer without scale": (
        lambda network, head: answer(head).update(scale=None, zero_point=None),
        "integers without a scale",
    ),
    "another type": (lambda network, head: answer(head).update(dtype="uint8"), "int8 in and uint8 out"),
}


def test_files_that_belong_together_are_taken() -> None:
    assert problem(*trees()) is None
    assert problem(*trees((("tflite", "run", "float32"), ("onnx", "run", "float32")))) is None


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_does_not_fit_is_named(name: str) -> None:
    networks, heads = trees()
    edit, wanted = REFUSED[name]
    edit(networks[0], heads[0])
    found = problem(networks, heads)
    assert found is not None and found.startswith("head_run.tflite: ") and wanted in found


def test_each_file_of_the_network_has_one_head() -> None:
    networks, heads = trees()
    for missing in range(len(heads)):
        found = problem(networks, heads[:missing] + heads[missing + 1 :])
        assert found is not None and "one for each" in found
    assert problem(networks, [*heads, {**heads[0], "path": "again.tflite"}]) is not None


def test_all_files_take_one_number_of_points() -> None:
    networks, heads = trees()
    given(heads[1])["shape"][2] = answer(heads[1])["shape"][2] = 8
    found = problem(networks, heads)
    assert found is not None and "one number of points for all files" in found


def test_whatever_a_tensor_is_said_to_be_is_judged_in_words() -> None:
    shapes: tuple[list[int], ...] = ([], [1], [8, 3], [1, 2, 3], [1, 16, 1, 8, 1], [2**31 - 1] * 4)
    for shape, layout, tree, place in product(shapes, ("nhwc", "nchw", "", "nc"), (0, 1), (0, 1)):
        networks, heads = trees()
        told = networks[0]["outputs"][1] if tree == 0 else (given(heads[0]), answer(heads[0]))[place]
        told.update(shape=shape, layout=layout)
        assert isinstance(problem(networks, heads), str)
