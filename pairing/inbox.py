"""The inbox: devices heard on the network and over Bluetooth that belong to no home here yet.

Pure; time (ms) is passed in.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from pairing.announcement import Announcement
from pairing.fair import FairTable
from pairing.methods import bthome
from pairing.overheard import Overheard

MAX_KEPT = 128
MAX_PER_SOURCE = 32
LASTS_MS = 15 * 60_000
"""How long a device is kept without a sign of life: it is asked for one about every four minutes."""
MAX_OVERHEARD = 64
OVERHEARD_LASTS_MS = 60_000
"""As above, over Bluetooth: such a device advertises several times a second, and most of that is heard."""
SENSOR_LASTS_MS = LASTS_MS
"""As above, of a sensor that does nothing but advertise: it sleeps for minutes."""


class Sighting(Struct, frozen=True):
    """A device that was heard. All but the times is its own claim."""

    device: Announcement | Overheard
    first_seen: int
    last_seen: int


class Inbox:
    """`belongs` says of an id whether it is some home's: such a device is not in here, whatever is announced of it."""

    def __init__(self, belongs: Callable[[str], bool] = lambda device_id: False) -> None:
        self._belongs = belongs
        self._kept = FairTable[Sighting](MAX_KEPT, MAX_PER_SOURCE)
        self._overheard: dict[str, Sighting] = {}

    def saw(self, device: Announcement, source: str, now: int) -> None:
        """A sign of life of `device` has come from the address `source`."""
        if device.paired or self._belongs(device.id):
            self.gone(device.id)
            return
        before = self._kept.get(device.id)
        if before is None and len(self._kept) >= MAX_KEPT:
            self._forget(now)
        self._kept.put(device.id, source, Sighting(device, now if before is None else before.first_seen, now))

    def overheard(self, device: Overheard, now: int) -> bool:
        """It has advertised; whether that is news.

        A radio cannot tell who floods it. Who was not heard for longest gives way: who is really there is heard again.
        """
        before = self._overheard.pop(device.id, None)
        if self._belongs(device.id):
            return before is not None
        if before is not None and not device.name:  # it is in the scan response, which is not heard each time
            device = replace(device, name=before.device.name)
        self._overheard[device.id] = Sighting(device, now if before is None else before.first_seen, now)
        while len(self._overheard) > MAX_OVERHEARD:
            del self._overheard[next(iter(self._overheard))]
        return before is None or before.device != device

    def gone(self, device_id: str) -> None:
        """It said goodbye."""
        self._kept.pop(device_id)

    def sightings(self, now: int) -> list[Sighting]:
        """What is in here now, longest known first."""
        self._forget(now)
        on_lan = self._kept.values()
        also = [each for each in self._overheard.values() if not _among(on_lan, each.device)]
        return sorted(on_lan + also, key=lambda each: each.first_seen)

    def _forget(self, now: int) -> None:
        for sighting in self._kept.values():
            if now - sighting.last_seen > LASTS_MS or self._belongs(sighting.device.id):
                self._kept.pop(sighting.device.id)
        for key, sighting in list(self._overheard.items()):
            sensor = isinstance(sighting.device, Overheard) and sighting.device.method == bthome.NAME
            lasts = SENSOR_LASTS_MS if sensor else OVERHEARD_LASTS_MS
            if now - sighting.last_seen > lasts or self._belongs(key):
                del self._overheard[key]


def _among(sightings: list[Sighting], device: Announcement | Overheard) -> bool:
    """Whether it is one of those that announce themselves on the network too."""
    return any(each.device.id.startswith(device.id) for each in sightings)
