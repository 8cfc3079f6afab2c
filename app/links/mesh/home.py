"""A home's mesh while the hub runs: its client, who is there, what they say, and what is still to be told to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog
from msgspec import Struct

from app.control.model import Command
from app.control.service import Control
from app.devices.model import MESH as LINK
from app.devices.service import Devices
from app.groups.access import GroupAccess
from app.links.mesh import leaving, queries
from app.links.mesh.grouping import STATUS_GROUP, Grouping
from app.links.mesh.kinds import prefix
from app.links.mesh.obeying import Obeying
from app.links.mesh.placing import Placed, Places, parts_told
from app.links.mesh.polling import Polling
from app.links.mesh.reporting import Reporting
from app.links.mesh.store import HomeStore
from app.store.store import Store
from app.store.tx import Tx
from ble.errors import BleError
from ble.mesh.access import Message
from ble.mesh.client import PATIENCE, MeshClient, Patience
from ble.mesh.config.indexes import KeyPair
from ble.mesh.configure import Setup, Unanswered
from ble.mesh.exchange import Received
from ble.mesh.presence import Presence
from ble.mesh.state import NodeRow
from ble.radio import Radio

RESTART_S = 5.0
_log = structlog.get_logger("doorstep.mesh")


class Pace(Struct, frozen=True, kw_only=True):
    """Seconds: between two polls of all nodes, between two tries at what could not be done, and for a node that was
    reset to be heard as new. `misses`: polls without an answer until a node is away. `rounds`: tries at resetting one
    before the keys are changed without it.
    """

    poll_s: float = 60.0
    again_s: float = 60.0
    misses: int = 3
    rounds: int = 3
    forgets_s: float = leaving.HEARD_WITHIN_S
    patience: Patience = PATIENCE


class Hub(Struct, frozen=True):
    """What a home's mesh needs of its hub."""

    store: Store
    devices: Devices
    control: Control
    groups: GroupAccess
    radio: Radio
    reporting: Reporting
    pace: Pace


