"""The verb table. A verb's module is imported only when the verb is called."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from types import MappingProxyType

import click

from edge.cli.error_code import error_code
from edge.cli.unforeseen import EXIT_CODE as UNFORESEEN
from edge.cli.unforeseen import unforeseen_line
from edge.errors import EdgeError, FileError, Interrupted, UsageError, unknown_name
from edge.files import interrupts
from edge.installation import DISTRIBUTION, EXTRAS, needs
from edge.terminal import STANDARD_OUTPUT, flush_output, say_json, tell

# verb -> (module, one line for `edge --help`). Each module has a click command named `command`.
VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "models": ("edge.cli.models", "List the networks with parameters and multiply-adds."),
        "recipes": ("edge.cli.recipes", "List the recipes that ship, or print one."),
        "train": ("edge.cli.train", "Train on your own images, or a recipe: float first, then quantization-aware."),
        "eval": ("edge.cli.eval", "Accuracy of a checkpoint or artifact on a split."),
        "quantize": ("edge.cli.quantize", "Quantize a trained model after training, from calibration images."),
        "convert": ("edge.cli.convert", "Turn a checkpoint or an ONNX file into an artifact."),
        "sizes": ("edge.cli.sizes", "Accuracy, cost and latency of a checkpoint over input sizes, float and INT8."),
        "verify": ("edge.cli.verify", "Prove that an artifact computes what was trained; exit code 0 is: ship."),
        "doctor": ("edge.cli.doctor", "Why a model does not survive quantization: diseases, evidence, cures."),
        "explain": ("edge.cli.explain", "What a model looks at: attributions of its scores, on an image."),
        "inspect": ("edge.cli.inspect", "Operators, shapes, quantization and counts of a model file."),
        "probe": ("edge.cli.probe", "What a machine is, how it stands, and what would taint a measurement."),
        "bench": ("edge.cli.bench", "Measure latency, with the machine's state."),
        "report": ("edge.cli.report", "Many measurements as one page, table or list."),
        "compare": ("edge.cli.compare", "Whether a change made something slower; exit code 1 is: it did."),
        "camera": ("edge.cli.camera", "Run an artifact on a video, folder or camera and draw the result."),
    }
)


class Verbs(click.Group):
    """A group that knows its commands by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of the flow."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's module. Refuses (UsageError) an unknown verb, with the nearest one."""
        if cmd_name not in VERBS:
            raise UsageError(unknown_name("verb", cmd_name, VERBS))
        command = import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION, prog_name="edge")
def edge() -> None:
    """From a PyTorch vision model to an exact INT8 file on a camera."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; what goes wrong becomes one line on standard error and an exit code (edge/errors.py)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verb = next((word for word in given if word in VERBS), None)
    try:
        _check_words(given)
        # Not click's own `main`, which says and hides things of its own.
        with edge.make_context("edge", given or ["--help"], obj=tuple(given)) as context:
            status = edge.invoke(context)
        flush_output()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as leaving:  # of --help
        return leaving.exit_code
    except BaseException as error:
        problem, code = _told(error, given)
        if code == UNFORESEEN and "--json" in given:
            with suppress(FileError):  # standard output itself may be what fails
                say_json({"row": "error", "error": problem, "exit_code": code})
        tell(f"edge {verb}: {problem}" if verb else f"edge: {problem}")
        return code


def _check_words(given: Sequence[str]) -> None:
    """Refuse (UsageError) names that native runtimes, JSON and records cannot hold."""
    for word in given:
        if "\0" in word:
            raise UsageError(f"'{word}': an argument holds no zero byte")
        if any("\ud800" <= char <= "\udfff" for char in word):
            raise UsageError(f"'{word}': an argument is UTF-8; give the file or folder another name")


def _told(error: BaseException, given: Sequence[str]) -> tuple[str, int]:
    """What went wrong in one line, and the exit code."""
    # Native code makes an error of its own of it; what became of a file is told all the same.
    if interrupts.came() and not isinstance(error, FileError | Interrupted):
        return "interrupted", Interrupted.exit_code
    if isinstance(error, EdgeError):
        return str(error), error_code(error, given)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted", Interrupted.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), UsageError.exit_code
    if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").partition(".")[0]) in EXTRAS:
        whole = EXTRAS[package] == "inspect" and "inspect" not in given  # other verbs that read ONNX files compute too
        return needs(package, "train" if whole else None), EdgeError.exit_code
    if out_of_memory(error):
        return f"needs more memory than there is here{': ' * bool(str(error))}{error}", EdgeError.exit_code
    if isinstance(error, OSError) and _raised_in(error) == "click.utils":  # which prints the help
        failed = _failed_output() or FileError(STANDARD_OUTPUT, f"cannot be written: {error.strerror}")
        return str(failed), failed.exit_code
    return unforeseen_line(error, given), UNFORESEEN


def _raised_in(error: BaseException) -> str:
    """The module whose code raised an error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"])


def _failed_output() -> FileError | None:
    """What standard output still holds is dropped where it cannot be written."""
    try:
        flush_output()
    except FileError as error:
        return error
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the memory does not suffice: Python's own, or what torch or OpenCV make of it."""
    if isinstance(error, RuntimeError):
        return "DefaultCPUAllocator" in str(error) and "memory" in str(error)
    if type(error).__module__ == "cv2":
        return "Insufficient memory" in str(error)
    return isinstance(error, MemoryError)
