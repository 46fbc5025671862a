"""edge camera: an artifact on a video, pictures or a camera, with the answer drawn."""

from contextlib import ExitStack, closing
from pathlib import Path

import click

from edge import terminal
from edge.camera.loop import Seen, summarize, watch
from edge.camera.report import frame_line, frame_object, summary_object, summary_table
from edge.camera.segments import open_segments
from edge.camera.sinks import DEFAULT_FRAMES_PER_SECOND, Sink, open_file_sink, open_window
from edge.camera.sources.opening import open_source
from edge.camera.sources.until_failure import UntilFailure
from edge.cli.bounded_number import THREADS, Number, whole
from edge.cli.recording_options import recording_of, recording_options
from edge.errors import EdgeError
from edge.files.interrupts import noted
from edge.files.overwriting import refuse_inputs
from edge.predictor.predictor import Predictor


@click.command("camera", epilog="Example: edge camera artifacts/street_int8 --source drive.mp4 --out overlay.mp4")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--source", required=True, help="Video, picture, folder, split, camera number or /dev/videoN.")
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    help="An .mp4 or .avi file, or a new folder for PNG pictures.",
)
@recording_options
@click.option("--frames", type=whole(1), help="Stop after this many frames.")
@click.option("--engine", help="litert, tflite-runtime, onnxruntime or torch; default: the first that is installed.")
@click.option("--kernels", help="Kernel set of the engine; for litert xnnpack, builtin or reference.")
@click.option("--threads", default=1, show_default=True, type=THREADS)
@click.option("--threshold", type=Number(0, 1), help="Least probability of a detector's box; default: the manifest's.")
@click.option("--top", type=whole(1, 10_000), help="Boxes of a frame at most, the best.")
@click.option("--no-selftest", is_flag=True, help="Do not prove first that the runtime gives the expected answers.")
@click.option("--show", is_flag=True, help="Show a window; q or Escape closes it.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object per frame with its answer (of a film, only here), then the summary.",
)
def command(
    artifact: Path,
    source: str,
    out: Path | None,
    segment: str | None,
    keep_segments: int | None,
    keep_size: str | None,
    when_full: str | None,
    frames: int | None,
    engine: str | None,
    kernels: str | None,
    threads: int,
    threshold: float | None,
    top: int | None,
    no_selftest: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Run ARTIFACT on every frame of a source; labels, a coloured mask or boxes are drawn on what --out keeps."""
    if out is not None:
        refuse_inputs("--out", out, artifact, source, folder=not out.suffix)
    recording = recording_of(out, segment, keep_segments, keep_size, when_full)
    predictor = Predictor.load(
        artifact,
        engine=engine,
        threads=threads,
        kernels=kernels,
        selftest=not no_selftest,
        threshold=threshold,
        top=top,
    )
    times_ns: list[dict[str, int]] = []
    failure: EdgeError | None = None
    with ExitStack() as stack:
        opened = stack.enter_context(closing(UntilFailure(open_source(source))))
        # From here to the file's place no signal cuts anything: it ends the run between two frames, and what was seen
        # is kept.
        ending = stack.enter_context(noted(f"ending; finishing {out}" if out is not None else "ending"))
        sinks: list[Sink] = []
        if out is not None and recording is not None:
            rate = opened.frames_per_second or DEFAULT_FRAMES_PER_SECOND
            sinks.append(stack.enter_context(open_segments(out, recording, rate, live=opened.live)))
        elif out is not None:
            sinks.append(stack.enter_context(open_file_sink(out, opened.frames_per_second)))
        if show:
            sinks.append(stack.enter_context(open_window()))
        for seen in watch(predictor, opened, sinks, limit=frames, ended=lambda: ending.asked):
            times_ns.append(seen.times_ns)
            try:
                with ending.cutting():
                    _tell(seen, as_json=as_json, pictures=opened.pictures)
            except EdgeError as error:  # nobody reads any more
                failure = error
                break
        if ending.asked and not times_ns:
            raise KeyboardInterrupt
    if times_ns and failure is None:
        _summarize(times_ns, predictor, as_json=as_json)
    if failure is None:
        failure = opened.failure
    if failure is not None:
        raise failure


def _tell(seen: Seen, *, as_json: bool, pictures: bool) -> None:
    if as_json:
        terminal.say_json(frame_object(seen))
    elif pictures:
        terminal.say(frame_line(seen))


def _summarize(times_ns: list[dict[str, int]], predictor: Predictor, *, as_json: bool) -> None:
    summary = summarize(times_ns)
    if as_json:
        terminal.say_json(summary_object(summary, len(times_ns), predictor.info))
        return
    info = predictor.info
    terminal.show(summary_table(summary))
    counts = f"{len(times_ns)} frame{'s' * (len(times_ns) != 1)}", f"{info.threads} thread{'s' * (info.threads != 1)}"
    terminal.tell(f"{counts[0]}, {info.engine} {info.version} ({info.kernels}), {counts[1]}")
