"""`edge eval`: accuracy of a checkpoint or an artifact on a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from numpy.typing import NDArray
from rich.table import Table

from edge.artifact.manifest import has_independent_labels, open_artifact
from edge.cli.bounded_number import THREADS, whole
from edge.cli.input_size import input_size
from edge.cli.split_options import split_options
from edge.data.class_names import ClassNames
from edge.data.damaged import without_damaged
from edge.data.held_out_check import require_as_held_out
from edge.data.model_classes import model_classes, require_model_classes
from edge.data.open_split import open_split
from edge.data.recipe_splits import validation_split
from edge.data.splits import Split
from edge.errors import FileError, UsageError
from edge.evaluation.coco_boxes import write_coco
from edge.files.atomic import make_folder
from edge.files.bounded_file import is_dir, is_file
from edge.predictor.predictor import Predictor
from edge.recipe.recipe import Data
from edge.recipe.recipe_file import expand
from edge.tasks.accuracy import Pixels, Predict, accuracy
from edge.tasks.worst import MOST, SHOWN_FROM, Judged, Worst
from edge.terminal import Bars, say, say_json, show, tell
from edge.vision.map_positions import size_text
from edge.vision.picture_file import write_side_by_side
from edge.vision.point_rend import MAX_STEPS

if TYPE_CHECKING:
    from edge.training.checkpoint import Checkpoint
    from edge.training.input_size import Observation

Found = tuple[NDArray[Any], tuple[int, int]]
OF_BOXES = ("map", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall")
OF_MAPS = ("miou", "boundary_miou", "boundary_miou_coco", "pixel_accuracy")


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """What is evaluated: how it answers, on what, for which task and classes.

    `data`: of a checkpoint's recipe; `validated_on`: the hash of the split that it was validated on; `shown_from`: of a
    detector, the probability from which on a box is shown.
    """

    predict: Predict
    runs_on: str
    task: str
    classes: ClassNames
    independent: bool = False
    data: Data | None = None
    validated_on: str | None = None
    shown_from: float = SHOWN_FROM


@click.command()
@click.argument("subject", metavar="CHECKPOINT|ARTIFACT", type=click.Path(path_type=Path))
@split_options
@click.option("-n", "--samples", type=whole(1), help="Look at the first N images only.")
@input_size
@click.option("--calibration", help="Split for the ranges of a QAT checkpoint at another --input-size.")
@click.option("--calibration-samples", type=whole(1), help="Use this many of it, evenly spread; all if omitted.")
@click.option("--engine", help="What runs an artifact; the preferred installed one if omitted.")
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Processor threads.")
@click.option(
    "--point-steps",
    type=whole(0, MAX_STEPS),
    help="Of a segmenter with a point head, predict points again so often; its own number if omitted.",
)
@click.option(
    "--coco-results",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write a detector's boxes, and those of the split, in COCO's format: results.json, annotations.json.",
)
@click.option(
    "--worst",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help=f"Draw the {MOST} images that come out worst: what is true beside what is predicted.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(
    subject: Path,
    split: str | None,
    images: str | None,
    labels: str | None,
    masks: str | None,
    boxes: str | None,
    classes: str | None,
    skip_damaged: bool,
    samples: int | None,
    input_size_hw: tuple[int, int] | None,
    calibration: str | None,
    calibration_samples: int | None,
    engine: str | None,
    threads: int,
    point_steps: int | None,
    coco_results: Path | None,
    worst: Path | None,
    as_json: bool,
) -> None:
    """Accuracy of a checkpoint (with torch) or an artifact (with an engine).

    Without --split and --images: the recipe's validation split, for a checkpoint. Masks count at their own size,
    whatever --input-size is: predictions are enlarged to it.

    \b
    Example:
        edge eval runs/mobilenet/qat.safetensors --split generated:classify:val
    """
    if is_dir(subject):
        asked = {"--input-size": input_size_hw, "--calibration": calibration}
        if refused := [option for option, value in asked.items() if value is not None]:
            raise UsageError(
                f"{', '.join(refused)}: {subject} is an artifact, whose size is fixed; name its checkpoint"
            )
        opened = _artifact(subject, engine, threads, point_steps)
    else:
        opened = _checkpoint(subject, engine, threads, input_size_hw, calibration, calibration_samples, point_steps)
    if split is None and images is None:
        validation = None if opened.data is None else validation_split(_skipping(opened.data, skip_damaged))
        if validation is None:
            raise UsageError(
                f"{subject}: names no validation split; give --split, or --images with --labels, --masks or --boxes"
            )
        if opened.data is not None and opened.data.holdout is not None:
            require_as_held_out(validation, opened.validated_on, subject)
        chosen = validation
    else:
        named = None if split is None else expand(split, None)
        # A folder's labels are the model's own classes, unless a file says otherwise.
        names = classes or (opened.classes if images is not None else None)
        chosen = open_split(
            split=named,
            images=images,
            labels=labels,
            masks=masks,
            boxes=boxes,
            classes=names,
            skip_damaged=skip_damaged,
        )
    if not chosen.has_targets:
        raise UsageError(
            f"{chosen.origin} has no labels; give --labels FILE, --masks FOLDER for a segmenter, --boxes for a detector"
        )
    if chosen.task != opened.task:
        raise UsageError(f"{subject} is for '{opened.task}', {chosen.origin} for '{chosen.task}'")
    if coco_results is not None and not chosen.has_boxes:
        raise UsageError(f"--coco-results: {chosen.origin} has no boxes")
    require_model_classes(chosen, opened.classes.names, str(subject), independent=opened.independent)
    if samples is not None:
        chosen = chosen.subset(range(min(samples, len(chosen))))
    if opened.data is None or split is not None or images is not None:  # a recipe's split has been looked at
        chosen = without_damaged(chosen, skip=skip_damaged)
    found: list[Found] = []
    seen = Worst(chosen, shown_from=opened.shown_from, independent=opened.independent)
    for folder in filter(None, (coco_results, worst)):
        make_folder(folder)
    predict = opened.predict if coco_results is None else _kept(opened.predict, found)
    with Bars() as progress:
        task = progress.add_task("evaluate", total=len(chosen))
        metrics = accuracy(
            chosen,
            predict if worst is None else _looked_at(predict, seen),
            batch_size=8,
            independent=opened.independent,
            advance=lambda count: progress.advance(task, count),
        )
    if coco_results is not None:
        _write_coco(coco_results, chosen, found)
    if worst is not None:
        _write_worst(worst, seen.judged)
    if as_json:
        say_json({"subject": str(subject), "runs_on": opened.runs_on, "split": chosen.origin, **metrics})
    else:
        _print(f"{subject}, {opened.runs_on}", chosen, metrics)


def _kept(predict: Predict, found: list[Found]) -> Predict:
    """The same predictions, kept beside the sizes of their frames."""

    def kept(frames: list[Pixels]) -> list[NDArray[Any]]:
        values = predict(frames)
        found.extend((rows, frame.shape[:2]) for rows, frame in zip(values, frames, strict=True))
        return values

    return kept


def _looked_at(predict: Predict, seen: Worst) -> Predict:
    """The same predictions, looked at on their way."""

    def looked_at(frames: list[Pixels]) -> list[NDArray[Any]]:
        values = predict(frames)
        for one, frame in zip(values, frames, strict=True):
            seen.add(one, frame)
        return values

    return looked_at


def _write_worst(folder: Path, judged: Sequence[Judged]) -> None:
    """One picture an image, the worst first, and a line for each on standard error."""
    for place, image in enumerate(judged, start=1):
        stem = Path(image.name).with_suffix("").as_posix().replace("/", "_")
        path = folder / f"{place:02}_{stem}.png"
        write_side_by_side(path, image.pictures)
        tell(f"{path}: {image.words}")


def _write_coco(folder: Path, split: Split, found: list[Found]) -> None:
    places = range(len(split))
    truth, names = [split.boxes(index) for index in places], [split.name(index) for index in places]
    rows, sizes_hw = zip(*found, strict=True)
    write_coco(folder, rows, truth, split.classes, names, sizes_hw)


def _skipping(data: Data, skip_damaged: bool) -> Data:
    return data.model_copy(update={"skip_damaged": data.skip_damaged or skip_damaged})


def _artifact(folder: Path, engine: str | None, threads: int, point_steps: int | None) -> _Opened:
    artifact = open_artifact(folder)
    predictor = Predictor.load(artifact, engine=engine, threads=threads, point_steps=point_steps)
    info = predictor.info
    return _Opened(
        predict=lambda frames: [predictor.values(frame, format="rgb") for frame in frames],
        runs_on=f"{info.engine} {info.version}, {info.kernels}",
        task=artifact.manifest.task,
        classes=model_classes(artifact.manifest.labels),
        independent=has_independent_labels(artifact.manifest),
        shown_from=SHOWN_FROM if artifact.manifest.detection is None else artifact.manifest.detection.threshold,
    )


def _checkpoint(
    path: Path,
    engine: str | None,
    threads: int,
    input_size_hw: tuple[int, int] | None,
    calibration: str | None,
    calibration_samples: int | None,
    point_steps: int | None,
) -> _Opened:
    if path.suffix.lower() in (".onnx", ".tflite") and is_file(path):
        raise FileError(
            path, "is a model file alone, which says neither preprocessing nor classes; name an artifact folder"
        )
    # Here and not above: an artifact is evaluated on a device that has no torch.
    import torch

    from edge.models.point_head import point_head_of
    from edge.training.checkpoint import read_checkpoint, restore_module
    from edge.training.evaluate import module_predictions
    from edge.training.input_size import at_size, size_note

    if engine not in (None, "torch"):
        raise UsageError(f"{path}: a checkpoint runs on torch, not on '{engine}'; convert it to an artifact first")
    torch.set_num_threads(threads)
    given = calibration is not None or calibration_samples is not None
    observation = _observation(calibration, calibration_samples) if given else None
    checkpoint = read_checkpoint(path)
    if input_size_hw is not None:
        checkpoint = at_size(checkpoint, input_size_hw, observation)
    elif observation is not None:
        raise UsageError("--calibration is for a QAT checkpoint at another --input-size; at its own it has its ranges")
    if note := size_note(checkpoint):
        tell(f"note: {note}")
    recipe, module = checkpoint.recipe, restore_module(checkpoint)
    if point_steps is not None and not hasattr(module, "at_points") and point_head_of(module) is None:
        raise UsageError(f"--point-steps: {path} has no point head; omit it")
    return _Opened(
        predict=module_predictions(module, recipe.preprocess, checkpoint.task, point_steps=point_steps),
        runs_on=f"torch {torch.__version__}, {checkpoint.kind}{_size_words(checkpoint)}",
        task=checkpoint.task,
        classes=model_classes(checkpoint.labels),
        independent=checkpoint.scores == "independent",
        data=recipe.data,
        validated_on=checkpoint.metrics.get("split_sha256"),
    )


def _observation(calibration: str | None, samples: int | None) -> "Observation | None":
    from converters.convert.calibration import open_calibration
    from converters.convert.opened_checkpoint import observation

    opened = open_calibration(calibration, samples, "mse")
    return None if opened is None else observation(opened)


def _size_words(checkpoint: "Checkpoint") -> str:
    """That a checkpoint runs at another size than it was trained at."""
    if checkpoint.trained_hw is None:
        return ""
    preprocess = checkpoint.recipe.preprocess
    return f", at {preprocess.height}x{preprocess.width}, trained at {size_text(checkpoint.trained_hw)}"


def _print(subject: str, split: Split, metrics: dict[str, Any]) -> None:
    skipped = f", {metrics['skipped_damaged']} damaged omitted" if metrics["skipped_damaged"] else ""
    say(f"{subject}; {split.origin}, {metrics['images']} images{skipped}")
    table = Table()
    table.add_column("metric")
    table.add_column("%", justify="right")
    unequal = {"balanced_accuracy"} if metrics.get("balanced_accuracy") != metrics.get("top1") else set()
    for name in ("top1", *unequal, "top5", "mean_average_precision", "label_accuracy", *OF_MAPS, *OF_BOXES):
        if name in metrics:
            table.add_row(name, _percent(metrics[name]))
    for kind in ("iou", "boundary_iou"):
        for name, value in metrics.get(kind, {}).items():
            table.add_row(f"  {kind} {name}", _percent(value))
    show(table)
    if "labels" in metrics:
        _print_labels(metrics["labels"])
    if "per_class" in metrics:
        _print_classes(metrics["per_class"])


def _print_labels(labels: dict[str, dict[str, Any]]) -> None:
    table = Table()
    table.add_column("label")
    for title in ("average precision %", "accuracy %", "F1 %", "images that have it"):
        table.add_column(title, justify="right")
    for name, figures in labels.items():
        shares = (figures[key] for key in ("average_precision", "accuracy", "f1"))
        positives = f"{figures['positives']} of {figures['known']}"
        table.add_row(name, *(_percent(share) for share in shares), positives)
    show(table)


def _print_classes(classes: dict[str, dict[str, Any]]) -> None:
    table = Table()
    table.add_column("class")
    for title in ("AP %", "AP50 %", "boxes"):
        table.add_column(title, justify="right")
    for name, figures in classes.items():
        table.add_row(name, _percent(figures["ap"]), _percent(figures["ap50"]), str(figures["boxes"]))
    show(table)


def _percent(share: float | None) -> str:
    """A share as it is shown; a figure of nothing has none."""
    return "-" if share is None else f"{share * 100:.2f}"
