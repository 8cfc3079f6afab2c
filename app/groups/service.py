"""What may be done with groups. Controlling one is control's; `*_in` forms take the transaction of a larger act."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from app.caller import Caller, demand
from app.devices.access import Access
from app.devices.model import Device
from app.errors import NotFound
from app.groups import queries
from app.groups.access import GroupAccess
from app.groups.model import DevicesUnknown, Group, GroupView
from app.homes.model import Home
from app.homes.standing import Standings
from app.policy import Action, Actor, Resource, Role, allowed
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx

MOST_DEVICES = KEEP["group_devices"].most or 0


class Groups:
    """Groups of a home. `on_leaving` handlers run in the transaction that removes one."""

    def __init__(self, store: Store, standings: Standings, access: Access) -> None:
        self._store = store
        self._standings = standings
        self.access = GroupAccess(store, access)
        self.on_leaving: list[Callable[[Tx, Caller, Group], None]] = []

    def list(self, actor: Actor, home_id: str, after: str, limit: int) -> list[GroupView]:
        """The groups of a home the caller may see, at most `limit` after the id `after`; raises NotFound, Refused."""
        now = self._store.clock.now()
        standing = replace(self._standings.of(actor, home_id), only=None)
        demand(actor, Action.GROUP_READ, Resource(standing, home_id), now)
        found = (it for it in self.access.of_home(home_id) if it.id > after)
        seen = (it for it in found if allowed(actor, Action.GROUP_READ, self.access.group(actor, it.id), now).yes)
        return [it.view() for it, _ in zip(seen, range(limit), strict=False)]

    def get(self, actor: Actor, group_id: str) -> GroupView:
        """One group; raises NotFound, Refused."""
        resource = self.access.group(actor, group_id)
        demand(actor, Action.GROUP_READ, resource, self._store.clock.now())
        it = self.access.groups.get(group_id)
        if it is None:
            raise NotFound
        return it.view(inside=resource.standing.role is not None)

    async def create(self, by: Caller, home_id: str, **fields: Any) -> GroupView:
        """A new group; `fields` are name, icon, least and devices. Raises NotFound, Refused, DevicesUnknown."""
        return await self._store.write(
            lambda tx: self.create_in(tx, by, home_id, fields), once=by.once, returns=GroupView
        )

    def create_in(self, tx: Tx, by: Caller, home_id: str, fields: dict[str, Any]) -> GroupView:
        """`create` inside `tx`."""
        demand(by.actor, Action.GROUP_MANAGE, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        demand_room(tx, "groups", home_id)
        it = Group(tx.new_id(), home_id, "", "", Role.GUEST, version=0, created_at=tx.now)
        return self._put(tx, by, "group.created", it, fields)

    async def update(self, by: Caller, group_id: str, **fields: Any) -> GroupView:
        """Rename, another icon, other devices or their order, who may control it.

        Raises NotFound, Refused, VersionMismatch, DevicesUnknown.
        """
        return await self._store.write(
            lambda tx: self.update_in(tx, by, group_id, fields), once=by.once, returns=GroupView
        )

    def update_in(self, tx: Tx, by: Caller, group_id: str, fields: dict[str, Any]) -> GroupView:
        """`update` inside `tx`."""
        old = self._changing(tx, by, group_id)
        by.match(old.version)
        return self._put(tx, by, "group.updated", old, fields)

    async def remove(self, by: Caller, group_id: str) -> None:
        """Remove a group; its devices stay. Raises NotFound, Refused, VersionMismatch."""
        await self._store.write(lambda tx: self.remove_in(tx, by, group_id), once=by.once, returns=type(None))

    def remove_in(self, tx: Tx, by: Caller, group_id: str) -> None:
        """`remove` inside `tx`."""
        it = self._changing(tx, by, group_id)
        by.match(it.version)
        self.leave_in(tx, by, it)

    def known_in(self, reader: Reader, home_id: str, ids: frozenset[str]) -> frozenset[str]:
        """Those of `ids` that are groups of a home."""
        return ids.intersection(queries.groups_in(reader, home_id))

    def members_in(self, reader: Reader, group_id: str) -> tuple[str, ...]:
        """The devices of a group in their order."""
        return queries.members(reader, group_id)

    def device_leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device leaves its home, and so its groups."""
        for group_id in queries.groups_of(tx, device.id):
            if (old := queries.group(tx, group_id)) is not None:
                left = tuple(each for each in old.devices if each != device.id)
                self._put(tx, by, "group.updated", old, {"devices": left})

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """The home goes, and its groups with it."""
        for group_id in queries.groups_in(tx, home.id):
            if (it := queries.group(tx, group_id)) is not None:
                self._leave(tx, by, it)
                # Gone before its devices leave, that are no reason to change it any more.
                queries.delete(tx, group_id)

    def _changing(self, tx: Tx, by: Caller, group_id: str) -> Group:
        demand(by.actor, Action.GROUP_MANAGE, self.access.group_in(tx, by.actor, group_id), tx.moment)
        it = queries.group(tx, group_id)
        if it is None:
            raise NotFound
        return it

    def leave_in(self, tx: Tx, by: Caller, it: Group) -> None:
        """A group ends, for who has asked policy."""
        self._leave(tx, by, it)
        queries.delete(tx, it.id)
        tx.record(by.actor, change(it, "group.removed", {"name": it.name}))

    def _leave(self, tx: Tx, by: Caller, it: Group) -> None:
        for told in self.on_leaving:
            told(tx, by, it)
        self.access.groups.drop(tx, it.id)

    def _put(self, tx: Tx, by: Caller, verb: str, old: Group, fields: dict[str, Any]) -> GroupView:
        it = replace(old, version=old.version + 1, **fields)
        if "devices" in fields:
            _check_devices(tx, it)
        queries.put(tx, it)
        self.access.groups.put(tx, it.id, it)
        tx.record(by.actor, change(it, verb, fields))
        return it.view()


def _check_devices(tx: Tx, it: Group) -> None:
    # Another home's device is as unknown as one that never was.
    unique = len(set(it.devices)) == len(it.devices) <= MOST_DEVICES
    if not unique or len(queries.those_in(tx, it.home_id, it.devices)) != len(it.devices):
        raise DevicesUnknown


def change(it: Group, verb: str, data: dict[str, Any]) -> Change:
    """`verb` befell the group."""
    return Change(verb, "group", it.id, it.home_id, Action.GROUP_READ, data)
