"""Transaction identifiers: a Set that is repeated is done once (Mesh Model 1.1, 1.4.1.2)."""

SAME_S = 6.0
MAX_PEERS = 64


class Tids:
    """A server's memory: the last transaction of each source and destination."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], tuple[int, float]] = {}

    def repeated(self, source: int, destination: int, tid: int, now: float) -> bool:
        """Whether this is the transaction that was last heard there, within six seconds of its first message."""
        key = (source, destination)
        last = self._last.get(key)
        if last is not None and last[0] == tid and now - last[1] < SAME_S:
            return True
        self._last.pop(key, None)
        if len(self._last) >= MAX_PEERS:
            self._last.pop(next(iter(self._last)))
        self._last[key] = (tid, now)
        return False


class NextTid:
    """A client's counter: another one for each new transaction, the same for its repeats."""

    def __init__(self, first: int = 0) -> None:
        self._next = first & 0xFF

    def __call__(self) -> int:
        tid, self._next = self._next, (self._next + 1) & 0xFF
        return tid
