"""Images that a training and what it is validated on have in common."""

from pathlib import Path

from edge.data.splits import Split, content_hashes
from edge.errors import first_of


def overlap_notes(training: Split, val: Split | None) -> list[str]:
    """A line that names the images to validate on that are trained on as well; none where there are none.

    Files are compared by their bytes; drawn images are not looked at.
    """
    if val is None:
        return []
    trained = {content_hashes(sample)[0] for sample in training.samples if isinstance(sample.image, Path)}
    both = [s.name for s in val.samples if isinstance(s.image, Path) and content_hashes(s)[0] in trained]
    if not both:
        return []
    count = f"{len(both)} of {len(val)} images to validate on are trained on as well"
    return [f"{count}, so that the accuracy on them says too much: {first_of(both)}"]
