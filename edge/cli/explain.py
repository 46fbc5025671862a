"""`edge explain`: what a model looks at."""

from pathlib import Path

import click

from edge.cli.bounded_number import THREADS, whole
from edge.cli.explain_gates import explain_gates
from edge.cli.explain_kernels import explain_kernels
from edge.cli.explain_options import method_options, region, region_options
from edge.cli.explain_position import PADDINGS, explain_position
from edge.cli.split_options import split_options
from edge.data.decode import read_image
from edge.data.open_split import open_split
from edge.errors import UsageError
from edge.files.atomic import make_folder
from edge.files.overwriting import refuse_inputs

PHOTOGRAPH_NAMED = (".png", ".npy")
"""What is written by the photograph's name and these endings may be the photograph itself."""


@click.command("explain", epilog="Example: edge explain runs/mobilenet/float.safetensors photo.jpg -o explained")
@click.argument("subject", metavar="CHECKPOINT|ARTIFACT", type=click.Path(path_type=Path))
@click.argument("image", required=False, type=click.Path(path_type=Path))
@region_options
@method_options
@click.option(
    "--compare",
    "other",
    metavar="CHECKPOINT|ARTIFACT",
    type=click.Path(path_type=Path),
    help="Explain the same score by another model too, and tell how far the two look at different places.",
)
@split_options
@click.option(
    "-n",
    "--samples",
    type=whole(1),
    help="Of a split, compare on the first N images only; of --position N spread over it, 60 if omitted.",
)
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("explained"),
    show_default=True,
    help="Folder of the pictures (.png) and the arrays (.npy).",
)
@click.option(
    "--gates",
    is_flag=True,
    help="What attention does instead: GCT's channels by the sign of gamma, CBAM's spatial gates on IMAGE.",
)
@click.option(
    "--position",
    is_flag=True,
    help="What the network's maps tell of where a pixel is, by padding: a readout fitted on --images or --split.",
)
@click.option(
    "--padding",
    "paddings",
    multiple=True,
    type=click.Choice(PADDINGS),
    help="Of --position: the network's own, reflected maps, or none on larger images; repeatable, all if omitted.",
)
@click.option("--kernels", is_flag=True, help="What involutions do instead: the kernels that they make of IMAGE.")
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Processor threads.")
@click.option("--json", "as_json", is_flag=True, help="JSON objects, one per line, instead of text.")
def command(
    subject: Path,
    image: Path | None,
    class_name: str | None,
    pixel: tuple[int, ...] | None,
    box: tuple[int, ...] | None,
    baseline: str,
    max_steps: int | None,
    other: Path | None,
    split: str | None,
    images: str | None,
    labels: str | None,
    masks: str | None,
    boxes: str | None,
    classes: str | None,
    skip_damaged: bool,
    samples: int | None,
    out: Path,
    gates: bool,
    position: bool,
    paddings: tuple[str, ...],
    kernels: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Show what a model looks at: which pixels of IMAGE speak for a class, and which against it.

    By Integrated Gradients of the class's probability; of a segmenter its mean over the region where the class is
    predicted, or over --pixel or --box. Artifacts are explained by their integers. With --compare, of an image, or of
    the images of --images or --split. With --position, how much of a pixel's position its maps tell.
    """
    part = region(pixel, box)
    several = split is not None or images is not None
    if several == (image is not None):
        raise UsageError("give an IMAGE, or with --compare --images or --split; one of them")
    if several and other is None and not position:
        raise UsageError("--images and --split are for --compare and --position; give an IMAGE to explain")
    if image is not None and (samples or labels or masks or boxes or classes or skip_damaged):
        raise UsageError("-n, --labels, --masks, --boxes, --classes and --skip-damaged are for --images or --split")
    if gates and (image is None or other is not None or class_name is not None or part is not None):
        raise UsageError("--gates is of the whole network on an IMAGE; omit --class, --pixel, --box and --compare")
    if position and (not several or gates or other is not None or class_name is not None or part is not None):
        raise UsageError(
            "--position is of the whole network on --images or --split; omit IMAGE, --gates, --class, --pixel, --box "
            "and --compare"
        )
    if paddings and not position:
        raise UsageError("--padding is for --position")
    if kernels and (image is None or other is not None or class_name is not None or part is not None or gates):
        raise UsageError(
            "--kernels is of the whole network on an IMAGE; omit --class, --pixel, --box, --compare, --gates"
        )
    refuse_inputs("-o", out, images)
    if image is not None:
        for ending in PHOTOGRAPH_NAMED:
            refuse_inputs("-o", out / f"{image.stem}{ending}", image)
    import torch

    from edge.cli.explain_compare import compare_image, compare_split
    from edge.cli.explain_one import explain_one
    from edge.explain.explain_image import Method
    from edge.explain.explained import open_explained

    torch.set_num_threads(threads)
    frame = None if image is None else read_image(image)
    if gates and image is not None and frame is not None:
        explain_gates(subject, image, frame, out, as_json=as_json)
        return
    if kernels and image is not None and frame is not None:
        explain_kernels(subject, image, frame, out, as_json=as_json)
        return
    explained = None if position else open_explained(subject)
    compared = None if other is None or explained is None else (explained, open_explained(other))
    method = Method(baseline=baseline, most_steps=max_steps)
    chosen = (
        open_split(
            split=split,
            images=images,
            labels=labels,
            masks=masks,
            boxes=boxes,
            classes=classes,
            skip_damaged=skip_damaged,
        )
        if several
        else None
    )
    make_folder(out)  # when everything that is asked for is there
    if position and chosen is not None:
        asked = tuple(name for name in PADDINGS if not paddings or name in paddings)
        explain_position(subject, chosen, samples, asked, out, as_json=as_json, skip=skip_damaged)
        return
    if compared is not None and chosen is not None:
        compare_split(compared, chosen, samples, method, class_name, part, out, as_json=as_json, skip=skip_damaged)
        return
    assert image is not None and frame is not None and explained is not None
    if compared is not None:
        compare_image(compared, image, frame, method, class_name, part, out, as_json=as_json)
        return
    explain_one(explained, image, frame, method, class_name, part, out, as_json=as_json)
