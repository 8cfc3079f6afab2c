"""The rooms of a home."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from app.caller import Caller, demand
from app.errors import Invalid, NotFound
from app.homes import queries
from app.homes.model import Home, Room
from app.homes.standing import Standings
from app.policy import Action, Actor
from app.store.resident import Resident
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx


class RoomOrder(msgspec.Struct, frozen=True):
    """The rooms of a home in their order."""

    items: list[Room]


class Rooms:
    """Rooms, kept resident. `on_removing` handlers run in the transaction that removes one."""

    def __init__(self, store: Store, standings: Standings) -> None:
        self._store = store
        self._standings = standings
        self.rooms: Resident[str, Room] = Resident(lambda r: ((room.id, room) for room in queries.all_rooms(r)))
        self._of_home: dict[str, dict[str, Room]] = {}
        self.rooms.watch(self._index)
        store.keep_resident(self.rooms)
        self.on_removing: list[Callable[[Tx, Caller, Room], None]] = []

    def _index(self, key: str, old: Room | None, new: Room | None) -> None:
        if new is not None:
            self._of_home.setdefault(new.home_id, {})[key] = new
        elif old is not None:
            rooms = self._of_home.get(old.home_id, {})
            rooms.pop(key, None)
            if not rooms:
                self._of_home.pop(old.home_id, None)

    def list(self, actor: Actor, home_id: str) -> Sequence[Room]:
        """The rooms of a home in their order; raises NotFound, Refused."""
        demand(actor, Action.ROOM_READ, self._standings.home(actor, home_id), self._store.clock.now())
        return sorted(self._of_home.get(home_id, {}).values(), key=lambda room: (room.position, room.id))

    def get(self, actor: Actor, home_id: str, room_id: str) -> Room:
        """One room; raises NotFound, Refused."""
        demand(actor, Action.ROOM_READ, self._standings.home(actor, home_id), self._store.clock.now())
        room = self._of_home.get(home_id, {}).get(room_id)
        if room is None:
            raise NotFound
        return room

    def room_in(self, reader: Reader, home_id: str, room_id: str) -> Room:
        """One room of that home, from disk, for who has checked the right to it; raises NotFound."""
        room = queries.room(reader, home_id, room_id)
        if room is None:
            raise NotFound
        return room

    async def create(self, by: Caller, home_id: str, *, name: str, icon: str) -> Room:
        """A new room, last in order; raises NotFound, Refused, TooMany."""
        return await self._store.write(
            lambda tx: self.create_in(tx, by, home_id, name=name, icon=icon), once=by.once, returns=Room
        )

    def create_in(self, tx: Tx, by: Caller, home_id: str, *, name: str, icon: str) -> Room:
        """`create` inside `tx`."""
        self._demand(tx, by, home_id)
        rooms = queries.rooms_of(tx, home_id)
        demand_room(tx, "rooms", home_id)
        room = Room(tx.new_id(), home_id, name, icon, rooms[-1].position + 1 if rooms else 0, version=1)
        self.build_in(tx, by, room)
        return room

    def build_in(self, tx: Tx, by: Caller, room: Room) -> None:
        """Have `room` from now on; who calls has checked that it may be."""
        queries.insert_room(tx, room)
        self.rooms.put(tx, room.id, room)
        tx.record(by.actor, _told("room.created", room, room))

    async def update(self, by: Caller, home_id: str, room_id: str, **fields: Any) -> Room:
        """Rename, or another icon: `fields` are those of Room; raises NotFound, Refused, VersionMismatch."""
        return await self._store.write(
            lambda tx: self.update_in(tx, by, home_id, room_id, fields), once=by.once, returns=Room
        )

    def update_in(self, tx: Tx, by: Caller, home_id: str, room_id: str, fields: dict[str, Any]) -> Room:
        """`update` inside `tx`."""
        self._demand(tx, by, home_id)
        old = self.room_in(tx, home_id, room_id)
        by.match(old.version)
        return self.become_in(tx, by, msgspec.structs.replace(old, version=old.version + 1, **fields))

    def become_in(self, tx: Tx, by: Caller, room: Room) -> Room:
        """A room is as `room` from now on; who calls has checked that it may be."""
        self.place_in(tx, room)
        tx.record(by.actor, _told("room.updated", room, room))
        return room

    async def order(self, by: Caller, home_id: str, first: Sequence[str]) -> RoomOrder:
        """Put the rooms named by id first, in that order; the others follow in the order they have.

        So it fits whatever others do meanwhile: a room just made comes last, one just removed is passed over. Raises
        NotFound, Refused, Invalid (an id twice).
        """
        return await self._store.write(
            lambda tx: self.order_in(tx, by, home_id, first), once=by.once, returns=RoomOrder
        )

    def order_in(self, tx: Tx, by: Caller, home_id: str, first: Sequence[str]) -> RoomOrder:
        """`order` inside `tx`."""
        self._demand(tx, by, home_id)
        if len(set(first)) < len(first):
            raise Invalid("rooms: each room once")
        place = {room_id: n for n, room_id in enumerate(first)}
        rooms = sorted(queries.rooms_of(tx, home_id), key=lambda room: place.get(room.id, len(first)))
        ordered = [
            room
            if room.position == position
            else self.place_in(tx, msgspec.structs.replace(room, position=position, version=room.version + 1))
            for position, room in enumerate(rooms)
        ]
        self.tell_order_in(tx, by, home_id, ordered)
        return RoomOrder(ordered)

    def tell_order_in(self, tx: Tx, by: Caller, home_id: str, ordered: Sequence[Room]) -> None:
        """Tell in which order the rooms of a home are now."""
        data = {"rooms": [room.id for room in ordered]}
        tx.record(by.actor, Change("rooms.ordered", "home", home_id, home_id, Action.ROOM_READ, data))

    async def remove(self, by: Caller, home_id: str, room_id: str) -> None:
        """Remove a room; its devices are in none then. Raises NotFound, Refused, VersionMismatch."""
        await self._store.write(lambda tx: self.remove_in(tx, by, home_id, room_id), once=by.once, returns=type(None))

    def remove_in(self, tx: Tx, by: Caller, home_id: str, room_id: str) -> None:
        """`remove` inside `tx`."""
        self._demand(tx, by, home_id)
        room = self.room_in(tx, home_id, room_id)
        by.match(room.version)
        self.end_in(tx, by, room)

    def end_in(self, tx: Tx, by: Caller, room: Room) -> None:
        """A room goes; who calls has checked that it may."""
        for fn in self.on_removing:
            fn(tx, by, room)
        queries.delete_room(tx, room.id)
        self.rooms.drop(tx, room.id)
        tx.record(by.actor, _told("room.removed", room, {}))

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """The home goes, and its rooms with it."""
        for room in queries.rooms_of(tx, home.id):
            self.rooms.drop(tx, room.id)

    def _demand(self, tx: Tx, by: Caller, home_id: str) -> None:
        demand(by.actor, Action.ROOM_MANAGE, self._standings.home_in(tx, by.actor, home_id), tx.moment)

    def place_in(self, tx: Tx, room: Room) -> Room:
        """Store `room`; who calls tells of it."""
        queries.update_room(tx, room)
        self.rooms.put(tx, room.id, room)
        return room


def _told(event: str, room: Room, data: object) -> Change:
    return Change(event, "room", room.id, room.home_id, Action.ROOM_READ, data)
