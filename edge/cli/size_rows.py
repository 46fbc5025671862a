"""What a checkpoint is at one input size, float and INT8: made, verified and measured, for `edge sizes`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_bench.bench.bench import bench
from device_bench.records.record import Record
from device_bench.targets.local import LocalTarget
from edge.artifact.manifest import Artifact
from edge.cli.latency import SHORT_PLAN
from edge.data.splits import Split

if TYPE_CHECKING:
    from converters.convert.calibration import Calibration
    from edge.training.checkpoint import Checkpoint
    from edge.verification.verify import Report

ENGINE = "litert"
FILE = "model.tflite"
SizeHw = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SizeRow:
    """One artifact of a checkpoint at one size.

    Attributes:
        precision: of the artifact. artifact: its folder is open.
        metric, value: on the split, in [0, 1]; a float row's is the float network's in PyTorch.
        boundary: Boundary IoU in [0, 1]; None of a classifier.
        agreement: share of decisions as the float network's at the same size; None of a float row.
        values, differing: of an INT8 file's outputs, against the integer simulation; None of a float row.
        record: its latency; None where it was not measured.
    """

    size_hw: SizeHw
    artifact: Artifact
    metric: str
    value: float
    boundary: float | None
    agreement: float | None = None
    values: int | None = None
    differing: int | None = None
    record: Record | None = None

    @property
    def precision(self) -> str:
        """float32, int8 or int16x8."""
        return self.artifact.manifest.precision

    @property
    def size_bytes(self) -> int:
        """Of the TFLite file."""
        return self.artifact.model_file(FILE).size_bytes


def rows_of_size(
    checkpoint: "Checkpoint",
    source: Path,
    size_hw: SizeHw,
    folder: Path,
    split: Split,
    calibration: "Callable[[], Calibration]",
    advance: Callable[[int], None],
) -> list[SizeRow]:
    """Make the artifacts of one size and verify them: the float row, where there is a float checkpoint, and INT8's.

    Args:
        checkpoint: what `source` holds, at its own size. folder: where the artifacts are written, `HxW_float` and
            `HxW_int8`.
        calibration: the images for ranges; not asked for where a QAT checkpoint has its own.
    """
    from converters.convert.convert import convert_source, find_parent
    from converters.convert.options import ConvertOptions
    from converters.convert.quantize import quantize_source
    from edge.verification.checks.runtimes import RuntimeChoice
    from edge.verification.verify import Request, verify

    name = "x".join(str(side) for side in size_hw)
    own = checkpoint.recipe.preprocess
    options = ConvertOptions(input_size_hw=size_hw)
    parent = find_parent(checkpoint, source)
    if checkpoint.kind == "float":
        int8 = quantize_source(source, folder / f"{name}_int8", calibration(), options)
    else:
        observed = None if (own.height, own.width) == size_hw else calibration()
        int8 = convert_source(source, folder / f"{name}_int8", replace(options, calibration=observed))
    request = Request(split=split, runtimes=RuntimeChoice(engines=(ENGINE,)), operator_samples=0)
    report = verify(int8, request, advance)
    accuracy, boundary = _found(report, "accuracy"), _found(report, "boundary")
    compared = _found(report, "end to end")
    rows = []
    if parent is not None:
        rows.append(
            SizeRow(
                size_hw=size_hw,
                artifact=convert_source(parent, folder / f"{name}_float", options),
                metric=accuracy["metric"],
                value=accuracy["parent_value"],
                boundary=boundary.get("parent_value"),
            )
        )
    rows.append(
        SizeRow(
            size_hw=size_hw,
            artifact=int8,
            metric=accuracy["metric"],
            value=accuracy["value"],
            boundary=boundary.get("value"),
            agreement=accuracy["parent_agreement"],
            values=compared["values"],
            differing=compared["differing"],
        )
    )
    return rows


def with_latency(rows: Sequence[SizeRow], command: str) -> list[SizeRow]:
    """The same rows, every artifact measured in turn in one job on this machine, one thread."""
    records = bench([row.artifact for row in rows], (ENGINE,), SHORT_PLAN, LocalTarget(), command=command)
    return [replace(row, record=record) for row, record in zip(rows, records, strict=True)]


def _found(report: "Report", check: str) -> dict[str, Any]:
    """The data of a check's finding about the TFLite file; empty where there is none."""
    return next(
        (
            finding.data
            for finding in report.verdict.findings
            if finding.check == check and finding.subject.startswith(FILE)
        ),
        {},
    )
