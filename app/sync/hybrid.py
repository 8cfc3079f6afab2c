"""Hybrid time (PROTOCOL.md 3): ms in 48 bits, a counter in 16, as one integer."""

from typing import Final

from app.sync.model import COUNTER_BITS

# A stamp further ahead of one's own clock says nothing about the present.
BELIEVED_AHEAD_MS: Final = 60_000


def of_ms(ms: int) -> int:
    """The first hybrid time of a millisecond."""
    return ms << COUNTER_BITS


def to_ms(at: int) -> int:
    """The millisecond of a hybrid time."""
    return at >> COUNTER_BITS


def after(last: int, now_ms: int) -> int:
    """The next time a node gives, which gave `last` before: of `now_ms`, and never back."""
    return max(last + 1, of_ms(now_ms))


def heard(last: int, at: int, now_ms: int) -> int:
    """What a node's next time must lie beyond once it has heard of `at`: what is far ahead is not believed."""
    return max(last, at) if to_ms(at) <= now_ms + BELIEVED_AHEAD_MS else last


def taken(at: int, node_now: int, now_ms: int, last: int) -> int:
    """The time an operation is given: shifted by how far its node's clock is off, never ahead of the authority's
    present, and after `last`, the one before from the same node (section 2a, 4). `node_now` and `now_ms` in ms.
    """
    shifted = at + of_ms(now_ms) - of_ms(node_now)
    return max(min(shifted, of_ms(now_ms)), last + 1, 1)
