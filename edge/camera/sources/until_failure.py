"""What was seen before a source failed is worth keeping."""

from collections.abc import Iterator

from edge.camera.sources.source import Source
from edge.errors import EdgeError
from edge.vision.frame import Frame


class UntilFailure:
    """A source whose failure after the first frame ends it and is kept, so that what was seen can be kept too."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.pictures, self.live = source.pictures, source.live
        self.failure: EdgeError | None = None

    @property
    def frames_per_second(self) -> float | None:
        """The source's."""
        return self._source.frames_per_second

    def frames(self) -> Iterator[Frame]:
        """The frames before the failure. Refuses (EdgeError) a source that fails before the first."""
        seen = False
        try:
            for frame in self._source.frames():
                if isinstance(frame, Frame):
                    yield frame
                    seen = True
        except EdgeError as error:
            if not seen:
                raise
            self.failure = error

    def close(self) -> None:
        """Close the source."""
        self._source.close()
