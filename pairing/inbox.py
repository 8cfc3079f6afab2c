"""The inbox: devices heard on the network that belong to no home here yet. Pure; time (ms) is passed in."""

from collections.abc import Callable

from msgspec import Struct

from pairing.announcement import Announcement
from pairing.fair import FairTable

MAX_KEPT = 128
MAX_PER_SOURCE = 32
LASTS_MS = 15 * 60_000
"""How long a device is kept without a sign of life: it is asked for one about every four minutes."""


class Sighting(Struct, frozen=True):
    """A device that was heard. All but the times is its own claim."""

    device: Announcement
    first_seen: int
    last_seen: int


class Inbox:
    """`belongs` says of an id whether it is some home's: such a device is not in here, whatever is announced of it."""

    def __init__(self, belongs: Callable[[str], bool] = lambda device_id: False) -> None:
        self._belongs = belongs
        self._kept = FairTable[Sighting](MAX_KEPT, MAX_PER_SOURCE)

    def saw(self, device: Announcement, source: str, now: int) -> None:
        """A sign of life of `device` has come from the address `source`."""
        if device.paired or self._belongs(device.id):
            self.gone(device.id)
            return
        before = self._kept.get(device.id)
        if before is None and len(self._kept) >= MAX_KEPT:
            self._forget(now)
        self._kept.put(device.id, source, Sighting(device, now if before is None else before.first_seen, now))

    def gone(self, device_id: str) -> None:
        """It said goodbye."""
        self._kept.pop(device_id)

    def sightings(self, now: int) -> list[Sighting]:
        """What is in here now, longest known first."""
        self._forget(now)
        return self._kept.values()

    def _forget(self, now: int) -> None:
        for sighting in self._kept.values():
            if now - sighting.last_seen > LASTS_MS or self._belongs(sighting.device.id):
                self._kept.pop(sighting.device.id)
