"""What each source has sent last: a message that is not newer is a replay (Mesh Protocol 1.1, 3.9.8)."""

MAX_SOURCES = 4096


def mark(iv_index: int, seq: int) -> int:
    """One number that grows with every message of a source."""
    return iv_index << 24 | seq


class ReplayList:
    """The newest mark of each source. A source that finds it full is not heard: protection is never relaxed.

    Nor is one forgotten when its node is removed: what it once said under a key still in use could be said again.
    """

    def __init__(self, marks: dict[int, int], size: int = MAX_SOURCES) -> None:
        self._marks, self._size = marks, size
        self._unsaved: dict[int, int] = {}

    def is_new(self, src: int, newer: int) -> bool:
        """Whether a message of this mark may be acted on."""
        known = self._marks.get(src)
        return len(self._marks) < self._size if known is None else newer > known

    def note(self, src: int, newer: int) -> None:
        """It is being acted on."""
        if newer > self._marks.get(src, -1):
            self._marks[src] = self._unsaved[src] = newer

    def take_unsaved(self) -> dict[int, int]:
        """What has to be on disk before the messages it stands for are acted on."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved
