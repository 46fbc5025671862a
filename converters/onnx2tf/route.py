"""The way out for what the writer refuses: onnx2tf with TensorFlow, isolated, its file checked and made an artifact."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.convert.build import measured_bounds
from converters.convert.calibration import Calibration, calibration_batches
from converters.convert.convert import card_of, load_source, selftest_images
from converters.convert.heads import TASK_HEADS
from converters.convert.options import PLAIN, ConvertOptions, refuse_input_size
from converters.onnx2tf.check import as_nhwc, check_file, check_signature, check_values, written
from converters.onnx2tf.environment import find_python
from converters.onnx2tf.isolated import Made, run_onnx2tf
from converters.onnx2tf.outputs import in_order, output_places
from converters.onnx2tf.source import FloatSource, float_source, of_graph
from converters.packaging.described_files import checked_outputs, model_file
from converters.packaging.description import Description
from converters.packaging.output_meaning import Said, named_classes
from converters.packaging.package import ModelFiles, described, refuse_other_folder, write_artifact
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo
from edge.engines.engine import Session, open_session
from edge.errors import UnsupportedError, UsageError
from edge.files import bounded_file
from edge.files.leftovers import temporary_folder
from edge.graph.analyses.counts import cost_of
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import model_sha256
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.port import DescribedPort, dequantize
from edge.predictor.selftest_archive import selftest_bytes
from edge.vision.encoding import input_encoder
from edge.vision.pixels import in_layout, normalize
from edge.vision.preprocess import Preprocess

Array = npt.NDArray[Any]
Say = Callable[[str], None]
PTQ = "ptq (onnx2tf)"


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """onnx2tf's file after the checks: its bytes, metadata added, and its graph; notes for people."""

    tflite: bytes
    graph: Graph
    notes: tuple[str, ...]


def convert_via_onnx2tf(
    source: Path, folder: Path, options: ConvertOptions = PLAIN, *, say: Say = lambda line: None
) -> Artifact:
    """Turn a checkpoint or an ONNX file into an artifact with onnx2tf.

    The artifact is float32. With calibration images onnx2tf quantizes to int8 as well, by parameters of its own: the
    manifest's method is `ptq (onnx2tf)`, and nothing is promised but what is measured. A quantized source loses its
    parameters, which the manifest says.

    Args:
        source: as in `convert_source`; an ONNX file keeps the head that it has.
        options: `head`, `card`, `name`, and `calibration` for onnx2tf's own quantization.
        say: is told about the progress and what to know, one line at a time.

    Raises:
        FileError: a file that is missing or damaged. UsageError: options that do not hold together.
        EngineError: onnx2tf is not installed, or failed. UnsupportedError: what it wrote does not hold.
    """
    python = find_python()
    calibration = options.calibration
    given, description = _source(source, folder, options)
    images = None if calibration is None else _calibration_images(calibration, description.preprocess)
    say(f"onnx2tf: {source}" + ("" if images is None else f", {len(images)} calibration images") + ", about a minute")
    made = run_onnx2tf(
        python, given.data, calibration=None if images is None else (_input_name(given.data), images), batch=None
    )
    peak = f", {made.peak_bytes / 2**20:,.0f} MiB" if made.peak_bytes else ""
    say(f"onnx2tf {made.versions['onnx2tf']}, tensorflow {made.versions['tensorflow']}: {made.seconds:.1f} s{peak}")
    pixels = selftest_images(description.preprocess)
    with temporary_folder() as work:
        checked, outputs = _check(Path(work), given, made, description, pixels, quantized=calibration is not None)
    notes = (*given.notes, *checked.notes)
    for note in notes:
        say(note)
    description = _with_facts(description, made, notes, calibration)
    return _package(folder, given, checked, description, pixels, outputs)


def _source(source: Path, folder: Path, options: ConvertOptions) -> tuple[FloatSource, Description]:
    if source.suffix != ".onnx":
        graph, description = load_source(source, folder, replace(options, calibration=None))
        return of_graph(graph), description
    refuse_input_size(source, options)
    refuse_other_folder(folder, source, options.card)
    bounded_file.check_file(source)
    card = card_of(source, options)
    if options.head not in (None, "logits"):
        raise UsageError(f"--head {options.head}: onnx2tf takes an ONNX file with the head that it has")
    description = Description(
        name=options.name or folder.name,
        task=card.task,
        head="logits" if TASK_HEADS.get(card.task) else None,
        preprocess=card.preprocess,
        labels=card.labels,
        quantization=QuantizationInfo(method="none"),
        provenance=provenance(source=source, folder=folder, parent=source, parent_sha256=model_sha256(source)),
        said=Said(values=card.values, scores=card.scores),
    )
    given = float_source(source)
    labels = named_classes(card.labels, card.task, checked_outputs(read_onnx(given.data), description)[0])
    description = replace(description, labels=labels)
    if given.notes:  # quantized: it is no float parent
        description = replace(description, provenance=provenance(source=source, folder=folder))
    return given, description


