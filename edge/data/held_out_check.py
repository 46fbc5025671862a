"""Whether what is held out of a folder is still what a run held out: images that come or go move the line."""

import json
from pathlib import Path

from edge.data.splits import Split
from edge.errors import DataError, UsageError
from edge.files.bounded_file import is_file, read_text

MOST_BYTES = 64 * 1024**2


def require_as_held_out(split: Split, sha256: str | None, run: Path) -> None:
    """Refuse (UsageError) another part than the one that a run validated on: this one may have been trained on.

    Args:
        split: what would be held out now.
        sha256: the hash of what was; None: nobody knows, and nothing is refused.
        run: what was trained, for the message.
    """
    if sha256 is not None and split.sha256 != sha256:
        raise UsageError(
            f"{split.origin}: the images have changed since {run} was trained, so that those held out now may have "
            "been trained on; put them back, or name images that were not: --images"
        )


def validated_on(metrics: Path) -> str | None:
    """The hash of the split that a run's metrics.jsonl was last validated on; None without such a line or file."""
    if not is_file(metrics):
        return None
    found: str | None = None
    for number, line in enumerate(read_text(metrics, most_bytes=MOST_BYTES, error=DataError).splitlines(), start=1):
        try:
            found = json.loads(line).get("val", {}).get("split_sha256", found)
        except (ValueError, AttributeError, RecursionError):
            raise DataError(metrics, f"line {number} is not one of a run's metrics") from None
    return found
