"""How much one client may say: some at once, then so many a second; what is more waits unread."""


class Pace:
    """Of one connection. Times in seconds of a monotonic clock."""

    __slots__ = ("_at", "_left")

    def __init__(self, burst: int, now: float) -> None:
        self._left = float(burst)
        self._at = now

    def wait(self, messages: int, rate: int, burst: int, now: float) -> float:
        """Count what was read by `now`; how long to leave the rest unread."""
        self._left = min(self._left + (now - self._at) * rate, burst) - messages
        self._at = now
        return max(0.0, -self._left / rate)
