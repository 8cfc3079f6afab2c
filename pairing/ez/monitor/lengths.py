"""Listening for lengths: what the air adds to every length is learnt from a preamble, never assumed."""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pairing.ez.monitor.decoded import Decoded

BROADCAST_MAC = b"\xff" * 6
MAX_OVERHEAD = 200
"""Octets a link may add: 42 on Ethernet, up to about 100 on the air."""
MAX_READINGS = 4
"""Preambles of different overhead that are followed up at once; noise may look like one."""
FORGET_AFTER = 10.0
"""Seconds of silence after which another sending is taken to begin."""

Find = Callable[[Sequence[int]], int | None]
"""The overhead, if these latest lengths are a preamble."""


class Reading(Protocol):
    """Makes sense of lengths whose overhead is known."""

    def take(self, value: int) -> Decoded | None: ...


class LengthDecoder:
    """A `Decoder` for encodings in lengths. `groups`: whether datagrams to groups count as well as broadcasts."""

    def __init__(self, find: Find, window: int, begin: Callable[[], Reading], *, groups: bool = False) -> None:
        self._find = find
        self._begin = begin
        self._groups = groups
        self._window: deque[int] = deque(maxlen=window)
        self._readings: OrderedDict[int, Reading] = OrderedDict()
        self._last = 0.0

    @property
    def locked(self) -> bool:
        return bool(self._readings)

    def hear(self, destination: bytes, length: int, now: float) -> Decoded | None:
        if destination != BROADCAST_MAC and not (self._groups and destination[:3] == b"\x01\x00\x5e"):
            return None
        if now - self._last > FORGET_AFTER:
            self._window.clear()
            self._readings.clear()
        self._last = now
        self._look_for_preamble(length)
        found = [reading.take(length - overhead) for overhead, reading in self._readings.items()]
        return next(filter(None, found), None)

    def _look_for_preamble(self, length: int) -> None:
        self._window.append(length)
        overhead = self._find(self._window)
        if overhead is None or not 0 <= overhead <= MAX_OVERHEAD:
            return
        if overhead not in self._readings:
            self._readings[overhead] = self._begin()
        self._readings.move_to_end(overhead)
        if len(self._readings) > MAX_READINGS:
            self._readings.popitem(last=False)


def repeated(preamble: tuple[int, ...]) -> Find:
    """Finds this preamble, which is sent again and again, from whichever of its lengths on."""
    turns = [preamble[i:] + preamble[:i] for i in range(len(preamble))]

    def find(window: Sequence[int]) -> int | None:
        heard = tuple(window)[-len(preamble) :]
        for turn in turns:
            overhead = heard[0] - turn[0]
            if heard == tuple(length + overhead for length in turn):
                return overhead
        return None

    return find
