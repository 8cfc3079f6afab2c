"""A home's mesh as a file that other provisioners read (Mesh Configuration Database), out of the hub and into it.

The file has every key. Both ways are the home owner's, and are noted in its audit trail.
"""

import secrets
import uuid as uuids
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.caller import Caller, demand
from app.clock import to_time
from app.devices.model import MESH as LINK
from app.devices.model import REGISTERED, NewDevice
from app.devices.service import Devices
from app.errors import Conflict, Invalid, NotFound
from app.groups.access import GroupAccess
from app.homes import queries as home_queries
from app.homes.standing import Standings
from app.links.mesh import queries
from app.links.mesh.grouping import STATUS_GROUP
from app.links.mesh.kinds import Part, numbered
from app.links.mesh.placing import composition_of, parts_told
from app.links.mesh.service import Mesh
from app.links.mesh.store import HomeStore, forget_in
from app.policy import Action
from app.store.store import Store
from app.store.tx import Change, Tx
from ble.mesh.cdb.convert import About, ModelSetting, export, to_state
from ble.mesh.cdb.file import DatabaseInvalid, dump, load
from ble.mesh.cdb.schema import Database
from ble.mesh.crypto import KEY_SIZE
from ble.mesh.model_id import ModelId, from_text
from ble.mesh.models.known import is_bindable
from ble.mesh.state import MeshState, NodeRow

# What the hub gives nodes; the rest is for other provisioners, and for a hub that must take another address.
GIVEN: Final = (0x0001, 0x3FFF)
# Named after a home, so that every export of it says the same of who made it.
_OURS: Final = uuids.UUID("6f3d6a0e-5a1f-4d55-9f4e-0c7a0d5ce001")


class MeshInUse(Conflict):
    """The home has a mesh with devices in it."""

    code = "mesh_in_use"
    hint = "Remove its mesh devices first: they forget the network, and can be added to another."


class Imported(Struct, frozen=True):
    """What came in: the devices there are now, and how many nodes the hub has no use for but knows of."""

    device_ids: list[str]
    other_nodes: int


class MeshMoving:
    """Out and in, for the owner of a home."""

    def __init__(self, store: Store, standings: Standings, devices: Devices, groups: GroupAccess, mesh: Mesh) -> None:
        self._store, self._standings, self._devices = store, standings, devices
        self._groups, self._mesh = groups, mesh

    async def export(self, by: Caller, home_id: str) -> bytes:
        """The file. Raises NotFound (also where the home has no mesh), Refused."""
        return await self._store.write(lambda tx: self.export_in(tx, by, home_id))

    def export_in(self, tx: Tx, by: Caller, home_id: str) -> bytes:
        """`export` inside `tx`."""
        self._demand(tx, by, home_id)
        state, row = HomeStore(self._store, home_id).load_in(tx), queries.network(tx, home_id)
        if state is None or row is None:
            raise NotFound("the home has no mesh")
        tx.record(by.actor, _told("mesh.exported", home_id, {"nodes": len(state.nodes)}))
        home = home_queries.home(tx, home_id)
        about = About(
            mesh_uuid=uuids.UUID(row.network_id).bytes,
            own_uuid=uuids.uuid5(_OURS, home_id).bytes,
            name="" if home is None else home.name,
            timestamp=to_time(tx.now).strftime("%Y-%m-%dT%H:%M:%SZ"),
            unicast=GIVEN,
            groups=self._group_names(tx, home_id),
            models=_settings(state, queries.subscriptions(tx, home_id)),
        )
        return dump(export(state, about))

    def _group_names(self, tx: Tx, home_id: str) -> dict[int, str]:
        names = {address: self._groups.name_of(group) for group, address in queries.groups(tx, home_id).items()}
        return {STATUS_GROUP: "Hub"} | names

    async def take_in(self, by: Caller, home_id: str, said: dict[str, Any], iv_index: int) -> Imported:
        """Make the network of a file the home's. Raises NotFound, Refused, Invalid, MeshInUse, TooMany.

        The hub takes an address of its own, at random and high up: what the file's provisioners have used, or another
        import of the same file, it cannot know.
        """
        try:
            database = load(msgspec.json.encode(said))
            state = _joined(database, iv_index)
        except DatabaseInvalid as error:
            raise Invalid(str(error)) from error
        if (known := await self._store.answered(by.once, Imported)) is not None:
            return known.answer
        network_id = str(uuids.UUID(database.mesh_uuid))
        # Refused before anything is stopped; asked again where it counts.
        await self._store.write(lambda tx: self._check_in(tx, by, home_id))
        async with self._mesh.stopped(home_id):
            return await self._store.write(
                lambda tx: self.take_in_in(tx, by, home_id, state, network_id), once=by.once, returns=Imported
            )

    def take_in_in(self, tx: Tx, by: Caller, home_id: str, state: MeshState, network_id: str) -> Imported:
        """`take_in` inside `tx`."""
        self._check_in(tx, by, home_id)
        forget_in(tx, self._store.vault, home_id)
        HomeStore(self._store, home_id).create_in(tx, state, network_id)
        device_ids: list[str] = []
        others = 0
        for node in state.nodes.values():
            parts = parts_told(node.composition)
            if not parts:
                queries.keep_apart(tx, home_id, node.address)
                others += 1
            for place, part in enumerate(parts, 1):
                device_ids.append(self._devices.bind_in(tx, by, _device(home_id, node, part, place)).id)
        tx.record(by.actor, _told("mesh.imported", home_id, {"nodes": len(state.nodes), "devices": len(device_ids)}))
        return Imported(device_ids, others)

    def _check_in(self, tx: Tx, by: Caller, home_id: str) -> None:
        self._demand(tx, by, home_id)
        if queries.nodes(tx, home_id):
            raise MeshInUse

    def _demand(self, tx: Tx, by: Caller, home_id: str) -> None:
        demand(by.actor, Action.MESH_MANAGE, self._standings.home_in(tx, by.actor, home_id), tx.moment)


def _joined(database: Database, iv_index: int) -> MeshState:
    """The hub as a new member of the network. Raises DatabaseInvalid."""
    state = to_state(database, own_uuid=secrets.token_bytes(16), iv_index=iv_index)
    if not state.app_keys:
        raise DatabaseInvalid("a network without an application key")
    state.device_key = secrets.token_bytes(KEY_SIZE)
    state.jump(-1.0, secrets.randbelow)
    return state


def _settings(state: MeshState, subscriptions: set[tuple[int, str, int]]) -> dict[tuple[int, ModelId], ModelSetting]:
    """What each model is bound to and listens to, as far as the hub has told it."""
    listens: dict[tuple[int, ModelId], list[int]] = {}
    for element, model, address in sorted(subscriptions):
        listens.setdefault((element, from_text(model)), []).append(address)
    return {
        (node.address + index, model): ModelSetting(
            tuple(node.app_keys), tuple(listens.get((node.address + index, model), ()))
        )
        for node in state.nodes.values()
        if (made := composition_of(node.composition)) is not None
        for index, element in enumerate(made.elements)
        for model in element.models
        if is_bindable(model)
    }


def _device(home_id: str, node: NodeRow, part: Part, place: int) -> NewDevice:
    return NewDevice(
        home_id=home_id,
        hardware_id=part.hardware_id(node.uuid),
        product_id=part.product,
        link=LINK,
        trust=REGISTERED,
        name=numbered(node.name, place)[:64],
    )


def _told(kind: str, home_id: str, data: dict[str, Any]) -> Change:
    return Change(kind, "home", home_id, home_id, Action.MESH_MANAGE, data)
