"""One subscription to messages: what was handed out and not acknowledged, and how far everything was. Pure."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

# A consumer that acknowledges nothing holds so many; the rest waits on disk.
MOST_UNACKED: Final = 500


class Handed(Struct):
    """A message on its way: when it was last sent (monotonic s), how often again."""

    frame: bytes
    at: float
    again: int = 0


class Subscription:
    """At least once, in order: `place` moves past an event when it, and all before it, need no telling any more."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.read = place
        self._unacked: OrderedDict[int, Handed] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Nothing further may be handed out."""
        return len(self._unacked) >= MOST_UNACKED

    def passed(self, seq: int) -> None:
        """An event that is no message."""
        self.read = seq
        self._move()

    def handed(self, seq: int, frame: bytes, now: float) -> None:
        """An event was sent as `frame`."""
        self.read = seq
        self._unacked[seq] = Handed(frame, now)

    def acknowledged(self, seq: int) -> None:
        """The consumer has it; what is not awaited changes nothing."""
        self._unacked.pop(seq, None)
        self._move()

    def due(self, now: float, after: float) -> list[Handed]:
        """What was sent longer than `after` seconds ago and not acknowledged: it is sent again, marked as of now."""
        found = [one for one in self._unacked.values() if now - one.at >= after]
        for one in found:
            one.at, one.again = now, one.again + 1
        return found

    def _move(self) -> None:
        oldest = next(iter(self._unacked), None)
        self.place = self.read if oldest is None else oldest - 1
