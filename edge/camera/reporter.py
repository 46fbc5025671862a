"""Tells of a run to whoever asked: the log, the service manager, the counts behind `/metrics`."""

from dataclasses import fields

from edge.camera.capture import State as SourceState
from edge.camera.run_counts import RunCounts
from edge.camera.run_log import RunLog
from edge.camera.sources.address import without_secrets
from edge.camera.systemd import Notifier


class Reporter:
    """Counts what happens in a run, and tells it on; from any thread."""

    def __init__(
        self, log: RunLog | None = None, run: RunCounts | None = None, notifier: Notifier | None = None
    ) -> None:
        self.log, self.run, self._notifier = log or RunLog(), run or RunCounts(), notifier or Notifier({})
        self._was_online = False

    def read(self, read_ns: int) -> None:
        """A frame was read, in this time."""
        self.run.took({"read": read_ns})

    def state(self, state: SourceState, reason: str) -> None:
        """A live source is online, offline or over."""
        if state == "online":
            if self._was_online:
                self.run.reconnected()
                self.log.tell("online", f"{reason}: gives frames again", source=reason)
            else:
                self.log.note("online", source=reason)
            self._was_online = True
        else:
            self.log.tell(state, f"offline, trying again: {reason}" if state == "offline" else reason, reason=reason)
            self._notifier.status(without_secrets(f"{state}: {reason}"))

    def answered(self) -> None:
        """An answer was given to whoever asks for them."""
        self._notifier.answered(self._status)

    def counts(self) -> None:
        """Write the counts as they are to a structured log."""
        state = self.run.state()
        stages = {row.stage: {"p50_ns": row.p50_ns, "p90_ns": row.p90_ns} for row in self.run.summary()}
        told = {entry.name: getattr(state, entry.name) for entry in fields(state) if entry.name != "times"}
        self.log.note("counts", **told, stages=stages)

    def stopping(self) -> None:
        """The run is ending."""
        self._notifier.stopping()

    def _status(self) -> str:
        state = self.run.state()
        dropped = sum(state.dropped.values())
        return f"{state.answered} of {state.frames} frames answered, {dropped} dropped, {state.replacements} restarts"
