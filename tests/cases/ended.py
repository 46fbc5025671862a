"""One run of the command line in this process, and what may be said about its end."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from edge.cli.main import main


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its exit code and what it printed."""

    status: int
    out: str
    err: str

    def said(self) -> str:
        """The only line on standard error, of a run that refused with exit code 1 or 2 and printed no traceback."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert self.status in (1, 2), f"exit code {self.status}: {lines}"
        assert len(lines) == 1 and lines[0].startswith("edge "), f"{len(lines)} lines: {lines}"
        assert "Traceback" not in self.out, self.out
        return lines[0]

    def done(self) -> str:
        """What was printed by a run that did what was asked."""
        assert self.status == 0, f"exit code {self.status}: {self.err}"
        return self.out


def edge(*words: str | Path) -> Ended:
    """Run `edge` with these words."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Ended(status=status, out=out.getvalue(), err=err.getvalue())
