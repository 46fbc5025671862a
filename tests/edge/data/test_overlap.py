"""Images that are trained on and validated on are named."""

from pathlib import Path

from edge.data.overlap import overlap_notes
from edge.data.splits import Sample, Split


def split(folder: Path, **content: bytes) -> Split:
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    samples = tuple(Sample(name=name, image=folder / name, target=0) for name in content)
    return Split(samples=samples, task="classify", classes=("a", "b"))


def test_images_of_the_same_bytes_are_named(tmp_path: Path) -> None:
    training = split(tmp_path / "training", x=b"1", y=b"2")
    val = split(tmp_path / "val", p=b"3", q=b"2")
    assert overlap_notes(training, None) == [] == overlap_notes(training, split(tmp_path / "other", p=b"3"))
    (note,) = overlap_notes(training, val)
    assert note.startswith("1 of 2 images to validate on are trained on as well") and note.endswith(": q")
