"""At a link: which of its home's hubs a device is told of, and when this one takes it over (pairing/PROTOCOL.md 8)."""

from typing import Protocol

from msgspec import Struct

from app.devices.model import MAX_EPOCH_STEP, Device
from app.devices.service import Devices
from pairing.messages import Hello, HubCard, Hubs


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

    def hubs_of(self, device: Device) -> Hubs | None:
        """What it is told; None where it cannot be told of the hub that holds it."""
        holder = self._memory.hub_id if device.holder is None else device.holder
        hub = self.cards.get(device.home_id, holder or "")
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
        device = self._memory.of_hardware(hardware_id) or self._memory.stood_by(hardware_id)
        if device is None:
            return Greeting(stays=True)
        if not self._memory.holds(device):
            if not self._comes_to_stay(device, hello):
                return Greeting(stays=False, hubs=self.hubs_of(device))
            await self._devices.handing.take_over(device.id, hello.epoch if _is_later(device, hello) else 0)
            device = self._memory.of_hardware(hardware_id)
            if device is None:
                return Greeting(stays=False)
        return Greeting(stays=True, hubs=self._news(device, hello))

    def _comes_to_stay(self, device: Device, hello: Hello) -> bool:
        """It cannot reach the hub that holds it, nor can anybody; or it is this one's by a later word than is known."""
        if hello.hubs is None:
            return True  # it can keep but one hub, and that is this one
        hubs = hello.hubs
        is_alone = hubs[:1] == (device.holder,) or self.hubs_of(device) is None
        return self._memory.hub_id in hubs and (is_alone or _is_later(device, hello))

    def _news(self, device: Device, hello: Hello) -> Hubs | None:
        """What one that stays is told: nothing where it can keep but one hub, and where there is but one."""
        told = self.hubs_of(device)
        if hello.hubs is None or told is None:
            return None
        return told if told.standby is not None or hello.hubs != (self._memory.hub_id,) else None


def _is_later(device: Device, hello: Hello) -> bool:
    """Whether it is bound by a later word than the home's log has here; who says any epoch says nothing."""
    return device.owner_epoch < hello.epoch <= device.owner_epoch + MAX_EPOCH_STEP
