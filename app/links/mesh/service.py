"""The meshes of a hub's homes: for pairing the networks that devices join, for control the link that reaches them."""

import asyncio
import secrets
import uuid as uuids
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from app.caller import Caller
from app.control.model import OF_THE_MODEL, Command
from app.control.service import Control
from app.devices.model import MESH as LINK
from app.devices.model import Device, NewDevice
from app.devices.service import Devices
from app.errors import Conflict
from app.groups.access import GroupAccess
from app.homes.model import Home as HomeRow
from app.links.mesh import queries
from app.links.mesh.home import HomeMesh, Hub, Pace, setup_of
from app.links.mesh.kinds import numbered, prefix, uuid_of
from app.links.mesh.placing import parts_told
from app.links.mesh.reporting import Reporting
from app.links.mesh.store import HomeStore, forget_in
from app.store.store import Store
from app.store.tx import Event, Tx
from ble.mesh.client import MeshClient
from ble.mesh.configure import Setup
from ble.mesh.crypto import KEY_SIZE
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.state import MeshState
from ble.radio import Radio
from pairing.methods.mesh import JoinedNode
from pairing.methods.method import MethodFailedError
from pairing.session.log import JoinRefusedError
from pairing.session.states import SessionState


class Mesh:
    """`pairing.methods.mesh.Networks` for the session, and `app.control.link.Link` for control."""

    carries: Final = OF_THE_MODEL

    def __init__(self, store: Store, devices: Devices, control: Control, groups: GroupAccess) -> None:
        self._store, self._devices, self._control, self._groups = store, devices, control, groups
        self._reporting = Reporting(store, devices)
        self._hub: Hub | None = None
        self._homes: dict[str, HomeMesh] = {}
        self._batch: list[Command] = []
        self._ending: set[asyncio.Task[None]] = set()
        control.links[LINK] = self
        devices.on_leaving.append(self._leaving_in)
        devices.on_unbinding.append(self._leaving_in)
        devices.registry.on_bound.append(self._bound_in)
        devices.transfers.on_moving.append(_stays)
        devices.freezing.on_unfrozen.append(self._learn_of)

    async def open(self, radio: Radio, pace: Pace | None = None) -> None:
        """Take up every home's network over this radio."""
        self._hub = Hub(self._store, self._devices, self._control, self._groups, radio, self._reporting, pace or Pace())
        self._store.listen(self._told)
        for home_id in await self._store.read(queries.homes):
            self._take_up(home_id)

    async def close(self) -> None:
        """Let every proxy go."""
        self._hub = None
        homes, self._homes = self._homes, {}
        await asyncio.gather(*(home.close() for home in homes.values()), *self._ending)

    def home(self, home_id: str) -> HomeMesh | None:
        """A home's mesh, where it has one and the hub runs it."""
        return self._homes.get(home_id)

    @property
    def listeners(self) -> int:
        """How many models of nodes listen to a group."""
        return sum(home.counts[0] for home in self._homes.values())

    @property
    def group_messages(self) -> int:
        """How many messages were sent to groups."""
        return sum(home.counts[1] for home in self._homes.values())

    def _take_up(self, home_id: str) -> HomeMesh | None:
        if self._hub is None:
            return None
        home = self._homes.get(home_id)
        if home is None:
            home = self._homes[home_id] = HomeMesh(self._hub, home_id)
            home.open()
        return home

    @asynccontextmanager
    async def stopped(self, home_id: str) -> AsyncIterator[None]:
        """Nothing is sent or kept for the home's network meanwhile; then it is taken up as it is on disk."""
        home = self._homes.pop(home_id, None)
        if home is not None:
            await home.close()
        try:
            yield
        finally:
            if await self._store.read(lambda reader: queries.network(reader, home_id)) is not None:
                self._take_up(home_id)

    # pairing

    @asynccontextmanager
    async def network(self, home: str) -> AsyncIterator["Joining"]:
        """See the Protocol."""
        await self._store.write(lambda tx: self._ensure_in(tx, home))
        mesh = self._take_up(home)
        if mesh is None:
            raise MethodFailedError("mesh_busy")
        try:
            async with mesh.held() as client:
                yield Joining(self._store, home, client)
        except TimeoutError:
            raise MethodFailedError("mesh_busy") from None

    def _ensure_in(self, tx: Tx, home_id: str) -> None:
        if queries.network(tx, home_id) is None:
            HomeStore(self._store, home_id).create_in(tx, _new_network(), str(uuids.uuid4()))

    def devices_of(self, session: SessionState, joined: JoinedNode) -> list[NewDevice]:
        """What a node is to the home of its session. Raises JoinRefusedError where the hub has no use for it."""
        parts = parts_told(joined.page)
        if not parts:
            raise JoinRefusedError("unknown_product", product="mesh")
        name = session.request.inputs.get("name", "") if session.request.want == 1 else ""
        return [
            NewDevice(
                home_id=session.request.home,
                hardware_id=part.hardware_id(joined.uuid),
                product_id=part.product,
                link=LINK,
                trust=joined.trust,
                name=numbered(name or joined.name, place),
            )
            for place, part in enumerate(parts, 1)
        ]

    # control

    def is_online(self, device_id: str) -> bool:
        """Whether its node answers, as far as is known."""
        home = self._home_of(device_id)
        return home is not None and home.is_there(device_id)

    def send(self, device_id: str, command: Command) -> bool:
        """Hand the command to the device's node; those of one act on a group go as one message, where that can be."""
        if not self.is_online(device_id):
            return False
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._send_out)
        self._batch.append(command)
        return True

    def _send_out(self) -> None:
        """All that one commit has queued: a group's commands are of one act, and alike."""
        batch, self._batch = self._batch, []
        together: dict[tuple[object, ...], list[Command]] = {}
        for command in batch:
            act = (command.group_id, command.created_at, str(command.body)) if command.group_id else (command.id,)
            together.setdefault(act, []).append(command)
        for commands in together.values():
            home = self._home_of(commands[0].device_id)
            if home is not None:
                home.obey(commands)

    def _home_of(self, device_id: str) -> HomeMesh | None:
        live = self._devices.memory.get(device_id)
        return None if live is None else self._homes.get(live.device.home_id)

    # other nouns

    def _bound_in(self, tx: Tx, by: Caller, device: Device, new: NewDevice) -> None:
        if uuid := uuid_of(device.hardware_id):
            queries.stay(tx, device.home_id, uuid)

    def _leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A node is told to forget its network with the last of its devices."""
        if uuid := uuid_of(device.hardware_id):
            queries.let_go(tx, device.home_id, uuid, prefix(uuid), device.id)

    def _learn_of(self, device: Device) -> None:
        """It may be used again: it is there, where its node answers."""
        if device.link == LINK and (home := self._homes.get(device.home_id)) is not None:
            home.learn()

    def home_dissolving_in(self, tx: Tx, by: Caller, home: HomeRow) -> None:
        """A home's network ends with it, and its keys."""
        forget_in(tx, self._store.vault, home.id)
        tx.after(lambda: self._end(home.id))

    def _end(self, home_id: str) -> None:
        mesh = self._homes.pop(home_id, None)
        if mesh is not None:
            task = asyncio.create_task(mesh.close(), name="end mesh")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _told(self, events: list[Event]) -> None:
        """Committed: who is where, and in which group, may be another now."""
        for home_id in {event.home_id for event in events if event.kind == "group" or event.type in _PLACING}:
            if home_id is not None and (home := self._homes.get(home_id)) is not None:
                home.learn()


class MeshStays(Conflict):
    """The device belongs to its home's mesh, whose keys the other home does not have."""

    code = "mesh_stays"
    hint = "Remove it here, and add it in the other home."


def _stays(tx: Tx, by: Caller, device: Device) -> None:
    if device.link == LINK:
        raise MeshStays


_PLACING = frozenset(("device.added", "device.rebound", "device.removed", "device.unbound"))


class Joining(Struct, frozen=True):
    """`pairing.methods.mesh.Home`: a network while a device is let into it."""

    store: Store
    home_id: str
    client: MeshClient

    @property
    def setup(self) -> Setup:
        return setup_of(self.client)

    async def let_go(self, uuid: bytes) -> None:
        await self.store.write(lambda tx: queries.let_go(tx, self.home_id, uuid, prefix(uuid)))


def _new_network() -> MeshState:
    state = MeshState(device_key=secrets.token_bytes(KEY_SIZE))
    state.net_keys[0] = NetKey(index=0, key=secrets.token_bytes(KEY_SIZE))
    state.app_keys[0] = AppKey(index=0, net_index=0, key=secrets.token_bytes(KEY_SIZE))
    return state
