"""Devices and groups, as events ask about them."""

from app.clock import Moment
from app.devices.access import Access
from app.policy import Actor, Resource
from app.sharing.shares import Shares


class HubThings:
    """What is on this hub."""

    def __init__(self, devices: Access, shares: Shares) -> None:
        self._devices = devices
        self._shares = shares

    def device(self, actor: Actor, device_id: str) -> Resource | None:
        """A device; None when there is none (any more)."""
        return self._devices.device(actor, device_id) if self._devices.exists(device_id) else None

    def group(self, actor: Actor, group_id: str) -> Resource | None:
        """None."""

    def earliest_end(self, actor: Actor, now: Moment) -> int | None:
        """When the first of the shares `actor` has now ends by itself."""
        return self._shares.earliest_end(actor, now)
