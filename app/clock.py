"""Time on a machine that may have no clock battery and no internet (DESIGN 9c)."""

import ctypes
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta, Struct

# adjtimex(2): what the kernel answers while nothing has disciplined its clock.
TIME_ERROR = 5
TIMEX_BYTES = 208
# systemd-timesyncd touches this when, and only when, an NTP answer has set the clock.
NTP_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
NS_PER_MS = 1_000_000
# A hub is not switched off for ten years; a clock chip whose battery has died says anything.
BEYOND_BELIEF_MS = 10 * 365 * 24 * 3600 * 1000
# The last ms of the year 9999 in UTC. West of Greenwich that year goes on: nobody means a time so far by the hour.
LAST_MS = 253_402_300_799_999

# A time as it is kept, and as other nodes say it: ms since the epoch, no later than a face can tell.
Ms = Annotated[int, Meta(ge=0, le=LAST_MS)]
# A time in a face: RFC 3339 with its offset; one without is refused.
Time = Annotated[datetime, Meta(tz=True)]


def to_time(ms: int) -> datetime:
    """ms since the epoch as a face's time, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(time: datetime) -> int:
    """A face's time as ms since the epoch; at most `LAST_MS`, which is the last that `to_time` can give back."""
    return min(round(time.timestamp() * 1000), LAST_MS)


class Moment(Struct, frozen=True, gc=False):
    """A time in ms since the Unix epoch, and whether anything trustworthy has set the clock it came from."""

    ms: int
    trusted: bool = True


class Clock(Protocol):
    """Where the application gets its time from; tests pass their own."""

    def now(self) -> Moment: ...

    def set(self, ms: int) -> None: ...


class SystemClock:
    """The machine's clock, never running back and never behind the persisted floor.

    Where the machine's clock lies behind, time goes on by the monotonic clock: at full speed while nothing has set the
    clock (1970 says nothing), at half speed once something has, until the truth has caught up. Where it lies beyond
    belief ahead, and nothing has set it, time goes on from the floor: what has once been told cannot be taken back.
    """

    def __init__(
        self,
        *,
        floor_ms: int = 0,
        trusted: bool = False,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall_ns
        self._monotonic = monotonic_ns
        self._offset = 0
        self._trusted = self._follows = trusted
        floor, wall = floor_ms * NS_PER_MS, wall_ns()
        if floor and not trusted and wall - floor > BEYOND_BELIEF_MS * NS_PER_MS:
            self._offset = floor - wall
        self._last = max(floor, wall + self._offset)
        self._last_at = monotonic_ns()

    def now(self) -> Moment:
        """The present; `ms` never decreases and never lies before the floor."""
        at = self._monotonic()
        passed, self._last_at = at - self._last_at, at
        slowed = passed // 2 if self._trusted else passed
        self._last = max(self._last + slowed, self._wall() + self._offset)
        return Moment(self._last // NS_PER_MS, self._trusted)

    def set(self, ms: int) -> None:
        """Take `ms` (from an owner's phone) as the present and trust it; time itself still never runs back.

        Ignored once `follow_machine` was called: NTP knows better than a phone.
        """
        if self._follows:
            return
        self.now()
        self._offset = ms * NS_PER_MS - self._wall()
        self._trusted = True

    def follow_machine(self) -> None:
        """Something better than a phone disciplines the machine's clock: follow that as it is."""
        self.now()
        self._offset = 0
        self._trusted = self._follows = True


def machine_clock_is_set() -> bool:
    """Whether NTP or PTP has set this machine's clock since it booted; False where nothing says so. Blocks."""
    if NTP_SYNCHRONISED.exists():
        return True
    try:
        # Asking (modes = 0, the struct's first field) needs no privilege; the struct's size is that of struct timex.
        answer: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (AttributeError, OSError):
        return False
    return 0 <= answer < TIME_ERROR