def _calibration_images(calibration: Calibration, preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """The images as the model sees them, float32 (n, height, width, 3)."""
    batches = list(calibration_batches(calibration.chosen(), preprocess))
    return np.ascontiguousarray(np.concatenate(batches).transpose(0, 2, 3, 1))


def _input_name(source: bytes) -> str:
    return read_onnx(source).inputs[0]


def _check(
    work: Path,
    given: FloatSource,
    made: Made,
    description: Description,
    pixels: npt.NDArray[np.uint8],
    *,
    quantized: bool,
) -> tuple[_Checked, Mapping[str, list[Array]]]:
    """All checks; also what each file answers to the self-test's images."""
    graph = check_file(made.tflite, len(given.data))
    preprocess = description.preprocess
    source = open_session("onnxruntime", written(work, "model.onnx", given.data))
    expected_input = (1, 3, preprocess.height, preprocess.width)
    if len(source.inputs) != 1 or tuple(source.inputs[0].shape) != expected_input:
        raise UsageError(f"the model's input is {tuple(source.inputs[0].shape)}; the card says {expected_input}")
    check_signature(source, graph)
    session = open_session("litert", written(work, "model.tflite", made.tflite))
    expected = _outputs(source, in_layout(normalize(pixels, preprocess), "nchw"))
    given_as = DescribedPort(**asdict(session.inputs[0]), layout="nhwc", meaning="image")
    raw = _outputs(session, input_encoder(given_as, preprocess)(pixels))
    in_source = [as_nhwc(array).astype(np.float32) for array in expected]
    real = [dequantize(array, port.scale, port.zero_point) for array, port in zip(raw, session.outputs, strict=True)]
    places = output_places(made.tflite, [port.name for port in source.outputs], in_source, real)
    ordered = in_order(made.tflite, places)
    graph, found, real = read_tflite(ordered), [raw[place] for place in places], [real[place] for place in places]
    outputs = checked_outputs(read_onnx(given.data), description)
    said = check_values(in_source, real, quantized=quantized)
    notes = [said, _float_note(graph)]
    if quantized:
        notes.append("the integers are onnx2tf's choice: no parameter is the source's, no output is promised exactly")
    tflite = described(ordered, description, outputs)
    onnx_name = "source.onnx" if quantized else "model.onnx"
    # A float file is held to the source's answers, a quantized one to its own here: there is no other exact statement.
    of_file = found if quantized else [as_nhwc(array) for array in expected]
    return (
        _Checked(tflite=tflite, graph=read_tflite(tflite), notes=tuple(notes)),
        {"model.tflite": of_file, onnx_name: expected},
    )


def _outputs(session: Session, raw: Array) -> list[Array]:
    """Every output for every image, stacked along the batch axis."""
    each: Sequence[Sequence[Array]] = [session.run([raw[index : index + 1]]) for index in range(len(raw))]
    return [np.concatenate([outputs[k] for outputs in each]) for k in range(len(session.outputs))]


def _float_note(graph: Graph) -> str:
    """Which operators compute in float."""
    floats = [operator for operator in float_operators(graph) if operator.kind not in ("Quantize", "Dequantize")]
    if not floats:
        return f"all {len(graph.operators)} operators compute on integers"
    if len(floats) == len(graph.operators):
        return f"all {len(floats)} operators compute in float"
    named = ", ".join(f"{operator.kind} ({operator.name})" for operator in floats[:8])
    return f"{len(floats)} of {len(graph.operators)} operators stayed in float: {named}" + (
        f" and {len(floats) - 8} more" if len(floats) > 8 else ""
    )


def _with_facts(
    description: Description, made: Made, notes: tuple[str, ...], calibration: Calibration | None
) -> Description:
    told = description.provenance
    told = told.model_copy(update={"road": "onnx2tf", "versions": {**told.versions, **made.versions}})
    split = None if calibration is None else calibration.chosen()
    facts = QuantizationInfo(
        method="none" if split is None else "ptq (onnx2tf)",
        calibration_sha256=None if split is None else split.sha256,
        calibration_images=None if split is None else len(split),
        notes=notes,
    )
    return replace(description, provenance=told, quantization=facts)


def _package(
    folder: Path,
    given: FloatSource,
    checked: _Checked,
    description: Description,
    pixels: npt.NDArray[np.uint8],
    outputs: Mapping[str, list[Array]],
) -> Artifact:
    """The artifact: the TFLite file, and the float ONNX that it was made from."""
    quantized = description.quantization.method == PTQ
    onnx_name = "source.onnx" if quantized else "model.onnx"
    source = read_onnx(given.data)
    told = checked_outputs(source, description)
    contents = {"model.tflite": checked.tflite, onnx_name: given.data}
    files = (
        model_file("model.tflite", checked.tflite, checked.graph, description, told),
        model_file(onnx_name, given.data, source, description, told),
    )
    model = ModelFiles(
        precision="int8" if quantized else "float32",
        contents=contents,
        files=files,
        graph=source,
        cost=cost_of(checked.graph),
    )
    if quantized and not any(tensor.dtype == "int8" for tensor in checked.graph.tensors.values()):
        raise UnsupportedError("onnx2tf wrote a float file though it was asked to quantize")
    allowed = measured_bounds(model, description, pixels, outputs, checked.graph)
    selftest = selftest_bytes(pixels, {name: arrays for name, arrays in outputs.items() if name in allowed})
    return write_artifact(folder, model, description, selftest=selftest, allowed=allowed)
