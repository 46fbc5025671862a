"""Verification ships a sound artifact and names what is wrong with a spoilt one."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from converters.onnx.file import onnx_bytes
from edge.artifact.manifest import MANIFEST_NAME, Artifact, open_artifact
from edge.artifact.thresholds import Limits
from edge.artifact.verdict import Finding
from edge.cli.main import main
from edge.data.splits import Split
from edge.errors import UsageError
from edge.graph.graph import Tensor, per_tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.verification.checks.images import choose_images
from edge.verification.checks.parameters import tensor_problems
from edge.verification.checks.runtimes import RuntimeChoice, open_runtimes
from edge.verification.checks.subject import open_subject
from edge.verification.record import record
from edge.verification.verify import Report, Request, verify
from tests.support.replaced_file import replaced, with_bias_moved

pytestmark = pytest.mark.unhurried  # whole verifications

Make = Callable[[str, str], Artifact]
FLOAT_CHECKS = {
    "classify": {"self-test", "end to end", "chance", "accuracy"},
    "segment": {"self-test", "end to end", "chance", "accuracy", "boundary"},
}


def but_for_chance(report: Report) -> list[Finding]:
    """What casts doubt on shipping, but that these networks, which nobody trained, know nothing."""
    return [finding for finding in report.verdict.faults if finding.check != "chance"]


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_a_sound_int8_artifact_ships(make: Make, splits: dict[str, Split], task: str) -> None:
    """Same parameters; 0 values differ in LiteRT; every operator exact there, and within 1 in ONNX Runtime."""
    report = verify(make(task, "int8"), Request(split=splits[task], limits=Limits(accuracy_floor=0.0)))
    by_check = {
        check: [finding for finding in report.verdict.findings if finding.check == check]
        for check in ("parameters", "end to end", "operators", "accuracy")
    }
    assert but_for_chance(report) == [], report.verdict.sentence
    assert [finding.passed for finding in by_check["parameters"]] == [True, True]
    litert = by_check["end to end"][0]
    assert litert.data["differing"] == 0 and litert.data["values"] > 0 and litert.data["images"] == 8
    assert litert.data["delegated_operators"] > 0
    assert by_check["operators"][0].data["largest_quanta"] == 0
    assert by_check["operators"][1].data["largest_quanta"] <= 1
    assert by_check["operators"][0].data["operators"] == len(report.operators["model.tflite in litert"])
    assert not by_check["operators"][1].data["operators_skipped"]
    values = {finding.subject: finding.data["value"] for finding in by_check["accuracy"]}
    assert values["integer simulation"] == values["model.tflite in litert"]


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_a_sound_float_artifact_ships(make: Make, splits: dict[str, Split], task: str) -> None:
    """Within the stated tolerance of the float run, with the parent's accuracy."""
    report = verify(make(task, "float32"), Request(split=splits[task], samples=3))
    assert but_for_chance(report) == [], report.verdict.sentence
    assert {finding.check for finding in report.verdict.findings} == FLOAT_CHECKS[task]
    assert report.fidelity == ()
    assert report.images == 3


def test_fewer_images_than_asked_for_is_said(make: Make, splits: dict[str, Split]) -> None:
    """50 of 8."""
    images = choose_images(make("classify", "int8"), splits["classify"], 50)
    assert images.count == 8 and images.wording.endswith("(50 were asked for)")
    assert "asked" not in choose_images(make("classify", "int8"), splits["classify"], 3).wording


def test_without_data_the_selftest_is_used_and_said(make: Make) -> None:
    """No labels, so no accuracy; decisions are still compared with the parent's."""
    report = verify(make("classify", "int8"), Request())
    assert report.origin == "the artifact's self-test"
    assert report.images == 2
    assert report.accuracy == ()
    agreements = [finding for finding in report.verdict.findings if finding.check == "accuracy"]
    assert agreements and all(finding.passed is None for finding in agreements)


