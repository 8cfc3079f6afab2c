"""The groups of a home as groups of its mesh: an address for each, and the models that listen to it.

What is wanted follows from the groups and their devices; what the nodes have acknowledged is on disk. `settle` makes
the one into the other, as far as the nodes are there.
"""

from msgspec import Struct

from app.groups.access import GroupAccess
from app.links.mesh import queries
from app.links.mesh.placing import Placed, Places
from app.store.store import Store
from app.store.tx import Tx
from ble.errors import BleError
from ble.mesh.address import LAST_GROUP
from ble.mesh.client import MeshClient
from ble.mesh.config.refused import ConfigRefused
from ble.mesh.configure import Bound, join_group, leave_group
from ble.mesh.model_id import from_text
from ble.mesh.procedures import carry_out

STATUS_GROUP = 0xC000
"""What every node tells of its changes: a hub that has to take another address is told as before."""
FIRST = STATUS_GROUP + 1

Subscription = tuple[int, str, int]


class Wanted(Struct, frozen=True):
    """Who should listen to what: by subscription, the node that has the element."""

    nodes: dict[Subscription, int]
    addresses: dict[str, int]


class Grouping:
    """A home's. `address_of` says where a group can be spoken to with one message."""

    def __init__(self, store: Store, groups: GroupAccess, home_id: str, places: Places) -> None:
        self._store, self._groups, self._home_id, self._places = store, groups, home_id, places
        self._addresses: dict[str, int] = {}
        self._acknowledged: set[Subscription] = set()
        self._refused: set[Subscription] = set()

    async def load(self) -> None:
        """What is on disk."""
        read, home = self._store.read, self._home_id
        self._addresses = await read(lambda reader: queries.groups(reader, home))
        self._acknowledged = await read(lambda reader: queries.subscriptions(reader, home))

    def address_of(self, group_id: str, devices: list[Placed], properties: set[str]) -> int | None:
        """The group's address, where exactly these devices listen to it with the models of these properties."""
        address, group = self._addresses.get(group_id), self._groups.groups.get(group_id)
        if address is None or group is None:
            return None
        members = [one for device_id in group.devices if (one := self._places.get(device_id)) is not None]
        if {one.device_id for one in members} != {one.device_id for one in devices}:
            return None
        needed = {one for placed in devices for one in _subscriptions(placed, address, properties)}
        return address if needed <= self._acknowledged else None

    @property
    def listeners(self) -> int:
        """How many models listen to a group."""
        return len(self._acknowledged)

    async def settle(self, client: MeshClient) -> bool:
        """Tell the nodes what has changed; whether they know all of it now."""
        wanted = await self._store.write(self._wanted_in)
        self._addresses = wanted.addresses
        done = True
        for one, node in wanted.nodes.items():
            if one not in self._acknowledged and one not in self._refused:
                done &= await self._tell(client, node, one, joins=True)
        for one in self._acknowledged - wanted.nodes.keys():
            row = client.state.node_of(one[0])
            if row is None:  # gone, and what it listened to with it
                self._acknowledged.discard(one)
            else:
                done &= await self._tell(client, row.address, one, joins=False)
        return done

    def _wanted_in(self, tx: Tx) -> Wanted:
        addresses = queries.groups(tx, self._home_id)
        wanted: dict[Subscription, int] = {}
        for group in self._groups.of_home(self._home_id):
            members = [one for device_id in group.devices if (one := self._places.get(device_id)) and one.part.models]
            if not members:
                continue
            if group.id not in addresses:
                address = _free(addresses, self._acknowledged)
                if address is None:
                    continue
                addresses[group.id] = address
                queries.put_group(tx, self._home_id, group.id, address)
            for placed in members:
                every = _subscriptions(placed, addresses[group.id], set(placed.part.models))
                wanted |= dict.fromkeys(every, placed.address)
        for group_id in addresses.keys() - {group.id for group in self._groups.of_home(self._home_id)}:
            queries.delete_group(tx, group_id)
            del addresses[group_id]
        return Wanted(wanted, addresses)

    async def _tell(self, client: MeshClient, node: int, one: Subscription, *, joins: bool) -> bool:
        element, model, address = one
        procedure = (join_group if joins else leave_group)(node, Bound(element, from_text(model)), address)
        try:
            await carry_out(procedure, client)
        except ConfigRefused:
            # A model that is full, or does not subscribe: its device is spoken to by itself.
            self._refused.add(one)
            return True
        except BleError:
            return False
        change = queries.put_subscription if joins else queries.delete_subscription
        await self._store.write(lambda tx: change(tx, self._home_id, one))
        (self._acknowledged.add if joins else self._acknowledged.discard)(one)
        return True


def _subscriptions(placed: Placed, address: int, properties: set[str]) -> list[Subscription]:
    models = placed.part.models
    return [(placed.at(at), model.text, address) for name, (at, model) in models.items() if name in properties]


def _free(addresses: dict[str, int], acknowledged: set[Subscription]) -> int | None:
    """One that no group has, and that no model listens to any more."""
    taken = set(addresses.values()) | {address for _, _, address in acknowledged}
    return next((address for address in range(FIRST, LAST_GROUP + 1) if address not in taken), None)