class HomeMesh:
    """`open`, then it lives until `close`; a network that has failed is taken up again."""

    def __init__(self, hub: Hub, home_id: str) -> None:
        self.home_id = home_id
        self.places = Places(hub.devices)
        self._hub = hub
        self._client: MeshClient | None = None
        self._obeying: Obeying | None = None
        self._grouping = Grouping(hub.store, hub.groups, home_id, self.places)
        self._there: set[int] = set()
        self._presence = Presence(self._changed, hub.pace.misses)
        self._one = asyncio.Lock()
        self._ready = asyncio.Event()
        self._news, self._to_ask = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed: dict[int, int] = {}
        self.settled = asyncio.Event()
        """Set while every node knows what it is to know."""

    @property
    def client(self) -> MeshClient:
        """Its client; only while the network is up."""
        assert self._client is not None
        return self._client

    @property
    def counts(self) -> tuple[int, int]:
        """How many models listen to groups, and messages were sent to groups since the network is up."""
        return self._grouping.listeners, 0 if self._obeying is None else self._obeying.group_messages

    def open(self) -> None:
        self._task = asyncio.create_task(self._live(), name="mesh")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def learn(self) -> None:
        """Devices, groups or nodes have changed."""
        if self._client is None:
            return
        self.places.learn(self._client.state)
        for address in self._there:
            for placed in self.places.on(address):
                if (live := self._hub.devices.memory.get(placed.device_id)) is not None and not live.online:
                    self._hub.devices.online(placed.device_id, LINK)
        self.settled.clear()
        self._news.set()
        self._to_ask.set()

    @asynccontextmanager
    async def held(self, within: float = 15.0) -> AsyncIterator[MeshClient]:
        """Its client, while nobody else changes nodes or keys. Raises TimeoutError where it does not come up."""
        async with self._one:
            async with asyncio.timeout(within):
                await self._ready.wait()
            try:
                yield self.client
            finally:
                self.learn()

    # what control asks

    def is_there(self, device_id: str) -> bool:
        """Whether a command goes out now. From any thread."""
        placed = self.places.get(device_id)
        return placed is not None and self._obeying is not None and placed.address in self._there

    def obey(self, commands: list[Command]) -> None:
        """Of one device; or of a group's devices, who are all to do the same."""
        each = [(placed, one) for one in commands if (placed := self.places.get(one.device_id)) is not None]
        if self._obeying is None or not each:
            return
        address = self._one_address(each) if len(each) > 1 else None
        if address is not None:
            self._obeying.start_group(each, address)
            return
        for placed, command in each:
            self._obeying.start(placed, command)

    def _one_address(self, each: list[tuple[Placed, Command]]) -> int | None:
        first = each[0][1]
        if first.group_id is None:
            return None
        return self._grouping.address_of(first.group_id, [placed for placed, _ in each], set(first.body.values))

    # its life

    async def _live(self) -> None:
        while True:
            try:
                await self._run()
            except Exception as error:  # whatever it was, the home's devices want their network back
                _log.warning("a mesh has failed", home=self.home_id, cause=str(error), exc_info=error)
            await asyncio.sleep(RESTART_S)

    async def _run(self) -> None:
        hub, pace = self._hub, self._hub.pace
        kept = HomeStore(hub.store, self.home_id)
        async with MeshClient(hub.radio, kept, patience=pace.patience) as client:
            client.hear(groups=[STATUS_GROUP])
            await self._grouping.load()
            app_key = min(client.state.app_keys, default=0)
            self._obeying = Obeying(client, hub.control, hub.store.clock, app_key, self._presence.missed)
            polling = Polling(client, self.places, self._obeying, self._presence.missed, pace.poll_s)
            self._client = client
            await hub.store.write(self._forsake_in)
            self.learn()
            self._ready.set()
            stop = client.on_message(partial(self._heard, self._obeying))
            tasks = [asyncio.create_task(work) for work in (polling.run(self._until_asked), self._keep(client))]
            try:
                error = await _first(client.ended, tasks)
                raise error
            finally:
                stop()
                self._ready.clear()
                self._client = None
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._obeying.close()
                self._obeying = None
                self._all_away()

    async def _until_asked(self, seconds: float) -> None:
        """Return after so many seconds, or when something has changed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._to_ask.wait()
        self._to_ask.clear()

    def _forsake_in(self, tx: Tx) -> None:
        """Nodes that nobody has: the hub was stopped before a device was joined, or after it had left."""
        for node in queries.nodes(tx, self.home_id):
            queries.let_go(tx, self.home_id, node.uuid, prefix(node.uuid))

    async def _keep(self, client: MeshClient) -> None:
        """Have nodes leave, and groups be known; again after a while where that could not be."""
        while True:
            self._news.clear()
            self.settled.clear()
            done = await self._have_leave(client)
            async with self._one:
                self.places.learn(client.state)
                done &= await self._grouping.settle(client)
            if done and not self._news.is_set():
                self.settled.set()
            wait = None if done else self._hub.pace.again_s
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _have_leave(self, client: MeshClient) -> bool:
        gone = await self._hub.store.read(lambda reader: queries.leaving(reader, self.home_id))
        done = True
        for address, uuid in gone.items():
            async with self._one:
                if address in client.state.nodes:
                    done &= await self._let_go(client, address, uuid)
        return done

    async def _let_go(self, client: MeshClient, address: int, uuid: bytes) -> bool:
        """Whether the node is out of the network."""
        try:
            await leaving.told_to_forget(client, self._hub.radio, address, uuid, self._hub.pace.forgets_s)
        except (Unanswered, BleError) as error:
            self._failed[address] = self._failed.get(address, 0) + 1
            _log.info("a mesh node does not leave", node=address, cause=str(error), tries=self._failed[address])
            if self._failed[address] < self._hub.pace.rounds or not self._all_there(address):
                return False
            try:
                await leaving.shut_out(client, address)
            except BleError as refused:
                _log.info("the keys of a mesh cannot be changed yet", cause=str(refused))
                return False
        else:
            await self._confirm_reset(client.state.nodes[address])
        await client.remove_node(address)
        self._failed.pop(address, None)
        self._there.discard(address)
        self._presence.forget(address)
        return True

    async def _confirm_reset(self, node: NodeRow) -> None:
        """Its devices were perhaps reset, and wait for word that they have forgotten."""
        for part in parts_told(node.composition):
            await self._hub.devices.resets.confirmed(part.hardware_id(node.uuid))

    def _all_there(self, but: int) -> bool:
        """Nobody is shut out because its power was off when the keys were changed."""
        return all(address == but or address in self._there for address in self.client.state.nodes)

    # who is there, and what they say

    def _heard(self, obeying: Obeying, event: Received, message: Message) -> None:
        node = self.client.state.node_of(event.src)
        if node is None:
            return
        self._presence.heard(node.address)
        if node.address not in self._there:
            self._there.add(node.address)
            for placed in self.places.on(node.address):
                self._hub.devices.online(placed.device_id, LINK)
        for placed in self.places.on(node.address):
            self._hub.reporting.heard(placed, event.src, message, obeying.kelvin.get(placed.device_id))

    def _changed(self, address: int, away: bool) -> None:
        if away:
            self._there.discard(address)
            for placed in self.places.on(address):
                self._hub.devices.offline(placed.device_id, LINK)

    def _all_away(self) -> None:
        for address in tuple(self._there):
            self._changed(address, True)


def setup_of(client: MeshClient) -> Setup:
    """What nodes of this network are given."""
    app = client.state.app_keys[min(client.state.app_keys)]
    net = client.state.net_keys[app.net_index]
    return Setup(keys=KeyPair(net.index, app.index), app_key=app.sending(net.phase), publish_to=STATUS_GROUP)


async def _first(ended: Callable[[], Awaitable[BaseException]], tasks: list[asyncio.Task[None]]) -> BaseException:
    """What the network, or one of the tasks that are not to end, has ended with."""
    network = asyncio.ensure_future(ended())
    done, _ = await asyncio.wait((network, *tasks), return_when=asyncio.FIRST_COMPLETED)
    if network in done:
        return network.result()
    network.cancel()
    return next(iter(done)).exception() or RuntimeError("a task of a mesh has ended")