def test_a_file_with_other_integers_does_not_ship(make: Make, tmp_path: Path) -> None:
    """The tensor is named, and the outputs differ."""
    good = make("classify", "int8")
    spoilt = onnx_bytes(with_bias_moved(read_onnx(good.file("source.onnx")), 3000))
    report = verify(replaced(good, tmp_path / "spoilt", "source.onnx", spoilt), Request())
    assert not report.verdict.ship
    assert report.verdict.faults[0].check == "parameters"
    assert "bias" in report.verdict.faults[0].detail
    at_fault = report.verdict.at_fault[0]
    assert (at_fault.check, at_fault.kind) == ("parameters", "Conv") and "bias" in at_fault.reason
    assert any(finding.check == "end to end" for finding in report.verdict.faults)


def test_decisions_unlike_the_parents_do_not_ship(make: Make, splits: dict[str, Split]) -> None:
    """More agreement is asked for than there can be; simulation, LiteRT and ONNX Runtime are judged."""
    limits = Limits(accuracy_floor=0.0, agreement_floor=1.01)
    report = verify(make("classify", "int8"), Request(split=splits["classify"], limits=limits))
    assert [finding.check for finding in but_for_chance(report)] == ["agreement"] * 3


def test_boundaries_unlike_the_parents_do_not_ship(make: Make, splits: dict[str, Split]) -> None:
    """More is asked for than there can be; the figures are those of the class maps."""
    limits = Limits(accuracy_floor=0.0, boundary_floor=2.0)
    report = verify(make("segment", "int8"), Request(split=splits["segment"], limits=limits))
    assert [finding.check for finding in but_for_chance(report)] == ["boundary"] * 3
    simulation, litert, _ = (finding for finding in report.verdict.findings if finding.check == "boundary")
    assert simulation.data == litert.data and simulation.detail.endswith("of the parent's kept, at least 200.00% asked")
    agreement = next(finding.data for finding in report.verdict.findings if finding.check == "accuracy")
    assert litert.data["changed_share"] == pytest.approx(1 - agreement["parent_agreement"])
    assert 0 < litert.data["parent_boundary_iou"] <= litert.data["parent_iou"] < 1
    near = litert.data["changed_within_px"]
    assert 0 < near["1"] <= near["2"] <= near["4"] <= 1 and near["1"] > litert.data["pixels_within_px"]["1"]


def test_a_boundary_floor_that_can_be_kept_ships(make: Make, splits: dict[str, Split]) -> None:
    """A float artifact has its parent's boundaries; without labels their likeness is a fact."""
    limits = Limits(boundary_floor=1.0)
    report = verify(make("segment", "float32"), Request(split=splits["segment"], samples=2, limits=limits))
    judged = [finding for finding in report.verdict.findings if finding.check == "boundary"]
    assert judged and all(finding.passed for finding in judged)
    report = verify(make("segment", "int8"), Request(limits=limits, operator_samples=0))
    noted = [finding for finding in report.verdict.findings if finding.check == "boundary"]
    assert noted and all(finding.passed is None for finding in noted)
    assert noted[0].data["value"] is None and noted[0].detail.startswith("areas ")


def test_a_boundary_floor_of_a_classifier_is_refused(make: Make, splits: dict[str, Split]) -> None:
    limits = Limits(boundary_floor=0.9, origins={"boundary_floor": "recipe"})
    with pytest.raises(UsageError, match=r"\[verdict\] boundary_floor is for segmenters"):
        verify(make("classify", "int8"), Request(split=splits["classify"], limits=limits))


def test_kernels_that_are_not_exact_are_held_to_one_quantum_per_operator(make: Make) -> None:
    """The reference kernels: end to end noted, per operator at most 1."""
    report = verify(make("classify", "int8"), Request(runtimes=RuntimeChoice(engines=("litert",), kernels="reference")))
    kinds = {finding.check: finding for finding in report.verdict.findings}
    assert kinds["end to end"].passed is None
    assert kinds["operators"].data["allowed_quanta"] == 1
    assert kinds["operators"].passed is True


@pytest.mark.parametrize(("task", "metrics"), [("classify", ["top1"]), ("segment", ["miou", "boundary_miou"])])
def test_the_figures_go_into_the_manifest_once(
    make: Make, splits: dict[str, Split], tmp_path: Path, task: str, metrics: list[str]
) -> None:
    """Recorded twice, every subject and metric stands there once; the artifact still opens."""
    copy = tmp_path / "copy"
    shutil.copytree(make(task, "int8").folder, copy)
    for _ in range(2):
        artifact = open_artifact(copy)
        parent = make(task, "float32").folder
        record(artifact, verify(artifact, Request(split=splits[task], parent=parent)))
    manifest = open_artifact(copy).manifest
    assert next((entry.engine, entry.differing) for entry in manifest.fidelity) == ("litert", 0)
    assert len(manifest.fidelity) == 2
    # Simulation, LiteRT, ONNX Runtime, parent.
    assert [entry.metric for entry in manifest.accuracy] == [metric for metric in metrics for _ in range(4)]


