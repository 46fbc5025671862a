"""What a killed process left is swept by the next one; what somebody still writes, or what is not ours, never is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.files.atomic import replacing, replacing_folder, write_bytes
from edge.files.leftovers import OLD_PREFIX, PREFIX, made_folder, sweep, temporary_folder

ROOT = Path(__file__).resolve().parents[3]


def killed(code: str, folder: Path) -> None:
    """Run code that kills itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    imports = (
        "import os\nfrom pathlib import Path\nfrom edge.files.atomic import *\nfrom edge.files.leftovers import *\n"
    )
    done = subprocess.run([sys.executable, "-c", imports + code], cwd=folder, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "code",
    [
        "with replacing('a.bin') as path:\n path.write_bytes(b'half')\n os.kill(os.getpid(), 9)",
        "with replacing_folder('a') as path:\n (path / 'x').write_bytes(b'half')\n os.kill(os.getpid(), 9)",
        "with temporary_folder() as path:\n (path / 'x').write_bytes(b'half')\n os.kill(os.getpid(), 9)",
    ],
)
def test_the_next_write_sweeps_what_a_killed_one_left(tmp_path: Path, code: str) -> None:
    """A file, a folder, a temporary folder; a write in the same folder leaves its own file only."""
    killed(code, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    write_bytes(tmp_path / "b.bin", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["b.bin"]


def test_what_is_being_written_is_not_swept(tmp_path: Path) -> None:
    """A file, a folder and a temporary folder, each while it is open."""
    a, b = tmp_path / "a", tmp_path / "b"
    with replacing(a) as file, replacing_folder(b) as folder, temporary_folder(tmp_path) as temporary:
        sweep(tmp_path)
        assert file.is_file() and folder.is_dir() and temporary.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_not_ours_is_not_swept(tmp_path: Path) -> None:
    """Another name, a link of our name, a pipe of our name."""
    (tmp_path / f"{PREFIX}notes").write_text("mine")
    (tmp_path / "precious").mkdir()
    (tmp_path / f"{PREFIX}{'0' * 16}").symlink_to("precious")
    os.mkfifo(tmp_path / f"{PREFIX}{'1' * 16}")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_was_moved_away_is_put_back(tmp_path: Path) -> None:
    """Of a process killed between its two renames; where the name is taken meanwhile, both stay."""
    for name in ("art", "taken"):
        holder, descriptor = made_folder(tmp_path, 0o700, OLD_PREFIX)
        (holder / name).mkdir()
        (holder / name / "old").write_text(name)
        os.close(descriptor)
    (tmp_path / "taken").mkdir()
    sweep(tmp_path)
    assert (tmp_path / "art" / "old").read_text() == "art"
    assert [path.read_text() for path in tmp_path.glob(f"{OLD_PREFIX}*/taken/old")] == ["taken"]


EVERY_EVENT = """
import sys
seen = 0
def hook(event, given):
    global seen
    if event.startswith(("os.", "ctypes.dlsym")) or (event == "open" and ".edge" in str(given[0])):
        seen += 1
        if seen == {point}:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
{write}
print(seen)
"""


@pytest.mark.unhurried
@pytest.mark.parametrize(
    ("write", "name"),
    [
        ("write_bytes('target', b'new')", "target"),
        ("with replacing_folder('target') as path:\n put(path / 'x', b'new')", "target/x"),
    ],
)
def test_at_every_event_of_a_write_the_target_is_whole(tmp_path: Path, write: str, name: str) -> None:
    """Killed at each in turn: the old or the new content stands, and the next write leaves nothing of ours."""
    content = tmp_path / name
    content.parent.mkdir(exist_ok=True)
    content.write_text("old")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}

    def run(point: int) -> "subprocess.CompletedProcess[str]":
        code = "import os\nfrom edge.files.atomic import *\n" + EVERY_EVENT.format(point=point, write=write)
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    events = int(run(0).stdout)
    assert events > 5
    content.write_text("old")
    for point in range(1, events + 1):
        assert run(point).returncode in (-signal.SIGKILL, 0)  # 0: fewer events without a leftover to sweep
        assert content.read_text().strip() in ("old", "new")
    assert run(0).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
