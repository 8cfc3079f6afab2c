"""What somebody is to a device: a member of its home, or the receiver of a share of it or of a group it is in."""

from typing import Protocol

from app.devices import queries
from app.devices.memory import Memory
from app.homes.standing import Standings
from app.policy import Actor, Grant, Resource, Standing
from app.store.tx import Reader


class Grouping(Protocol):
    """Which groups a device is in, as groups know it; from memory, and from disk for writes."""

    def groups_of(self, device_id: str) -> tuple[str, ...]: ...

    def groups_of_in(self, reader: Reader, device_id: str) -> tuple[str, ...]: ...


class Granting(Protocol):
    """What shares give an account on any of these things (a device and its groups, or a group)."""

    def grants_of(self, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]: ...

    def grants_of_in(self, reader: Reader, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]: ...


class Ungrouped:
    """Without groups."""

    def groups_of(self, device_id: str) -> tuple[str, ...]:
        return ()

    def groups_of_in(self, reader: Reader, device_id: str) -> tuple[str, ...]:
        return ()


class Ungranted:
    """Without shares."""

    def grants_of(self, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        return ()

    def grants_of_in(self, reader: Reader, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        return ()


class Access:
    """Devices as resources. `grouping` and `granting` are set by the server, from the nouns above."""

    def __init__(self, standings: Standings, memory: Memory) -> None:
        self.standings = standings
        self._memory = memory
        self.grouping: Grouping = Ungrouped()
        self.granting: Granting = Ungranted()

    def device(self, actor: Actor, device_id: str) -> Resource:
        """From memory. A device that does not exist is nobody's."""
        live = self._memory.get(device_id)
        if live is None:
            return Resource()
        home_id = live.device.home_id
        standing = self.standings.of(actor, home_id)
        if _needs_no_things(standing):
            return Resource(standing, home_id)
        things = (device_id, *self.grouping.groups_of(device_id))
        return Resource(self.shared(actor, standing, things), home_id, things)

    def device_in(self, reader: Reader, actor: Actor, device_id: str) -> Resource:
        """From disk, or for members from memory while that says the same: what a write goes by."""
        if reader.is_as_in_memory and (live := self._memory.get(device_id)) is not None:
            standing = self.standings.of(actor, live.device.home_id)
            if _needs_no_things(standing):
                return Resource(standing, live.device.home_id)
        found = queries.standing_in(reader, actor.account_id, device_id)
        if found is None:
            return Resource()
        home_id, standing = found
        if _needs_no_things(standing):
            return Resource(standing, home_id)
        things = (device_id, *self.grouping.groups_of_in(reader, device_id))
        return Resource(self.shared_in(reader, actor, standing, things), home_id, things)

    # As sharing asks about a thing.
    resource = device
    resource_in = device_in

    def name_of(self, device_id: str) -> str:
        """What it is called; empty when there is none."""
        live = self._memory.get(device_id)
        return "" if live is None else live.device.name

    def exists(self, device_id: str) -> bool:
        """Whether there is such a device, from memory."""
        return device_id in self._memory.devices

    def shared(self, actor: Actor, standing: Standing, things: tuple[str, ...]) -> Standing:
        """`standing`, or for somebody outside the home what shares of `things` give; from memory."""
        if standing.role is not None or actor.account_id is None:
            return standing
        return Standing(grants=self.granting.grants_of(actor.account_id, things))

    def shared_in(self, reader: Reader, actor: Actor, standing: Standing, things: tuple[str, ...]) -> Standing:
        """`shared`, from disk."""
        if standing.role is not None or actor.account_id is None:
            return standing
        return Standing(grants=self.granting.grants_of_in(reader, actor.account_id, things))


def _needs_no_things(standing: Standing) -> bool:
    """Groups and shares matter only to somebody outside, or to a guest of only some things."""
    return standing.role is not None and standing.only is None
