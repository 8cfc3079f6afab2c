"""Segmented messages on their way in (Mesh Protocol 1.1, 3.5.3.4): put together, acknowledged, or dropped in time."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from ble.mesh.address import is_unicast
from ble.mesh.lower import Segment
from ble.mesh.timing import Timing

MAX_PER_SOURCE = 2
MAX_PARTIAL = 64
MAX_DONE = 128


class Partial(Struct, kw_only=True):
    """A message of which some segments have come, or all. `mark` is of its first segment's sequence number."""

    src: int
    dst: int
    mark: int
    first: Segment
    net_index: int
    ttl: int
    parts: dict[int, bytes] = field(default_factory=dict)
    drop_at: float = 0.0
    ack_at: float | None = None

    @property
    def block(self) -> int:
        return sum(1 << number for number in self.parts)

    @property
    def complete(self) -> bool:
        return len(self.parts) == self.first.last + 1

    @property
    def upper(self) -> bytes:
        return b"".join(self.parts[number] for number in sorted(self.parts))

    def takes(self, segment: Segment, dst: int) -> bool:
        """Whether a segment says the same of the message as the first that came."""
        one, other = self.first, segment
        same = (one.ctl, one.head, one.szmic, one.last) == (other.ctl, other.head, other.szmic, other.last)
        return same and dst == self.dst


class Busy(Exception):
    """There is no room for one more message."""


class Incoming:
    """All segmented messages to us. Bounded: two at a time from one source, and 64 in all."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._partial: OrderedDict[tuple[int, int], Partial] = OrderedDict()
        self._done: OrderedDict[tuple[int, int], Partial] = OrderedDict()

    def __len__(self) -> int:
        return len(self._partial)

    def feed(self, begun: Partial, segment: Segment, now: float, is_new: Callable[[], bool]) -> Partial | None:
        """The message that the segment completes, if it does.

        `begun` describes the segment's message and is kept where it is the first of a message that `is_new`. Raises
        Busy where there is no room for that.
        """
        key = (begun.src, begun.mark)
        if (done := self._done.get(key)) is not None:
            self._ack_later(done, now)
            return None
        message = self._partial.get(key)
        if message is None:
            if not is_new():
                return None
            message = self._begin(key, begun)
        if not message.takes(segment, begun.dst):
            return None
        if segment.number not in message.parts:
            message.parts[segment.number] = segment.data
            message.drop_at = now + self._timing.incomplete_s
        self._ack_later(message, now)
        return self._completed(key, message, now) if message.complete else None

    def due_acks(self, now: float) -> Iterator[Partial]:
        """The messages to acknowledge now."""
        for message in (*self._partial.values(), *self._done.values()):
            if message.ack_at is not None and message.ack_at <= now:
                message.ack_at = None
                yield message

    def drop_overdue(self, now: float) -> None:
        """Give up what has waited too long for its next segment."""
        for key in [key for key, message in self._partial.items() if message.drop_at <= now]:
            del self._partial[key]

    def deadlines(self) -> Iterator[float]:
        yield from (message.drop_at for message in self._partial.values())
        acks = (message.ack_at for message in (*self._partial.values(), *self._done.values()))
        yield from (at for at in acks if at is not None)

    def _begin(self, key: tuple[int, int], begun: Partial) -> Partial:
        of_source = [other for other in self._partial if other[0] == begun.src]
        if len(of_source) >= MAX_PER_SOURCE:
            del self._partial[of_source[0]]
        elif len(self._partial) >= MAX_PARTIAL:
            raise Busy
        self._partial[key] = begun
        return begun

    def _completed(self, key: tuple[int, int], message: Partial, now: float) -> Partial:
        del self._partial[key]
        self._done[key] = message
        message.ack_at = now if message.ack_at is not None else None
        if len(self._done) > MAX_DONE:
            self._done.popitem(last=False)
        return message

    def _ack_later(self, message: Partial, now: float) -> None:
        """Messages to a group are not acknowledged."""
        if is_unicast(message.dst) and message.ack_at is None:
            message.ack_at = now + self._timing.ack(message.ttl, message.first.last)
