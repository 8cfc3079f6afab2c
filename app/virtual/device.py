"""A virtual device, whole: announced, paired, linked, obeying. `async with VirtualDevice(product) as lamp: ...`."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from msgspec.structs import replace

from app.devices.product.model import Product
from app.devices.product.values import Value
from app.virtual.accepting import Accepting
from app.virtual.body import Changes
from app.virtual.children import Children
from app.virtual.face import Announcing, Face
from app.virtual.joining import Joining
from app.virtual.kinds import body_of
from app.virtual.linking import Linking
from app.virtual.memory import KeptState, Memory, MemoryStore, without_token
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.notices import Notice, Notices
from app.virtual.parts import Parts, Place
from app.virtual.setup import Setup, WifiSetup
from app.virtual.station import ListedNetworks, Station
from ble.errors import NotOffered, RadioOff
from pairing import device as memory
from pairing.activation.device import label_record
from pairing.activation.exchange import normal_pin
from pairing.device import DeviceStore, Facts
from pairing.errors import PairingError
from pairing.gatt.device import Inside
from pairing.gatt.profile import announcement
from pairing.mdns import Announcer, Service, announcing, device_service
from pairing.qr import label
from pairing.spake2plus import Record
from pairing.token import hint_of

FIRMWARE = "1.0.0"


class VirtualDevice:
    """On while the context lasts. `store` is its disk: give the same again and it is the same device, come back.

    `tell` is called with each notice; `wait` awaits one. `died` is set once a `dies_at` has come: it is off then, and
    stays so. `setup` is how it is told its network, `station` where it joins that; without them it hangs on a cable.
    `bluetooth` is its face where it has no network at all, and is paired and linked over Bluetooth LE.
    `waiting` are the devices that join behind it, where it is a gateway, as soon as it lets any.
    `broken` is set once it cannot go on: leaving raises why.
    Entering raises StorageFailedError, OSError where it cannot listen, RadioOff where there is no air.
    """

    def __init__(
        self,
        product: Product,
        *,
        name: str = "",
        pin: str | None = None,
        store: DeviceStore | None = None,
        place: Place | None = None,
        how: Misbehaviour | None = None,
        tell: Callable[[Notice], None] | None = None,
        setup: Setup | None = None,
        station: Station | None = None,
        bluetooth: Face | None = None,
        waiting: Sequence[Product] = (),
    ) -> None:
        self.body = body_of(product)
        self.died = asyncio.Event()
        self.broken = asyncio.Event()
        self._name = name or product.name
        self._pin = normal_pin(pin)
        self._store = store or MemoryStore()
        self._place = place or Place()
        self._how = how or Misbehaviour()
        self._notices = Notices(tell)
        self._told_by = setup
        self._station = station or ListedNetworks({})
        self._face = bluetooth
        self._waiting = waiting
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._off_air: Callable[[], Awaitable[None]] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def id(self) -> str:
        """Its own id, made of its key."""
        return self.state.identity.device_id

    @property
    def state(self) -> KeptState:
        """What is on its disk."""
        return self._parts.memory.state

    @property
    def port(self) -> int:
        """Where it is paired."""
        return self._joining.port

    def label(self, *transports: str) -> str:
        """What its label says, PIN and all; raises UnreadableCodeError where the PIN cannot be printed."""
        return label.write(self.id, pin=self._pin or "", product=self.body.product.id, transports=transports)

    async def wait(self, event: str) -> Notice:
        """The oldest notice of this event that nobody has waited for yet, now or when it comes."""
        return await self._notices.wait(event)

    async def reset(self) -> None:
        """Somebody presses its button: everything but its identity is forgotten. Raises StorageFailedError."""
        await self._joining.hang_up()
        await self._linking.say_reset()
        await self._parts.memory.change(memory.physical_reset)
        self.body.wake({})
        self._notices.tell("reset", by="hand")

    async def put(self, service: str, values: Mapping[str, Value]) -> None:
        """Somebody does something to it: opens the door, switches the lamp. Raises ValueUnfit, StorageFailedError."""
        changes = self.body.put(service, values)
        kept = self.body.kept()
        await self._parts.memory.change(lambda state: replace(state, values=kept))
        await self._live(changes)

    async def _start(self, stack: AsyncExitStack) -> None:
        state = await Memory.open(self._store, secrets.token_bytes)
        stack.push_async_callback(state.close)
        self.body.wake(state.state.values)
        pin, identity = self._pin, state.state.identity
        record = await asyncio.to_thread(label_record, identity, pin) if pin else None
        self._parts = self._made_of(state, record)
        self._joining = Joining(self._parts, self._die)
        accepting = Accepting(self._parts, self._joining.free, self._die) if self._face else None
        self._linking = accepting or Linking(self._parts, self._joining.free, self._die)
        if self._parts.children is not None:
            self._parts.children.say = self._linking.say
            stack.push_async_callback(self._parts.children.close)
        stack.push_async_callback(self._end_tasks)
        if self._face is not None and accepting is not None:
            inside = Inside(identity.fingerprint, self._joining.accept, accepting.accept, _no_token)
            await self._live_on_bluetooth(await stack.enter_async_context(self._face.open(inside, self._name)))
            stack.push_async_callback(self._end_tasks)  # before it goes off the air
        elif self._parts.wifi is None:
            await self._live_on_network(stack)
        else:
            self._begin(self._live_on_wifi(self._parts.wifi))

    async def _live_on_bluetooth(self, air: Announcing) -> None:
        """Announce, be spoken to, and age."""
        await air.announce(self._announcement())
        self._tell_ready(over="bluetooth", address=air.address)
        self._off_air = air.close
        for work in (self._keep_advertised(air), self._age(), _until_lost(air.lost)):
            self._begin(work)

    def _announcement(self) -> bytes:
        state = self.state
        return announcement(state.identity.fingerprint, paired=state.paired, pin=self._pin is not None)

    async def _keep_advertised(self, air: Announcing) -> None:
        while True:
            said = self._announcement()
            await air.announce(said)
            await self._parts.memory.until(lambda _, said=said: self._announcement() != said)  # type: ignore[misc]

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda task: None if task.cancelled() or not task.exception() else self.broken.set())
        self._tasks.append(task)

    def _tell_ready(self, **where: Any) -> None:
        product = self._parts.facts.product
        ready = {"id": self.id, "product": product, "name": self._name, "paired": self.state.paired, "auth": self._auth}
        self._notices.tell("ready", **ready, **where)

    async def _live_on_wifi(self, wifi: WifiSetup) -> None:
        """Told a network, on it until its hub has it try another, or a reset by hand makes it forget all."""
        while True:
            await wifi.join()
            async with AsyncExitStack() as stack:
                await self._live_on_network(stack)
                await wifi.elsewhere()
            await wifi.leave()

    async def _live_on_network(self, stack: AsyncExitStack) -> None:
        """Listen, announce, link and age until the stack is unwound."""
        await self._joining.start()
        stack.push_async_callback(self._joining.stop)
        announcer = await self._announce(stack)
        self._tell_ready(host=self._place.host or "*", port=self.port)
        doing = [self._linking.run(), self._age(), self._forget_token()]
        if announcer is not None:
            doing.append(self._keep_announced(announcer))
        tasks = [asyncio.create_task(work) for work in doing]
        self._tasks += tasks
        stack.push_async_callback(self._end, tasks)

    @property
    def children(self) -> Children:
        """The devices behind it. Raises ValueError where it is no gateway."""
        if self._parts.children is None:
            raise ValueError("it is no gateway")
        return self._parts.children

    def _made_of(self, state: Memory, record: Record | None) -> Parts:
        product = self.body.product
        children = Children(self.body, state, self._notices, waiting=self._waiting) if product.gateway else None
        wifi = WifiSetup(self._told_by, self._station, state, self._notices) if self._told_by else None
        serial = f"V{state.state.identity.device_id[2:10].upper()}"
        return Parts(
            facts=Facts(product.id, self._name, FIRMWARE, serial),
            pin=self._pin,
            record=record,
            body=self.body,
            memory=state,
            notices=self._notices,
            place=self._place,
            how=self._how,
            children=children,
            wifi=wifi,
        )

    @property
    def _auth(self) -> str:
        return "pin" if self._pin else "open"

    def _service(self, paired: bool) -> Service:
        token = self._parts.memory.state.token
        return device_service(
            self.id,
            product=self.body.product.id,
            port=self.port,
            paired=paired,
            auth=self._auth,
            name=self._name,
            hint=hint_of(token, self.id) if token and not paired else "",
        )

    async def _announce(self, stack: AsyncExitStack) -> Announcer | None:
        if not self._place.announced:
            return None
        try:
            return await stack.enter_async_context(announcing(self._service(self.state.paired), self._place.interfaces))
        except PairingError as error:
            # It can still be added by its address, and reaches a hub it knows.
            self._notices.tell("unannounced", code=error.code)
            return None

    async def _keep_announced(self, announcer: Announcer) -> None:
        while True:
            await self._parts.memory.until(lambda state: not state.paired)
            await announcer.announce(self._service(paired=False))
            await self._parts.memory.until(lambda state: state.paired)
            await announcer.announce(self._service(paired=True))

    async def _forget_token(self) -> None:
        token = self.state.token
        if token:
            await asyncio.sleep(self._place.token_life)
            await self._parts.memory.change(lambda now: without_token(now) if now.token == token else now)

    async def _age(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(self._place.tick)
            now = time.monotonic()
            changes = self.body.tick(now - last, self._parts.chance)
            await self._live(changes)
            if self._parts.children is not None:
                await self._parts.children.tick(now - last, self._parts.chance)
            last = now

    async def _live(self, changes: Changes) -> None:
        for service, values in changes.items():
            self._notices.tell("values", service=service, values=values)
        await self._linking.report(changes)

    def _die(self, step: str) -> None:
        self._notices.tell("died", step=step)
        self.died.set()
        self._tasks.append(asyncio.create_task(self._go_off()))

    async def _go_off(self) -> None:
        for task in self._tasks[:-1]:
            task.cancel()
        await self._joining.stop()
        if self._off_air is not None:
            await self._off_air()

    async def _end_tasks(self) -> None:
        await self._end(self._tasks)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        ending = list(tasks)
        for task in ending:
            # Cancelled twice, it would leave open what it is closing.
            if not task.cancelling():
                task.cancel()
        ended = await asyncio.gather(*ending, return_exceptions=True)
        self._tasks = [task for task in self._tasks if task not in ending]
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome


def _no_token(_: bytes) -> None:
    raise NotOffered("it joins no network")


async def _until_lost(lost: asyncio.Future[None]) -> None:
    await asyncio.shield(lost)
    raise RadioOff("the virtual air has gone")
