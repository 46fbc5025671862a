"""The scripts of a folder of fault reports, run one by one, each with what its output must say.

The scripts are not kept here: `python tests/cases/run.py --reports FOLDER` names their folder. Each prints what it saw;
a refusal of ours that a script does not catch ends it with the error's name, which is an answer too.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.cases.ended import edge

REFUSED = re.compile(r"^edge\.errors\.\w+: (.+)$", re.MULTILINE)
ENVIRONMENT_BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Report:
    """A script, its arguments ({W}: the working folder, {EDGE}: the command), and what its output must be."""

    script: str
    arguments: tuple[str, ...] = ()
    judge: Callable[[str], None]


def working_folder(reports: Path, folder: Path) -> None:
    """Make what the scripts take: small ONNX files, a card, pictures, and `cls`, an artifact of a classifier."""
    subprocess.run([sys.executable, str(reports / "f03_elided_transpose.py"), str(folder)], check=True)
    rng = np.random.default_rng(1)
    constants = {"w": rng.standard_normal((8, 3, 3, 3)), "v": rng.standard_normal((4, 8))}
    nodes = [
        helper.make_node("Conv", ["in", "w"], ["x"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("GlobalAveragePool", ["y"], ["p"]),
        helper.make_node("Flatten", ["p"], ["q"]),
        helper.make_node("Gemm", ["q", "v"], ["o"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("in", 1, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("o", 1, [1, 4])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "cls.onnx")
    (folder / "cls.toml").write_text((folder / "card.toml").read_text().replace('"segment"', '"classify"'))
    words = ("--card", folder / "cls.toml", "--images", folder / "pics", "-o", folder / "cls", "--no-verify")
    edge("quantize", folder / "cls.onnx", *words).done()


def run_script(report: Report, reports: Path, folder: Path) -> str:
    """Run one script in the folder of the scripts. Returns what it printed."""
    words = [word.format(W=folder, EDGE=ENVIRONMENT_BIN / "edge") for word in report.arguments]
    program = "bash" if report.script.endswith(".sh") else sys.executable
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{ENVIRONMENT_BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, report.script, *words],
        cwd=reports,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=900,
        check=False,
    )
    return done.stdout


def _refused(printed: str) -> bool:
    return bool(REFUSED.search(printed.strip().splitlines()[-1] if printed.strip() else ""))


def _every(pattern: str, count: int) -> Callable[[str], None]:
    """The pattern must be found that many times, unless a refusal of ours ended the script."""

    def judge(printed: str) -> None:
        found = len(re.findall(pattern, printed))
        assert found == count or _refused(printed), f"{found} of {count} times: {pattern}"

    return judge


def _in_place(printed: str) -> None:
    off = [float(value) for value in re.findall(r"largest difference ([\d.]+)", printed)]
    assert all(value < 1e-3 for value in off) and (len(off) == 3 or _refused(printed)), off


def _elided(printed: str) -> None:
    """Three ship. The fourth joins probabilities to raw values: the card has to say what its scores are."""
    *transposes, joined = re.split(r"(?m)^== edge quantize ", printed)[1:]
    assert len(transposes) == 3 and all(re.search(r"(?m)^exit 0", part) for part in transposes), transposes
    assert re.search(r"(?m)^exit 0", joined) or "say values = 'logits' or 'probabilities'" in joined, joined


def _hooked(printed: str) -> None:
    lines = [line for line in printed.splitlines() if re.match(r"(weight_norm|pruned|spectral_norm)", line)]
    assert len(lines) == 4, f"{len(lines)} lines"
    for line in lines:
        trained = re.search(r"changed by ([\d.]+)", line)
        refused = re.search(r": (Unsupported|Usage)Error: ", line)
        assert refused or (trained and float(trained[1]) > 0), line


def _nearest(printed: str) -> None:
    blocks = re.split(r"(?=^\d+ pixels by )", printed, flags=re.MULTILINE)[1:]
    assert len(blocks) == 6, f"{len(blocks)} sizes"
    for block in blocks:
        rows = {name: re.search(rf"{name} +(\[.*\])", block) for name in ("PyTorch", "ORT", "ours")}
        refused = re.search(r"exit [12],", block)
        same = all(rows.values()) and len({row[1] for row in rows.values() if row}) == 1
        assert refused or same, block


def _average_pool(printed: str) -> None:
    lines = dict(re.findall(r"count_include_pad=(True|False): (.*)", printed))
    done = [name for name, line in lines.items() if line.endswith("frozen;")]
    advised = re.findall(r"use count_include_pad=(True|False)", " ".join(lines.values()))
    assert len(lines) == 2 and set(advised) <= set(done), lines


def _distributed(printed: str) -> None:
    found = re.findall(r"ranges differ between ranks by ([\d.]+), weights by ([\d.e+-]+)", printed)
    assert len(found) == 4, f"{len(found)} of 4 runs"
    assert all(float(ranges) == 0 and float(weights) == 0 for ranges, weights in found), found
    assert all(re.search(r"Error", line) for line in re.findall(r"freeze\(ddp\): .*", printed)), printed


def _numeric_names(printed: str) -> None:
    found = dict(re.findall(r'^(\w+): "top1": ([\d.]+)', printed, re.MULTILINE))
    assert found == {"words": "1.0", "one": "1.0", "folders": "1.0"}, found


def _film(printed: str) -> None:
    for name, exact in (("a.mp4", 60), ("hole.mp4", None), ("half.avi", None)):
        line = next(line for line in printed.splitlines() if f"edge camera {name}" in line)
        found = re.search(r"exit (\d+), .*\"frames\": (\d+), said by edge: '(.*)'", line)
        assert found, line
        if exact is not None:
            assert (found[1], int(found[2])) == ("0", exact), line
        else:
            assert found[1] == "1" and re.search(r"\d+ of \d+|60", found[3]), line
    assert int(re.search(r'hole\.mp4.*"frames": (\d+)', printed)[1]) >= 50, "the film was left at its damaged place"  # type: ignore[index]


def _marks(printed: str) -> None:
    assert "class name 0" not in printed and "is not TOML" not in printed, printed
    assert "do not ship" not in printed and "the same file as --classes" in printed, printed


def _ratios(printed: str) -> None:
    cells = [cell for line in printed.splitlines() if line.startswith("ratio ") for cell in line.split("| ")[1:]]
    assert len(cells) == 70, f"{len(cells)} cells"
    wrong = [cell for cell in cells if "refused: " not in cell and not re.search(r" 0 of \d+", cell)]
    assert not wrong, wrong


REPORTS: Mapping[str, Report] = MappingProxyType(
    {
        "in-place operations": Report(script="f01_inplace_alias.py", judge=_in_place),
        "threads": Report(
            script="f02_threads.py", arguments=("{W}/cls",), judge=_every("6000 predictions: 0 errors, 0 wrong", 1)
        ),
        "elided transposes, joined sigmoids": Report(script="f03_f04.sh", judge=_elided),
        "constant output": Report(script="f05.sh", judge=_every(r"exit 0", 1)),
        "BatchNorm1d": Report(script="f06_batch_norm_1d.py", judge=_every(r"accepted; tensor", 2)),
        "names of modules": Report(script="f07_names_of_modules.py", judge=_every(r"(Attention|Argument) ok", 2)),
        "generated names": Report(
            script="f08_generated_names.py", arguments=("{W}", "{EDGE}"), judge=_every(r"': exit 0:", 3)
        ),
        "hooked weights": Report(script="f09_hooked_weights.py", judge=_hooked),
        "nearest resize": Report(script="f10_nearest.py", arguments=("{W}", "{EDGE}"), judge=_nearest),
        "numeric class names": Report(script="f11_numeric_names.sh", judge=_numeric_names),
        "damaged film": Report(script="f12_video.sh", arguments=("{W}/cls",), judge=_film),
        "byte order marks": Report(script="f13_bom.sh", judge=_marks),
        "padded average pooling": Report(script="f14_avg_pool.py", arguments=("{W}", "{EDGE}"), judge=_average_pool),
        "two names of one output": Report(
            script="f15_output_names.py",
            arguments=("{W}", "{EDGE}"),
            judge=_every(r"runner: \['a', 'b'\]|runner: \['b', 'a'\]", 1),
        ),
        "no frame": Report(script="f16_none_frame.py", arguments=("{W}/cls",), judge=_every(r"(?m)^UsageError ", 1)),
        "scale ratios": Report(script="../files/ratios.py", judge=_ratios),
        "softmax rows": Report(script="../files/softmax_rates.py", judge=_every(r"simulation differs in 0 of ", 8)),
        "distributed ranges": Report(script="f17_ddp.py", judge=_distributed),
    }
)
