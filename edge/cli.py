"""The verb table. A verb's module is imported only when the verb is called."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import click

from edge.errors import EdgeError, FileError, UsageError, one_line, unknown_name

# verb -> (module, one line for `edge --help`). Each module has a click command named `command`.
VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "models": ("edge.verbs.models", "List the networks with parameters and multiply-adds."),
        "train": ("edge.verbs.train", "Train a recipe: a float phase, then quantization-aware training."),
        "eval": ("edge.verbs.eval", "Accuracy of a checkpoint or artifact on a split."),
        "quantize": ("edge.verbs.quantize", "Quantize a trained model after training, from calibration images."),
        "convert": ("edge.verbs.convert", "Turn a checkpoint or an ONNX file into an artifact."),
        "verify": ("edge.verbs.verify", "Prove that an artifact computes what was trained; exit code 0 is: ship."),
        "inspect": ("edge.verbs.inspect", "Operators, shapes, quantization and counts of a model file."),
        "probe": ("edge.verbs.probe", "What a machine is, how it stands, and what would taint a measurement."),
        "bench": ("edge.verbs.bench", "Measure latency, with the machine's state."),
        "report": ("edge.verbs.report", "Many measurements as one page, table or list."),
        "compare": ("edge.verbs.compare", "Whether a change made something slower; exit code 1 is: it did."),
        "camera": ("edge.verbs.camera", "Run an artifact on a video, folder or camera and draw the result."),
    }
)

# package that is not in the light part -> the extra that brings it
EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "ai_edge_litert": "litert",
        "duckdb": "report",
        "flatbuffers": "convert",
        "jinja2": "report",
        "onnx": "convert",
        "onnxruntime": "onnxruntime",
        "safetensors": "train",
        "tflite_runtime": "tflite-runtime",
        "torch": "train",
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
@click.version_option(package_name="edge-deploy", prog_name="edge")
def edge() -> None:
    """From a PyTorch vision model to an exact INT8 file on a camera."""


def _names_what_is_not_there(error: EdgeError, given: Sequence[str]) -> bool:
    """Whether a path of the command line is missing: asked wrongly, whichever verb finds it out and how."""
    words = {str(Path(part)) for word in given for part in (word, word.partition("=")[2]) if part}
    if not isinstance(error, FileError) or str(Path(error.path)) not in words:
        return False
    return "no such" in error.problem.lower() and not Path(error.path).exists()


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that the memory does not suffice: Python's own, or what torch raises in its place."""
    told = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in told and "memory" in told
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors become one line on standard error and an exit code (0, 1 or 2)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verb = next((word for word in given if word in VERBS), None)
    prefix = f"edge {verb}" if verb else "edge"
    try:
        status = edge.main(args=given, prog_name="edge", standalone_mode=False)
    except EdgeError as error:
        click.echo(f"{prefix}: {one_line(str(error))}", err=True)
        return UsageError.exit_code if _names_what_is_not_there(error, given) else error.exit_code
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        click.echo(f"{prefix}: needs the package {package}: pip install 'edge-deploy[{EXTRAS[package]}]'", err=True)
        return EdgeError.exit_code
    except click.ClickException as error:
        click.echo(f"{prefix}: {one_line(error.format_message())}", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{prefix}: interrupted", err=True)
        return 130
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        click.echo(f"{prefix}: needs more memory than there is here: {one_line(str(error))}", err=True)
        return EdgeError.exit_code
    return status if isinstance(status, int) else 0


def run() -> None:
    """Entry point of the `edge` command."""
    sys.exit(main())
