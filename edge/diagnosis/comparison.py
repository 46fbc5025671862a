"""Float against INT8, tensor by tensor: the values of every layer, how far its integers are from them, where first."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edge.artifact.scheme import input_range
from edge.diagnosis.patient import Patient
from edge.errors import UnsupportedError
from edge.evaluation.fidelity import RealDifference, real_difference
from edge.execution.float_run import FloatRun, in_real_numbers
from edge.execution.integer import IntegerSimulation
from edge.explain.answers import BATCH, decisions, network_input, probabilities
from edge.explain.score_output import Ending
from edge.graph.graph import Graph
from edge.graph.passes.rewrite import rebuild
from edge.quantization.ptq.calibrate import calibrate
from edge.verification.sensitivity.real_weights import real_weights
from edge.vision.pixels import Pixels, in_layout, normalize, normalize_table
from edge.vision.preprocess import Preprocess

IMAGES = 8
MAPS = 3
ERROR_BOUND_DB = 15.0


@dataclass(frozen=True, kw_only=True)
class TensorFacts:
    """One operator's output over some images, real numbers: in float, and in integers.

    `sqnr_db`: power of the float values over that of the difference; None where they are equal.
    """

    name: str
    kind: str
    float_low: float
    float_high: float
    float_mean: float
    integer_low: float
    integer_high: float
    integer_mean: float
    sqnr_db: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMap:
    """One image of a segmenter, RGB uint8 (h, w, 3) at its size, and its cells' classes, int64 (rows, columns)."""

    image: Pixels
    in_float: npt.NDArray[np.int64]
    in_integers: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Float against INT8 on some images.

    Attributes:
        how: where the two come from, for a person.
        first_beyond: the first tensor whose SQNR is below the bound; None: none is.
    """

    how: str
    images: int
    bound_db: float
    tensors: tuple[TensorFacts, ...]
    maps: tuple[ErrorMap, ...]

    @property
    def first_beyond(self) -> TensorFacts | None:
        """The first layer whose error exceeds the bound."""
        return next((one for one in self.tensors if one.sqnr_db is not None and one.sqnr_db < self.bound_db), None)


def compare(patient: Patient, bound_db: float = ERROR_BOUND_DB) -> Comparison:
    """Run the integer network and the float one that it stands for on the same images.

    An integer model is held against its parent's weights; a float one is quantized by its calibration images first.

    Raises:
        UnsupportedError: what lacks for it, or an operator without a formula.
    """
    preprocess, photographs = patient.preprocess, patient.photographs
    if preprocess is None or photographs is None:
        raise UnsupportedError("float against INT8 needs images (--calibration, --split) and a preprocessing (--card)")
    quantized, parent, how = _both(patient, preprocess)
    pixels = photographs.pixels(preprocess)[:IMAGES]
    known = real_weights(quantized, parent)
    real = in_real_numbers(quantized, known.values)
    return Comparison(
        how=how,
        images=len(pixels),
        bound_db=bound_db,
        tensors=_tensors(quantized, real, pixels, preprocess),
        maps=_maps(patient, quantized, real, pixels[:MAPS], preprocess),
    )


def _both(patient: Patient, preprocess: Preprocess) -> tuple[Graph, Graph | None, str]:
    if patient.is_integer:
        if patient.parent is None:
            return patient.graph, None, "its integers' own real numbers: the float parent is not known (--parent)"
        return patient.graph, patient.parent, "the float parent's weights"
    if patient.calibration is None:
        raise UnsupportedError("float against INT8 needs calibration images to quantize a float model (--calibration)")
    pixels = patient.calibration.pixels(preprocess)
    given = in_layout(normalize(pixels, preprocess), patient.graph.layout)
    batches = [given[start : start + BATCH] for start in range(0, len(given), BATCH)]
    quantized = calibrate(patient.graph, batches, input_range=input_range(normalize_table(preprocess)))
    return (
        quantized,
        patient.graph,
        f"the model itself, and INT8 made of it here on {patient.calibration.origin}, plainly",
    )


def _tensors(quantized: Graph, real: Graph, pixels: Pixels, preprocess: Preprocess) -> tuple[TensorFacts, ...]:
    kinds = {operator.outputs[0]: operator for operator in quantized.operators}
    ends: dict[str, list[list[float]]] = {}
    noise: dict[str, RealDifference] = {}
    integers, floats = IntegerSimulation(quantized), FloatRun(real)
    for image in pixels:
        given = network_input(quantized, image[None], preprocess)
        wanted = network_input(real, image[None], preprocess)
        for (name, raw), (other, value) in zip(integers.stream([given]), floats.stream([wanted]), strict=True):
            told = quantized.tensors[name].quantization
            if name not in kinds or other != name or told is None or told.axis is not None:
                continue
            found = (raw.double() - float(told.zero_point[0])) * float(told.scale[0])
            ends.setdefault(name, []).append([*_ends(value), *_ends(found)])
            noise[name] = noise.get(name, RealDifference()) + real_difference(value.numpy(), found.float().numpy())
    made = []
    for name, rows in ends.items():
        table = np.array(rows)
        made.append(
            TensorFacts(
                name=kinds[name].name,
                kind=kinds[name].kind,
                float_low=float(table[:, 0].min()),
                float_high=float(table[:, 1].max()),
                float_mean=float(table[:, 2].mean()),
                integer_low=float(table[:, 3].min()),
                integer_high=float(table[:, 4].max()),
                integer_mean=float(table[:, 5].mean()),
                sqnr_db=noise[name].sqnr_db,
            )
        )
    return tuple(made)


def _ends(values: torch.Tensor) -> tuple[float, float, float]:
    return float(values.min()), float(values.max()), float(values.double().mean())


def _maps(
    patient: Patient, quantized: Graph, real: Graph, pixels: Pixels, preprocess: Preprocess
) -> tuple[ErrorMap, ...]:
    """Of a segmenter the classes in float and in integers."""
    if patient.task != "segment" or patient.scored is None:
        return ()
    scored, ending = patient.scored
    name = scored.outputs[0]
    if name not in quantized.tensors:
        return ()
    shape = quantized.tensors[name].shape
    rows, columns = (size for axis, size in enumerate(shape) if axis not in (0, ending.class_axis))
    mine, theirs = (
        decisions(probabilities(_ending_in(graph, name, ending), pixels, preprocess, cells=rows * columns))
        for graph in (quantized, real)
    )
    shown = pixels[..., ::-1] if preprocess.colour_order == "bgr" else pixels
    return tuple(
        ErrorMap(
            image=np.ascontiguousarray(image),
            in_float=in_float.reshape(rows, columns),
            in_integers=in_integers.reshape(rows, columns),
        )
        for image, in_float, in_integers in zip(shown, theirs, mine, strict=True)
    )


def _ending_in(graph: Graph, name: str, ending: Ending) -> tuple[Graph, Ending]:
    return rebuild(graph, graph.operators, outputs=(name,)), ending
