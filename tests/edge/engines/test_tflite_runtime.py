"""tflite-runtime in an environment of its own: Python 3.11, numpy < 2, no torch, no LiteRT.

The runtime is in an environment of its own; the product is taken from this tree.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.engines.engine import open_session

pytestmark = pytest.mark.extra

MakeArtifact = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[3]
PHOTOGRAPHS = ("n01440764_tench.JPEG", "n01537544_indigo_bunting.JPEG")

PREDICT = """
import json, sys
import numpy as np
from edge.data.decode import read_image
from edge.predictor.predictor import Predictor
from pathlib import Path

predict = Predictor.load(sys.argv[1])
labels = [predict(read_image(Path(name)), format="rgb").label for name in sys.argv[2:]]
info = predict.info
print(json.dumps({"labels": labels, "engine": info.engine, "version": info.version, "kernels": info.kernels,
                  "delegated": info.delegated_operators, "numpy": np.__version__, "torch": "torch" in sys.modules}))
"""


@pytest.fixture
def artifact(make_artifact: MakeArtifact, test_data: Path) -> Path:
    """Google's MobileNetV1 0.25 at 224 pixels, uint8, as an artifact; answers expected: LiteRT's reference kernels'."""
    pytest.importorskip("ai_edge_litert", reason="the litert engine makes the expected outputs")
    model = test_data / "models" / "mobilenet_v1_0.25_224_quant.tflite"
    session = open_session("litert", model, kernels="reference")
    given, output = session.inputs[0], session.outputs[0]
    fields = {
        "model": model.read_bytes(),
        "size_hw": (224, 224),
        "input": {"name": given.name, "dtype": "uint8", "scale": given.scale, "zero_point": given.zero_point},
        "output": {"name": output.name, "scale": output.scale, "zero_point": output.zero_point},
        "labels": {"names": (test_data / "models" / "imagenet_1001_labels.txt").read_text().splitlines()},
        "preprocess": {
            "colour_order": "rgb",
            "height": 224,
            "width": 224,
            "interpolation": "bilinear",
            "fit": "crop",
            "crop_fraction": 0.875,
            "mean": (128.0,) * 3,  # zero point 128 and scale 1 / 128: the pixels as they are
            "std": (128.0,) * 3,
        },
    }
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)  # those of make_artifact
    outputs = np.concatenate([session.run([images[index : index + 1]])[0] for index in range(2)])
    return make_artifact("mobilenet", outputs=(outputs,), **fields)


def run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120, check=False
    )


def edge(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from edge.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return run(python, "-c", code, *arguments)


@pytest.mark.data
def test_the_predictor_takes_tflite_runtime_and_recognizes_photographs(
    tflite_runtime_python: str, artifact: Path, test_data: Path
) -> None:
    photographs = [str(test_data / "imagenet_samples" / "dev" / name) for name in PHOTOGRAPHS]
    done = run(tflite_runtime_python, "-c", PREDICT, str(artifact), *photographs)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["labels"] == ["tench, Tinca tinca", "indigo bunting, indigo finch, indigo bird, Passerina cyanea"]
    assert (told["engine"], told["version"], told["kernels"]) == ("tflite-runtime", "2.14.0", "builtin")
    assert told["numpy"].startswith("1.") and not told["torch"] and told["delegated"] == 0


@pytest.mark.data
def test_the_camera_runs_there(tflite_runtime_python: str, artifact: Path, test_data: Path, tmp_path: Path) -> None:
    picture = str(test_data / "imagenet_samples" / "dev" / PHOTOGRAPHS[0])
    out = tmp_path / "out"
    done = edge(tflite_runtime_python, "camera", str(artifact), "--source", picture, "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    frame, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert frame["classes"][0]["name"] == "tench, Tinca tinca"
    assert summary["engine"]["engine"] == "tflite-runtime"
    assert [path.name for path in out.glob("*.png")] == [Path(PHOTOGRAPHS[0]).stem + ".png"]


@pytest.mark.data
def test_the_bench_runs_there_after_its_self_test(tflite_runtime_python: str, artifact: Path) -> None:
    quick = ["--rounds", "2", "--min-runs", "4", "--min-seconds", "0", "--warmup-runs", "1", "--warmup-seconds", "0"]
    done = edge(tflite_runtime_python, "bench", str(artifact), "--json", *quick)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["engine"]["engine"] == "tflite-runtime"
    assert record["versions"]["tflite-runtime"] == "2.14.0"
    assert record["selftest"]["samples"] == 2
    assert len(record["samples_ns"]) == 4


@pytest.mark.data
def test_kernels_that_this_runtime_does_not_apply_are_refused(tflite_runtime_python: str, artifact: Path) -> None:
    done = edge(tflite_runtime_python, "bench", str(artifact), "--kernels", "xnnpack")
    assert done.returncode == 1
    assert "XNNPACK took none of 31 operators here" in done.stderr and len(done.stderr.splitlines()) == 1
