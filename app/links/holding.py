"""At a link: which of its home's hubs a device is told of, and when this one takes it over (pairing/PROTOCOL.md 8)."""

import asyncio
from typing import Final, Protocol

from msgspec import Struct

from app.devices.model import MAX_EPOCH_STEP, Device
from app.devices.service import Devices
from pairing.messages import Hello, HubCard, Hubs

# A device tries its standby once it has been without its own hub for twice as long.
AGAIN_S: Final = 30.0


class Cards(Protocol):
    """How the hubs of homes are reached by devices."""

    def get(self, home_id: str, hub_id: str) -> HubCard | None:
        """From memory; None: not known here, or none of that home's."""


class NoCards:
    """Without any."""

    def get(self, home_id: str, hub_id: str) -> HubCard | None:
        return None


class Greeting(Struct, frozen=True):
    """What follows a device's hello: whether it stays linked here, and what it is told of its hubs."""

    stays: bool
    hubs: Hubs | None = None


class Holding:
    """`cards` are set by the server."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._memory = devices.memory
        self.cards: Cards = NoCards()
        # By device, until when it is not taken over once more (s, of the event loop's clock).
        self._again_at: dict[str, float] = {}

    def hubs_of(self, device: Device) -> Hubs | None:
        """What it is told; None where it cannot be told of the hub that holds it."""
        holder = self._memory.holder_of(device)
        hub = self.cards.get(device.home_id, holder)
        standby = None
        if device.standby is not None and device.standby != holder:
            standby = self.cards.get(device.home_id, device.standby)
        return None if hub is None else Hubs(hub, device.owner_epoch, standby)

    def heirs_of(self, home_id: str) -> list[tuple[str, Hubs]]:
        """The devices of a home that this hub holds and another stands by for, and what they are told as it goes.

        The epoch is one more: so that hub takes them over, whether or not it has heard that this one has gone.
        """
        held = (live.device for live in self._memory.in_place(home_id) if self._memory.holds(live.device))
        wanted = ((it.hardware_id, it.owner_epoch, self.cards.get(home_id, it.standby or "")) for it in held)
        return [(hardware_id, Hubs(card, epoch + 1)) for hardware_id, epoch, card in wanted if card is not None]

    async def greet(self, hardware_id: str, hello: Hello) -> Greeting:
        """Whether a proven device stays here: one that this hub holds, or takes over now. Raises StoreError."""
        device = self._memory.bound(hardware_id)
        if device is None:
            return Greeting(stays=True)
        if self._comes_anew(device, hello) and self._is_time(device.id):
            await self._devices.handing.take_over(device.id, hello.epoch if _is_later(device, hello) else 0)
            device = self._memory.bound(hardware_id) or device
        if not self._memory.holds(device):
            # One that knows a later word than this hub has heard comes again until it has.
            is_told = hello.hubs is not None and hello.epoch <= device.owner_epoch
            return Greeting(stays=False, hubs=self.hubs_of(device) if is_told else None)
        return Greeting(stays=True, hubs=self._news(device, hello))

    def _comes_anew(self, device: Device, hello: Hello) -> bool:
        """Whether the home's log must say something else for it to stay here.

        It cannot reach the hub that holds it, nor can anybody; or it is this one's by a later word than is known here.
        """
        if hello.hubs is None:
            return device.standby == self._memory.hub_id  # it can keep but one hub, and that is this one
        if self._memory.hub_id not in hello.hubs:
            return False
        is_alone = hello.hubs[0] == device.holder or self.hubs_of(device) is None
        return _is_later(device, hello) or (is_alone and device.standby == self._memory.hub_id)

    def _is_time(self, device_id: str) -> bool:
        """A device that comes and goes between two hubs changes their log so often, and no more."""
        now = asyncio.get_running_loop().time()
        # In the order in which they end: all of a home may come at once, as its hub burns down.
        while self._again_at and self._again_at[first := next(iter(self._again_at))] <= now:
            del self._again_at[first]
        if device_id in self._again_at:
            return False
        self._again_at[device_id] = now + AGAIN_S
        return True

    def _news(self, device: Device, hello: Hello) -> Hubs | None:
        """What one that stays is told: nothing where it can keep but one hub, and where there is but one."""
        told = self.hubs_of(device)
        if hello.hubs is None or told is None:
            return None
        return told if told.standby is not None or hello.hubs != (self._memory.hub_id,) else None


def _is_later(device: Device, hello: Hello) -> bool:
    """Whether it is bound by a later word than the home's log has here; who says any epoch says nothing."""
    return device.owner_epoch < hello.epoch < device.owner_epoch + MAX_EPOCH_STEP
