"""edge quantize: a float model becomes an integer artifact, from calibration images."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edge.cli.artifact_options import afterwards, described, open_sizes, written_to
from edge.cli.bounded_number import Number, whole
from edge.cli.input_size import input_size
from edge.cli.split_options import skip_damaged
from edge.errors import Interrupted, UsageError, unknown_name
from edge.files.bounded_file import is_file

if TYPE_CHECKING:
    from edge.data.class_names import ClassNames
    from edge.data.splits import Split


@click.command(
    "quantize",
    epilog="Example: edge quantize runs/mobilenet/float.safetensors --calibration generated:classify:train "
    "-n 100 -o artifacts/mobilenet_ptq",
)
@click.argument("source", type=click.Path(path_type=Path))
@written_to("Artifact folder to write.")
@click.option("--calibration", default=None, help="Calibration split: FILE.split.json or KIND:ROOT:PART.")
@click.option("--images", default=None, type=click.Path(path_type=Path), help="Folder of calibration images instead.")
@click.option(
    "--labels", default=None, type=click.Path(path_type=Path), help="Label file of --images: takes the images it lists."
)
@click.option("--boxes", default=None, help="File or folder of boxes of --images: takes the images it is about.")
@click.option(
    "--data-free",
    is_flag=True,
    help="No images: 40, or -n, are made from a checkpoint's batch-norm statistics (cost: docs/quantizing.md).",
)
@skip_damaged
@click.option(
    "-n", "--samples", default=None, type=whole(1), help="Use this many images, evenly spread; all if omitted."
)
@click.option(
    "--ranges",
    default="mse",
    show_default=True,
    help="Range of an activation: mse (least squared error), percentile (99.99), minmax, octav or entropy.",
)
@click.option(
    "--effort",
    default="default",
    show_default=True,
    help="plain (ranges, nearest integers), fast, default or best: which steps are tried, and how long.",
)
@click.option(
    "--steps",
    help="These steps instead: any of ranges,idle,cross_layer,absorption,equalize,factors,copies,clip,bias_fast,bias,"
    "batch_norm,least_squares,adaround,scales,blocks,distil.",
)
@click.option(
    "--agreement-floor",
    type=Number(0, 1),
    help="Below this share of decisions as the float network's, the steps of best are taken; exit code 1 below it.",
)
@click.option(
    "--accuracy-floor",
    type=Number(0, 1),
    help="The same for the share of true decisions of a classifier, on labelled images.",
)
@click.option(
    "--validation", help="Split that --accuracy-floor is counted on; the held-out calibration images if omitted."
)
@click.option("--size-budget", help="Give activations 16 bits while the model file holds this: 2MB, 1MiB.")
@click.option(
    "--latency-budget", help="The same while the median latency here (LiteRT, one thread) holds this: 20ms, 800us."
)
@click.option(
    "--resume", is_flag=True, help="Go on after the last step that an interrupted run of this command took into -o."
)
@click.option("--seed", default=0, show_default=True, type=whole(0), help="Of what steps draw.")
@click.option(
    "--activations",
    type=click.Choice(["int8", "int16"]),
    default="int8",
    show_default=True,
    help="int16: 16x8, nearly float's accuracy, about 58 times slower (x86).",
)
@click.option(
    "--weight-scales",
    type=click.Choice(["channel", "tensor"]),
    default="channel",
    show_default=True,
    help="tensor: one scale per weight, for a device whose kernels take nothing else; costs accuracy.",
)
@described
@click.option("--allow-float", default="", help="Operator kinds that may stay in float in the file: Softmax,...")
@click.option("--io", type=click.Choice(["uint8"]), help="Pixels in, uint8 out: what task libraries load.")
@open_sizes
@input_size
@afterwards
def command(
    source: Path,
    output: Path,
    calibration: str | None,
    images: Path | None,
    labels: Path | None,
    boxes: str | None,
    data_free: bool,
    skip_damaged: bool,
    samples: int | None,
    head: str | None,
    card: Path | None,
    name: str | None,
    allow_float: str,
    io: Literal["uint8"] | None,
    input_shapes: tuple[str, ...],
    input_size_hw: tuple[int, int] | None,
    no_verify: bool,
    as_json: bool,
    ranges: Any,
    activations: str,
    weight_scales: str,
    effort: str,
    steps: str | None,
    agreement_floor: float | None,
    accuracy_floor: float | None,
    validation: str | None,
    size_budget: str | None,
    latency_budget: str | None,
    resume: bool,
    seed: int,
) -> int:
    """Quantize SOURCE (a float checkpoint, or a float ONNX file with its card) after training.

    No labels are needed. Ranges come from the calibration images; then every step of the effort is tried and judged
    on a fifth of them that it has not seen, by how near the integers' answers come to the float network's. What helps
    is kept, and the table of gains printed. Fewer than ten images leave none to judge by: ranges and nearest integers
    alone. The artifact is verified unless --no-verify is given.
    """
    from converters.convert.accuracy_floor import Truth
    from converters.convert.calibration import calibration_of
    from converters.convert.data_free import data_free_calibration
    from converters.convert.options import ConvertOptions
    from converters.convert.quantize import quantize_source
    from converters.convert.steps import plan_of
    from converters.convert.unfinished import unfinished_path
    from edge.artifact.scheme import Scheme
    from edge.cli.artifact_summary import print_and_verify
    from edge.cli.input_shape import parse_shape
    from edge.cli.quantize_mixed import budgets_of, met_budgets
    from edge.cli.quantize_steps import StepBars, met_floors
    from edge.data.open_split import open_split

    _refuse_contradictions(ranges, calibration, images, accuracy_floor, validation, data_free=data_free)
    scheme = Scheme(
        activation_bits=16 if activations == "int16" else 8,
        weight_granularity="per_tensor" if weight_scales == "tensor" else "per_channel",
    )
    plan = plan_of(
        effort,
        None if steps is None else tuple(steps.split(",")),
        agreement_floor=agreement_floor,
        accuracy_floor=accuracy_floor,
        seed=seed,
        scheme=scheme,
        budgets=budgets_of(size_budget, latency_budget),
    )
    split = None
    if not data_free:
        split = open_split(
            images=images, labels=labels, boxes=boxes, split=calibration, option="--calibration",
            skip_damaged=skip_damaged,
        )  # fmt: skip

    def labelled(classes: "ClassNames") -> "Split":
        if validation is not None:
            return open_split(split=validation, option="--validation")
        return open_split(
            images=images, labels=labels, split=calibration, classes=classes if images is not None else None,
            option="--calibration", skip_damaged=skip_damaged,
        )  # fmt: skip

    options = ConvertOptions(
        head=head,
        card=card,
        name=name,
        allow_float=frozenset(kind for kind in allow_float.split(",") if kind),
        io=io,
        shapes=dict(parse_shape(text) for text in input_shapes),
        input_size_hw=input_size_hw,
    )
    with StepBars() as bars:
        if split is None:
            given = data_free_calibration(
                source, options, images=samples, ranges=ranges, seed=seed, advance=partial(bars.advance_step, "images")
            )
        else:
            given = calibration_of(split, samples, ranges, skip_damaged=skip_damaged)
        try:
            artifact = quantize_source(
                source,
                output,
                given,
                options,
                scheme=scheme,
                plan=plan,
                truth=Truth(opened=labelled, held_out=validation is None),
                resume=resume,
                progress=bars.advance_step,
                report=bars.report,
            )
        except KeyboardInterrupt as error:
            if is_file(unfinished_path(output)):
                raise Interrupted("interrupted; the same command with --resume goes on") from error
            raise
    bars.show(effort, as_json=as_json)
    code = print_and_verify(artifact, as_json=as_json, no_verify=no_verify)
    met = met_floors(artifact, agreement_floor, accuracy_floor) & met_budgets(artifact)
    return code or (0 if met else 1)


def _refuse_contradictions(
    ranges: str,
    calibration: str | None,
    images: Path | None,
    accuracy_floor: float | None,
    validation: str | None,
    *,
    data_free: bool,
) -> None:
    """Refuse (UsageError) an unknown estimator, and options that leave each other nothing or too much to do."""
    from edge.quantization.ptq.estimators import ESTIMATORS

    if ranges not in ESTIMATORS:
        raise UsageError(f"--ranges: {unknown_name('estimator', ranges, ESTIMATORS)}")
    if data_free and not {calibration, images} <= {None}:
        raise UsageError("--data-free makes its images; give it without --calibration and --images")
    if data_free and accuracy_floor is not None and validation is None:
        raise UsageError("made images have no labels: --accuracy-floor with --data-free needs --validation SPLIT")
    if calibration is None and images is None and not data_free:
        raise UsageError("no calibration images: give --calibration SPLIT or --images FOLDER")
    if validation is not None and accuracy_floor is None:
        raise UsageError("--validation is what --accuracy-floor is counted on; give that too")
