"""`edge explain`: what a model looks at."""

from pathlib import Path

import click

from edge.cli.bounded_number import THREADS
from edge.cli.explain_gates import explain_gates
from edge.cli.explain_options import method_options, region, region_options
from edge.data.decode import read_image
from edge.errors import FileError, UsageError
from edge.terminal import say, say_json


@click.command("explain", epilog="Example: edge explain runs/mobilenet/float.safetensors photo.jpg -o explained")
@click.argument("subject", metavar="CHECKPOINT|ARTIFACT", type=click.Path(path_type=Path))
@click.argument("image", type=click.Path(path_type=Path))
@region_options
@method_options
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("explained"),
    show_default=True,
    help="Folder of the picture (.png) and the arrays (.npy).",
)
@click.option(
    "--gates",
    is_flag=True,
    help="What attention does instead: GCT's channels by the sign of gamma, CBAM's spatial gates on IMAGE.",
)
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Processor threads.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def command(
    subject: Path,
    image: Path,
    class_name: str | None,
    pixel: tuple[int, ...] | None,
    box: tuple[int, ...] | None,
    baseline: str,
    max_steps: int,
    out: Path,
    gates: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Show what a model looks at: which pixels of IMAGE speak for a class, which against it (Integrated Gradients)."""
    import torch

    from edge.explain.explain_image import Method, explain_image, model_input
    from edge.explain.explained import open_explained
    from edge.explain.output import write_attributions
    from edge.explain.target import find_target

    torch.set_num_threads(threads)
    part = region(pixel, box)
    frame = read_image(image)
    if gates:
        if class_name is not None or part is not None:
            raise UsageError("--gates is of the whole network; omit --class, --pixel and --box")
        make_folder(out)
        explain_gates(subject, image, frame, out, as_json=as_json)
        return
    explained = open_explained(subject)
    frame_hw = (frame.shape[0], frame.shape[1])
    target = find_target(explained, model_input(frame, explained.preprocess), frame_hw, class_name, part)
    found = explain_image(explained, frame, target, Method(baseline=baseline, most_steps=max_steps))
    make_folder(out)
    written = write_attributions(out, image.stem, frame, found, explained.preprocess)
    name = explained.names[target.index]
    if as_json:
        say_json(
            {
                "subject": str(subject),
                "kind": explained.kind,
                "image": str(image),
                "class": name,
                "index": target.index,
                "score": found.score,
                "baseline": baseline,
                "baseline_score": found.baseline_score,
                "sum": float(found.values.sum()),
                "completeness_error": found.error,
                "complete": found.complete,
                "steps": found.steps,
                "picture": str(written.picture),
                "array": str(written.array),
                "channels": str(written.channels),
            }
        )
        return
    say(f"{subject}, {explained.kind}; {image}: {name} {100 * found.score:.2f} %")
    say(
        f"the {baseline} baseline scores {100 * found.baseline_score:.2f} %; the attributions sum to the change within "
        f"{100 * found.error:.2f} %, {found.steps} steps"
    )
    if not found.complete:
        say(f"the sum is off by more than 1 %, and more steps than {max_steps} are not taken; raise --max-steps")
    say(f"written: {written.picture}, {written.array}, {written.channels}")


def make_folder(folder: Path) -> None:
    """Make the folder of the results, if it is not there. Refuses (FileError) a place where none can be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(folder, f"cannot be made: {error.strerror}") from error
