"""Time on a machine that may have no clock battery and no internet (DESIGN 9c)."""

import time
from pathlib import Path
from typing import Protocol

from msgspec import Struct

# systemd-timesyncd touches this when, and only when, an NTP answer has set the clock.
NTP_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


class Moment(Struct, frozen=True, gc=False):
    """A time in ms since the Unix epoch, and whether anything trustworthy has set the clock it came from."""

    ms: int
    trusted: bool = True


class Clock(Protocol):
    """Where the application gets its time from; tests pass their own."""

    def now(self) -> Moment: ...

    def set(self, ms: int) -> None: ...


class SystemClock:
    """The machine's clock, never behind the persisted floor, corrected once by someone who knows better."""

    def __init__(self, *, floor_ms: int = 0, trusted: bool = False) -> None:
        self._floor = floor_ms
        self._offset = 0
        self._trusted = trusted

    def now(self) -> Moment:
        """The present; `ms` never decreases within a run and never lies before the floor."""
        self._floor = max(self._floor, time.time_ns() // 1_000_000 + self._offset)
        return Moment(self._floor, self._trusted)

    def set(self, ms: int) -> None:
        """Take `ms` (an owner's phone, NTP) as the present; a time behind the floor only makes the clock trusted."""
        self._offset = ms - time.time_ns() // 1_000_000
        self._trusted = True


def machine_clock_is_set() -> bool:
    """Whether NTP has set this machine's clock since it booted."""
    return NTP_SYNCHRONISED.exists()
