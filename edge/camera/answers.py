"""Which answers are told in a line: of pictures every one, of a film those that change."""

from typing import Literal

from edge.camera.inference import Seen

AnswerChoice = Literal["every", "changes", "none"]
LEAST_PAUSE_NS = 1_000_000_000


class ChangedAnswers:
    """Of a film the first answer is told, and then what differs from the last that was, once a second at most.

    What counts is the gist of an answer (`Task.gist`), not its numbers.
    """

    def __init__(self, choice: AnswerChoice) -> None:
        self._choice = choice
        self._gist: str | None = None
        self._told_ns = 0

    def tells(self, seen: Seen) -> bool:
        """Whether this answer is told."""
        if self._choice != "changes":
            return self._choice == "every"
        gist = (seen.task.gist or seen.task.line)(seen.prediction)
        if gist == self._gist or (self._gist is not None and seen.answered_ns - self._told_ns < LEAST_PAUSE_NS):
            return False
        self._gist, self._told_ns = gist, seen.answered_ns
        return True
