"""Reading the small text files in which a Linux system describes itself. What cannot be read is None, never a guess."""

from pathlib import Path

LONGEST_BYTES = 4 * 1024 * 1024


def read_text(path: Path) -> str | None:
    """The text of a file without surrounding white space and NUL; None if it is absent, empty or not readable."""
    try:
        with path.open("rb") as handle:
            text = handle.read(LONGEST_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return None
    return text.strip().strip("\0").strip() or None


def read_integer(path: Path) -> int | None:
    """The integer that a file holds; None if there is none."""
    text = read_text(path)
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def read_fields(path: Path, separator: str | None = None) -> dict[str, str]:
    """Lines of `key SEPARATOR value` (`None`: any white space) as a dict; the first of equal keys counts."""
    fields: dict[str, str] = {}
    for line in (read_text(path) or "").splitlines():
        parts = line.split(separator, 1)
        if len(parts) == 2:
            fields.setdefault(parts[0].strip(), parts[1].strip())
    return fields


def control_group(root: Path, controller: str) -> tuple[Path, ...]:
    """Folders of this process's control group, innermost first: its own, then every one above it.

    Args:
        root: `/`, or a folder that stands for it.
        controller: `cpu` or `memory`; version 2 has one hierarchy for all, version 1 one for each.
    """
    base = root / "sys/fs/cgroup"
    found: list[Path] = []
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3 or (parts[1] and controller not in parts[1].split(",")):
            continue
        top = base / controller if parts[1] else base
        own = parts[2].lstrip("/")
        folders = [top / own, *(top / own).parents] if own else [top]
        found += [folder for folder in folders if folder == top or top in folder.parents]
    return tuple(folder for folder in dict.fromkeys(found) if folder.is_dir())
