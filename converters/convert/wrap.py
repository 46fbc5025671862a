"""A finished model file becomes an artifact as it is: not a byte is touched, its own answers are the self-test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.convert.build import measured_bounds
from converters.convert.calibration import spread
from converters.convert.convert import SELFTEST_SAMPLES, selftest_images
from converters.packaging.description import Description
from converters.packaging.finished_file import Finished, describe, input_notes
from converters.packaging.package import Contents, Precision, precision_of, refuse_other_folder, write_artifact
from converters.packaging.provenance import provenance
from edge.artifact.card import read_card
from edge.artifact.manifest import Artifact, Cost, Head, QuantizationInfo
from edge.artifact.model_file import ModelFile
from edge.data.splits import Split
from edge.engines.engine import Session, open_session
from edge.engines.inputs import port_difference
from edge.engines.table import PREFERRED
from edge.engines.torch.engine import port_of_tensor
from edge.errors import ModelFileError, UnsupportedError, UsageError
from edge.files.bounded_file import read_bytes
from edge.graph.analyses.counts import cost_of
from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import external_files, open_inputs
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.importers.told_shapes import with_told_shapes
from edge.port import Port
from edge.predictor.artifact_session import give_batch
from edge.predictor.selftest import model_input
from edge.predictor.selftest_archive import selftest_bytes
from edge.vision.four_outputs import FOUR_OUTPUTS
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

MOST_FILE_BYTES = 2**31
MOST_SAMPLES = 256
AS_IS = "as is"


def _segmenters_head(file: ModelFile) -> Head:
    return "class_map" if file.outputs[file.answer].meaning == "class_map" else "logits"


def _detectors_head(file: ModelFile) -> Head:
    return "postprocess" if len(file.told) == len(FOUR_OUTPUTS) else "raw"


HEADS: Mapping[str, Callable[[ModelFile], Head | None]] = {
    "classify": lambda file: None,
    "segment": _segmenters_head,
    "detect": _detectors_head,
}
"""What a manifest says that a model of the task ends in."""


@dataclass(frozen=True, kw_only=True)
class WrapOptions:
    """What is asked of a wrapping.

    Attributes:
        card: task, preprocessing, labels, and what the file does not show.
        name: in the manifest; None: the folder's.
        selftest: images of the self-test; None: generated ones. samples: how many of them, evenly spread; None: 3.
    """

    card: Path
    name: str | None = None
    selftest: Split | None = None
    samples: int | None = None


def wrap_file(source: Path, folder: Path, options: WrapOptions) -> Artifact:
    """Put a finished `.tflite` or `.onnx` file into an artifact folder, byte for byte.

    Raises:
        FileError: the file is missing, damaged or of another kind, or the card is.
        UsageError: the card contradicts the file, or leaves open what the file does not show.
        EngineError: the runtime is missing or refuses the file.
        UnsupportedError: an answer to a self-test image is not a number.
    """
    refuse_other_folder(folder, source, options.card)
    form = source.suffix.removeprefix(".")
    if form == "onnx" and (beside := external_files(source)):
        raise UsageError(f"{source}: keeps constants in {next(iter(beside))}; only a file that is whole is wrapped")
    if form == "onnx" and (left_open := open_inputs(source)):
        raise UsageError(
            f"{source}: input '{left_open[0]}' has sizes left open, and a file as it is cannot be given any: export it "
            "with fixed sizes (the batch may stay open), or convert it without --as-is, with --input-shape"
        )
    data = read_bytes(source, most_bytes=MOST_FILE_BYTES, what="model file", error=ModelFileError)
    card = read_card(options.card)
    session = open_session(PREFERRED[form], source, threads=1, data=data)
    where = f"{source} with {options.card}"
    graph, unread = _graph(data, form, session)
    finished = Finished(
        path=f"model.{form}",
        format_version=3 if form == "tflite" else _opset(data),
        data=data,
        inputs=session.inputs if graph is None else _ports(graph, graph.inputs),
        outputs=session.outputs if graph is None else _ports(graph, graph.outputs),
        graph=graph,
    )
    told = describe(finished, card, where)
    file, labels = told.file, told.labels
    images = _images(options, card.preprocess)
    give_batch(session, file)
    answers = own_answers(session, model_input(images, file, card.preprocess), file, len(labels.names))
    precision = _precision(file, graph)
    notes = (*input_notes(file.inputs[0], card.preprocess), *unread)
    made = provenance(source=source, folder=folder)
    description = Description(
        name=options.name or folder.name,
        task=card.task,
        head=HEADS[card.task](file),
        preprocess=card.preprocess,
        labels=labels,
        quantization=QuantizationInfo(method="none" if precision == "float32" else "foreign", notes=notes),
        provenance=made.model_copy(update={"road": AS_IS}),
        detection=told.detection,
    )
    cost = Cost(multiply_adds=0, parameters=0, weights_bytes=0, peak_activation_bytes=0, unruled=("the whole file",))
    contents = Contents(
        precision=precision,
        contents={file.path: data},
        files=(file,),
        cost=cost if graph is None else cost_of(graph),
    )
    expected = {file.path: answers}
    allowed = measured_bounds(contents, description, images, expected, graph)
    selftest = selftest_bytes(images, expected, {file.path: file.told})
    return write_artifact(folder, contents, description, selftest=selftest, allowed=allowed)


def own_answers(session: Session, raw: npt.NDArray[Any], file: ModelFile, names: int) -> list[npt.NDArray[Any]]:
    """What the file answers to every image, per output that is told; each with all images.

    Raises:
        UnsupportedError: an answer that is not a number. UsageError: a class map of other classes than the names.
    """
    each = [session.run([np.ascontiguousarray(raw[index : index + 1])]) for index in range(len(raw))]
    answers = [np.concatenate([outputs[place] for outputs in each]) for place in file.told]
    for place, array in zip(file.told, answers, strict=True):
        output = file.outputs[place]
        if np.isnan(array).any() or (array.size and not np.isfinite(array).any()):
            raise UnsupportedError(f"output '{output.name}' is not a number on the self-test's images")
        if output.meaning == "class_map" and not 0 <= array.min() <= array.max() < names:
            raise UsageError(
                f"output '{output.name}' answers classes {array.min()} to {array.max()}, and the card names {names}"
            )
    return answers


def _graph(data: bytes, form: str, session: Session) -> tuple[Graph | None, tuple[str, ...]]:
    """The file's graph, where it is read here and shows what the runtime shows; else why not."""
    try:
        graph = read_tflite(data) if form == "tflite" else read_onnx(data, batch=1)
    except (UnsupportedError, ModelFileError, UsageError) as error:
        return None, (f"the file runs, and its operators are not read here: {error}",)
    graph = with_told_shapes(graph, [port.shape for port in session.outputs])
    for kind, told, names in (("inputs", session.inputs, graph.inputs), ("outputs", session.outputs, graph.outputs)):
        # ONNX Runtime tells no scale of an integer input or output; the Q and DQ beside it do, and are read here.
        if problem := port_difference(kind, _ports(graph, names), told, scales_told=form == "tflite"):
            return None, (f"the file runs, and is read here otherwise than it runs: {problem}",)
    return graph, graph.notes


def _ports(graph: Graph, names: Sequence[str]) -> list[Port]:
    return [port_of_tensor(graph.tensors[name]) for name in names]


def _opset(data: bytes) -> int:
    import onnx

    model = onnx.load_from_string(data)
    return next((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def _precision(file: ModelFile, graph: Graph | None) -> Precision:
    """Of the activations: int8 stands for 8 bits, signed or not."""
    if graph is not None:
        return precision_of(graph)
    dtypes = {tensor.dtype for tensor in (*file.inputs, *file.outputs) if tensor.scale is not None}
    if not dtypes:
        return "float32"
    return "int16x8" if "int16" in dtypes else "int8"


def _images(options: WrapOptions, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    """The self-test's images at the model's size: the given ones, evenly spread, or generated ones."""
    split, samples = options.selftest, options.samples
    if split is None:
        if samples is not None:
            raise UsageError("-n counts images of the self-test; name them with --selftest SPLIT")
        return selftest_images(preprocess)
    if samples is not None and samples > MOST_SAMPLES:
        raise UsageError(f"-n {samples}: a self-test has at most {MOST_SAMPLES} images")
    chosen = spread(len(split), samples or SELFTEST_SAMPLES)
    return np.stack([resize(split.image(index), preprocess) for index in chosen])
