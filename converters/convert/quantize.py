"""From a float checkpoint or ONNX file and calibration images to an integer artifact: the steps of `edge quantize`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from converters.convert.accuracy_floor import Truth, accuracy_judge
from converters.convert.build import build_artifact
from converters.convert.calibration import Calibration, calibration_batches
from converters.convert.convert import load_source, selftest_images, with_quantization
from converters.convert.opened_checkpoint import open_checkpoint
from converters.convert.options import PLAIN, ConvertOptions
from converters.convert.quantized_head import quantized_head
from converters.convert.steps import NEAREST, Plan, SplitImages, by_steps, decides
from converters.convert.unfinished import Unfinished, refuse_foreign, unfinished_path
from converters.packaging.description import Description
from converters.packaging.package import precision_of, write_model_files
from edge.artifact.manifest import Artifact, QuantizationInfo
from edge.artifact.scheme import INT8_SCHEME, Scheme, input_range
from edge.errors import UsageError
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.ptq.improve import FEWEST_IMAGES, Improved, Progress
from edge.quantization.ptq.wider import Wider
from edge.training.checkpoint import restore_module
from edge.vision.pixels import normalize_table

MADE = "calibrated without data, on images made from batch-norm statistics"


def quantize_source(
    source: Path,
    folder: Path,
    calibration: Calibration,
    options: ConvertOptions = PLAIN,
    *,
    scheme: Scheme = INT8_SCHEME,
    plan: Plan = NEAREST,
    truth: Truth | None = None,
    resume: bool = False,
    progress: Progress = lambda step, done, of: None,
    report: Callable[[Improved | Wider], None] = lambda made: None,
) -> Artifact:
    """Quantize a float model after training and write it as an artifact folder.

    Args:
        source: a float `.safetensors` checkpoint or a float `.onnx` file (with a card).
        options: `head`, `card`, `name`, `allow_float`, `io`, `shapes` and `input_size_hw`.
        scheme: int8 or int16 activations.
        plan: the steps that are taken; none rounds everything to the nearest.
        truth: what an accuracy floor is counted on; needed with one.
        resume: go on from the steps that an interrupted run into this folder took; they must be of the same inputs.
        progress, report: are told how far a step is, and what the steps brought.

    Raises:
        FileError: a source, card or image that is missing, damaged or of another kind.
        UsageError: the source is quantized already, or options do not hold together.
        UnsupportedError: an operator that cannot be quantized, by name.
    """
    if not resume:
        refuse_foreign(unfinished_path(folder))
    graph, description = load_source(source, folder, options)
    if precision_of(graph) != "float32":
        raise UsageError(f"{source} is quantized already; turn it into an artifact with `edge convert`")
    preprocess = description.preprocess
    read_by = calibration.read_by(preprocess)
    split = calibration.chosen()
    known = input_range(normalize_table(preprocess), scheme)
    steps = None
    goals = (plan.agreement_floor, plan.accuracy_floor, plan.budgets)
    if any(goal is not None for goal in goals) or (plan.steps and (plan.asked or len(split) >= FEWEST_IMAGES)):
        accuracy = None
        if plan.accuracy_floor is not None and truth is not None:
            accuracy = accuracy_judge(graph, description, split, truth, source)
        images = SplitImages(split=split, preprocess=read_by)
        quantized, steps = by_steps(
            graph, images, plan, decides=decides(description), estimator=calibration.ranges, scheme=scheme,
            input_range=known, accuracy=accuracy, progress=progress, report=report,
            unfinished=Unfinished(
                path=unfinished_path(folder), images_sha256=split.sha256, resume=resume,
                options={
                    "preprocess": read_by.model_dump(mode="json"), "estimator": calibration.ranges, "seed": plan.seed,
                    "scheme": scheme.model_dump(mode="json"), "range": known, "decides": decides(description),
                },
            ),
            file_of=lambda quantized: _tflite_file(quantized, replace(description, io=options.io), options),
        )  # fmt: skip
    else:
        batches = calibration_batches(split, read_by)
        quantized = calibrate(graph, batches, estimator=calibration.ranges, scheme=scheme, input_range=known)
    if precision_of(quantized) == "float32":
        raise UsageError(f"{source} has nothing to quantize: no operator computes its outputs from its input")
    facts = QuantizationInfo(
        method="ptq",
        scheme=scheme.model_dump(mode="json"),
        calibration_sha256=split.sha256,
        calibration_images=len(split),
        ranges=calibration.ranges,
        steps=steps,
        notes=(*description.quantization.notes, *((MADE,) if calibration.made else ())),
    )
    description = replace(with_quantization(description, facts), io=options.io)
    if description.point_head is not None:
        module = restore_module(open_checkpoint(source, options))
        head = quantized_head(module, quantized, calibration_batches(split, read_by), calibration.ranges, scheme)
        description = replace(description, point_head=replace(description.point_head, graph=head))
    artifact = build_artifact(
        quantized, description, folder, images=selftest_images(preprocess), allow_float=options.allow_float
    )
    unfinished_path(folder).unlink(missing_ok=True)
    return artifact


def _tflite_file(quantized: Graph, description: Description, options: ConvertOptions) -> bytes:
    """The network's file as it would be written, without a point head's."""
    written = write_model_files(quantized, replace(description, point_head=None), allow_float=options.allow_float)
    return written.contents["model.tflite"]