def test_a_stripped_artifact_is_held_against_its_own_file(make: Make, tmp_path: Path) -> None:
    """Without source.onnx and model.onnx, LiteRT is still compared with the simulation of model.tflite."""
    copy = tmp_path / "stripped"
    shutil.copytree(make("classify", "int8").folder, copy)
    manifest = json.loads((copy / MANIFEST_NAME).read_text())
    manifest["files"] = [file for file in manifest["files"] if file["format"] == "tflite"]
    manifest["provenance"]["parent_path"] = None
    (copy / MANIFEST_NAME).write_text(json.dumps(manifest))
    report = verify(open_artifact(copy), Request())
    assert report.verdict.ship
    assert {finding.check for finding in report.verdict.findings} == {"self-test", "end to end", "operators"}


def test_a_parent_that_changed_is_refused(make: Make, tmp_path: Path) -> None:
    """Its hash is in the provenance."""
    good = make("classify", "int8")
    root = tmp_path / "moved"
    shutil.copytree(good.folder, root / good.folder.name)
    (root / "classify.onnx").write_bytes(b"other")
    with pytest.raises(UsageError, match="has changed"):
        verify(open_artifact(root / good.folder.name), Request())


@pytest.mark.parametrize(
    ("parent", "problem"),
    [
        ("int8", "must be float"),
        ("segment", "preprocesses images otherwise than the artifact, height .* and not "),
        ("missing.txt", "artifact folder, a checkpoint"),
    ],
)
def test_an_unfit_parent_is_refused(make: Make, parent: str, problem: str) -> None:
    """An INT8 artifact, another preprocessing, something else."""
    named = {
        "int8": make("classify", "int8").folder,
        "segment": make("segment", "float32").folder,
    }.get(parent, Path(parent))
    with pytest.raises(UsageError, match=problem):
        verify(make("classify", "int8"), Request(parent=named))


def test_an_engine_that_cannot_take_part_is_refused(make: Make) -> None:
    """The null engine computes nothing."""
    artifact = make("classify", "int8")
    choice = RuntimeChoice(engines=("null",))
    with ExitStack() as stack, pytest.raises(UsageError, match="--engine null"):
        open_runtimes(open_subject(artifact), choose_images(artifact, None, None), choice, stack)


def test_a_scale_that_differs_by_one_ulp_is_a_problem() -> None:
    """Bit for bit."""
    scale = np.float32(0.1)
    first = Tensor(name="x", shape=(1,), dtype="int8", quantization=per_tensor(scale, 0))
    same = Tensor(name="x", shape=(1,), dtype="uint8", quantization=per_tensor(scale, 128))
    other = Tensor(name="x", shape=(1,), dtype="int8", quantization=per_tensor(np.nextafter(scale, np.float32(1)), 0))
    assert list(tensor_problems(first, same)) == []
    assert "scale" in next(tensor_problems(first, other))


def test_the_verb_prints_findings_and_exits_with_the_verdict(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """0 ships; JSON lines end with the verdict; a table for people; 2 for a wrong request."""
    folder = str(make("classify", "int8").folder)
    assert main(["verify", folder, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["ship"] is True and lines[-1]["images"] == 2
    assert {line["check"] for line in lines[:-1]} == {
        *("self-test", "parameters", "end to end", "operators", "accuracy")
    }
    assert main(["verify", folder, "--operator-samples", "0"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "ship (accuracy not judged: no labelled images were given)"
    assert main(["verify", folder, "--engine", "nul"]) == 2
    assert main(["verify", folder + "-not-there"]) == 2


def test_a_trained_artifact_finds_its_float_checkpoint(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the provenance; its decisions are compared with the parent's."""
    assert main(["verify", str(road / "int8"), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["parent"].endswith("float.safetensors")
    assert any(line.get("parent_agreement") is not None for line in lines)
