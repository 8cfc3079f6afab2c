"""Devices as they are read: ready bytes from memory, for whoever may see them."""

import msgspec

from app.caller import demand
from app.devices.access import Access
from app.devices.memory import Live, Memory
from app.errors import NotFound
from app.policy import Action, Actor, Resource, allowed
from app.store.store import Store


class Views:
    """Each raises NotFound for what is not there or not the caller's to see, and Refused."""

    def __init__(self, store: Store, memory: Memory, access: Access) -> None:
        self._clock = store.clock
        self._memory = memory
        self._access = access

    def view_bytes(self, actor: Actor, device_id: str) -> tuple[bytes, int]:
        """JSON of one device (DeviceView), and the version of its entry."""
        resource = self._access.device(actor, device_id)
        demand(actor, Action.DEVICE_READ, resource, self._clock.now())
        live = self._memory.get(device_id)
        if live is None:
            raise NotFound
        return (live.outside() if resource.standing.role is None else live.inside()), live.device.version

    def page(
        self, actor: Actor, home_id: str, *, room_id: str | None = None, after: str | None = None, limit: int
    ) -> list[Live]:
        """The devices of a home (or of one of its rooms) the caller may see, in order of id, at most `limit`."""
        now = self._clock.now()
        standing = self._access.standings.of(actor, home_id)
        # The list itself is nobody's thing: what a guest may see of it is asked device by device.
        listed = Resource(msgspec.structs.replace(standing, only=None), home_id)
        demand(actor, Action.DEVICE_READ, listed, now)
        found: list[Live] = []
        for live in self._memory.in_place(home_id if room_id is None else room_id, after):
            device = live.device
            if device.home_id != home_id:
                break
            if standing.only is not None:
                resource = self._access.device(actor, device.id)
                if not allowed(actor, Action.DEVICE_READ, resource, now).yes:
                    continue
            found.append(live)
            if len(found) == limit:
                break
        return found
