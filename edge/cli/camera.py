"""edge camera: an artifact on a video, pictures or a camera, with the answer drawn."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from edge import terminal
from edge.camera.answers import AnswerChoice, ChangedAnswers
from edge.camera.capture import Capture
from edge.camera.exposition import exposition
from edge.camera.feed import UntilFailure
from edge.camera.inference import Seen
from edge.camera.look import ColourChoice, Look
from edge.camera.loop import CAPTURE_ENDS_S, watch
from edge.camera.metrics_server import read_address, serving
from edge.camera.report import frame_line, frame_object, summary_object, summary_table
from edge.camera.reporter import Reporter
from edge.camera.run_counts import RunCounts
from edge.camera.run_log import RunLog
from edge.camera.segments import open_segments
from edge.camera.sink_stage import Hung
from edge.camera.sinks import DEFAULT_FRAMES_PER_SECOND, Sink, open_file_sink, open_window
from edge.camera.sources.opening import open_source
from edge.camera.systemd import Notifier
from edge.cli.bounded_number import THREADS, Number, whole
from edge.cli.error_code import error_code_said
from edge.cli.grouped_help import GroupedCommand, examples
from edge.cli.look_options import look_options
from edge.cli.loop_options import loop_of, loop_options
from edge.cli.option_group import together
from edge.cli.recording_options import recording_of, recording_options
from edge.cli.source_options import source_options, source_options_of
from edge.errors import EdgeError
from edge.files.interrupts import Ending, noted
from edge.files.overwriting import refuse_inputs
from edge.predictor.predictor import Predictor
from edge.terminal import json_line
from edge.vision.legend import LegendPlace

# heading of the help -> names of options
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "Source": (
        *("source", "size_hw", "rate", "format", "rotate"),
        *("max_age", "open_timeout", "read_timeout", "wait_for_source", "give_up"),
    ),
    "Model": ("engine", "kernels", "threads", "threshold", "top", "region", "no_selftest"),
    "Output": ("out", "segment", "keep_segments", "keep_size", "when_full", "show", "as_json"),
    "Looks": ("legend", "colours", "opacity", "no_times", "answers"),
    "Loop": ("frames", "latency_budget", "stall_after", "log", "metrics"),
}
model_options = together(
    click.option(
        "--engine", help="litert, tflite-runtime, onnxruntime or torch; default: the first that is installed."
    ),
    click.option("--kernels", help="Kernel set of the engine; for litert xnnpack, builtin or reference."),
    click.option("--threads", default=1, show_default=True, type=THREADS),
    click.option(
        "--threshold", type=Number(0, 1), help="Least probability of a detector's box; default: the manifest's."
    ),
    click.option("--top", type=whole(1, 10_000), help="Boxes of a frame at most, the best."),
    click.option("--no-selftest", is_flag=True, help="Do not prove first that the runtime gives the expected answers."),
)


@click.command(
    "camera",
    cls=GroupedCommand,
    headings=HEADINGS,
    epilog=examples("edge camera artifacts/street_int8 --source drive.mp4 --out overlay.mp4"),
)
@click.argument("artifact", type=click.Path(path_type=Path))
@source_options
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    help="An .mp4 or .avi file, or a new folder for PNG pictures.",
)
@recording_options
@look_options
@model_options
@loop_options
@click.option("--show", is_flag=True, help="Show a window; q or Escape closes it.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object per frame with its answer, then the summary.",
)
def command(
    artifact: Path,
    source: str,
    out: Path | None,
    show: bool,
    as_json: bool,
    segment: str | None,
    keep_segments: int | None,
    keep_size: str | None,
    when_full: str | None,
    legend: LegendPlace,
    colours: ColourChoice,
    opacity: float,
    no_times: bool,
    answers: AnswerChoice | None,
    engine: str | None,
    kernels: str | None,
    threads: int,
    threshold: float | None,
    top: int | None,
    no_selftest: bool,
    frames: int | None,
    latency_budget: str | None,
    stall_after: str | None,
    region: tuple[int, int, int, int] | None,
    log: str,
    metrics: str | None,
    **asked: Any,
) -> int | None:
    """Run ARTIFACT on every frame of a source; labels, a coloured mask or boxes are drawn on what --out keeps."""
    if out is not None:
        refuse_inputs("--out", out, artifact, source, folder=not out.suffix)
    recording = recording_of(out, segment, keep_segments, keep_size, when_full)
    options = loop_of(frames, latency_budget, stall_after, region)
    address = None if metrics is None else read_address(metrics)
    load = partial(
        Predictor.load,
        artifact,
        engine=engine,
        threads=threads,
        kernels=kernels,
        selftest=not no_selftest,
        threshold=threshold,
        top=top,
    )
    predictor, run_log, counts = load(), RunLog(as_json=log == "json"), RunCounts()
    try:
        with ExitStack() as stack:
            notifier = stack.enter_context(closing(Notifier()))
            reporter = Reporter(run_log, counts, notifier)
            geometry = predictor.artifact.manifest.preprocess
            # A region is in pixels of the one stream that is shown.
            model_hw = None if region is not None else (geometry.height, geometry.width)
            source_asked = source_options_of(asked, model_hw)
            capture = Capture(
                open_source(source, source_asked), source_asked, on_state=reporter.state, on_read=reporter.read
            )
            stack.callback(capture.close, CAPTURE_ENDS_S)
            taken = UntilFailure(capture)
            # From here to the file's place no signal cuts anything: it ends the run between two frames, and what was
            # seen is kept.
            ending = stack.enter_context(noted(_ending(run_log, out)))
            if address is not None:
                bound = stack.enter_context(serving(address, lambda: exposition(counts.state())))
                run_log.note("metrics", host=bound[0], port=bound[1])
            sinks: list[Sink] = []
            if out is not None and recording is not None:
                rate = capture.frames_per_second or DEFAULT_FRAMES_PER_SECOND
                told_of = partial(run_log.tell, "recording")
                sinks.append(stack.enter_context(open_segments(out, recording, rate, live=capture.live, tell=told_of)))
            elif out is not None:
                sinks.append(stack.enter_context(open_file_sink(out, capture.frames_per_second)))
            window = stack.enter_context(open_window()) if show else None
            run_log.note("start", artifact=str(artifact), source=capture.name, engine=asdict(predictor.info))
            look = Look(legend=legend, colours=colours, opacity=opacity, times=not no_times, film=not capture.pictures)
            seen = watch(
                predictor,
                taken,
                sinks,
                window=window,
                options=options,
                load=load,
                ended=lambda: ending.asked,
                reporter=reporter,
                look=look,
            )
            chosen = ChangedAnswers(answers or ("every" if capture.pictures else "changes"))
            told, failure = _told(seen, partial(_tell, as_json=as_json, chosen=chosen), ending, run_log)
            reporter.stopping()
            if ending.asked and not told:
                raise KeyboardInterrupt
        if told and failure is None:
            _summarize(counts, told, predictor, run_log, as_json=as_json)
        reporter.counts()
        if failure := failure or taken.failure:
            raise failure
    except EdgeError as error:
        if not run_log.as_json:
            raise
        run_log.note("failed", message=str(error))
        return error_code_said(error)
    return None


def _told(
    answers: Generator[Seen, None, None], tell: Callable[[Seen], None], ending: Ending, log: RunLog
) -> tuple[int, EdgeError | None]:
    """Tell every answer. Returns how many there were, and what ended it where nobody reads any more."""
    told = 0
    with _left_as_it_is(log), closing(answers):
        for told, seen in enumerate(answers, 1):
            try:
                with ending.cutting():
                    tell(seen)
            except EdgeError as error:
                return told, error
    return told, None


@contextmanager
def _left_as_it_is(log: RunLog) -> Iterator[None]:
    """End the process at once where an output hangs: a file that a thread is still writing cannot be closed."""
    try:
        yield
    except Hung as error:
        log.tell("failed", f"edge camera: {error}")
        os._exit(Hung.exit_code)


def _ending(log: RunLog, out: Path | None) -> Callable[[], str]:
    """What is said when the first signal comes."""
    said = "ending" if out is None else f"ending; finishing {out}"
    return lambda: json_line(log.line("ending", message=said)).rstrip() if log.as_json else said


def _tell(seen: Seen, *, as_json: bool, chosen: ChangedAnswers) -> None:
    if as_json:
        terminal.say_json(frame_object(seen))
    elif chosen.tells(seen):
        terminal.say(frame_line(seen))


def _summarize(counts: RunCounts, told: int, predictor: Predictor, log: RunLog, *, as_json: bool) -> None:
    summary, state, info = counts.summary(), counts.state(), predictor.info
    if as_json:
        terminal.say_json(summary_object(summary, told, state, info))
        return
    terminal.show(summary_table(summary))
    counted = f"{told} frame{'s' * (told != 1)}", f"{info.threads} thread{'s' * (info.threads != 1)}"
    lost = [f"{number} dropped ({cause})" for cause, number in sorted(state.dropped.items())]
    lost += [f"{number} did not reach the {name}" for name, number in sorted(state.undelivered.items())]
    log.say(", ".join([counted[0], *lost, f"{info.engine} {info.version} ({info.kernels})", counted[1]]))
