"""A virtual mesh node on a virtual radio: a provisionee, configuration server and models, as a process of its own."""

import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.virtual.notices import Notice, Notices
from ble.mesh import pb_gatt
from ble.mesh.models.onoff import OnOffServer
from ble.mesh.node import products
from ble.mesh.node.faults import AnyFault
from ble.mesh.node.memory import Kept
from ble.mesh.node.peripheral import PROXY_IN, PROXY_OUT, PROXY_SERVICE
from ble.mesh.node.peripheral import Peripheral as Node
from ble.mesh.node.products import Product
from ble.mesh.provisioning.device import Device
from ble.mesh.provisioning.pdus import CMAC, HMAC, Capabilities, OobType, OutputAction
from ble.mesh.store import write_whole
from ble.virtual.peripheral import Characteristic, Peripheral, Service
from pairing.methods.mesh import candidate_id

TICK_S: Final = 0.02
SHOWN_DIGITS: Final = 4
UUID_BYTES: Final = 16
_KINDS: Final[dict[str, Callable[[], Product]]] = {
    "lamp": products.dimmable,
    "mesh_lamp": products.dimmable,
    "mesh_white_lamp": products.tunable,
    "mesh_colour_lamp": products.coloured,
    "mesh_sensor": products.thermometer,
}
SWITCHES: Final = "mesh_switch"


class Options(Struct, frozen=True, kw_only=True):
    """What `MeshNode` is. `outlets`: of a switch. `static`: the secret on its label; `shows`: a number it displays."""

    air: int
    product: str = "lamp"
    outlets: int = 1
    state: Path | None = None
    static: bytes | None = None
    shows: bool = False
    fault: AnyFault | None = None


class _Disk(Struct):
    """All that outlives the process."""

    uuid: bytes
    kept: Kept | None = None


def kinds() -> list[str]:
    """What a mesh node can be."""
    return [*_KINDS, SWITCHES]


def maker(product: str, outlets: int) -> Callable[[], Product] | None:
    """What makes a node of this kind; None where there is none."""
    return (lambda: products.sockets(outlets)) if product == SWITCHES else _KINDS.get(product)


async def run(options: Options, tell: Callable[[Notice], None]) -> None:
    """Be a mesh node until SIGINT or SIGTERM, or until its air has gone; SIGUSR1 is its button. Raises RadioOff."""
    async with MeshNode(options, tell) as node:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGUSR1, node.reset)
        node.lost.add_done_callback(lambda _: ended.set())
        await ended.wait()


class MeshNode:
    """`async with MeshNode(options, tell)`: on the air until it is left. Raises RadioOff where there is no such air."""

    def __init__(self, options: Options, tell: Callable[[Notice], None]) -> None:
        make = maker(options.product, options.outlets)
        if make is None:
            raise ValueError(f"no mesh node {options.product!r}; there are {', '.join(kinds())}")
        self.notices = Notices(tell)
        self._options = options
        self._disk = _read(options.state)
        self.node = Node(
            make,
            self._disk.uuid,
            entropy=secrets.token_bytes,
            fault=options.fault,
            device=_device(options, len(make().elements)),
            kept=self._disk.kept,
            save=self._save,
        )
        self.node.on_attention = lambda seconds: self.notices.tell("attention", seconds=seconds)
        self._radio = Peripheral([_provisioning(self), _proxy(self)], disconnected=self._went)
        self._address = None if self.node.state is None else self.node.state.address
        self._shown, self._on = "", dict[int, bool]()
        self._advertised: tuple[str, bytes] | None = None
        self._spoken_to = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "MeshNode":
        await self._radio.join(self._options.air)
        await self._show()
        self.notices.tell("ready", id=candidate_id(self.node.uuid), address=self._radio.address, over="mesh")
        self._task = asyncio.create_task(self._live(), name="mesh node")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._radio.close()

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done once the air has gone."""
        return self._radio.lost

    # the radio

    def heard(self, characteristic: str) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            self.node.written(characteristic, data, time.monotonic(), time.time())
            self._spoken_to.set()

        return write

    def subscribed(self, *, provisions: bool) -> None:
        """A client wants to hear: a provisioner while it is nobody's, a member of its network afterwards."""
        if provisions == (self.node.state is None):
            self.node.connected(self._radio.max_notify, time.monotonic())
            self._spoken_to.set()

    def _went(self) -> None:
        self.node.disconnected()

    async def _live(self) -> None:
        while True:
            self.node.tick(time.monotonic())
            for one in self.node.take_notifications():
                await self._radio.notify(one.characteristic, one.data)
            if self.node.wants_disconnect:
                self.node.wants_disconnect = False
                await self._radio.hang_up()
            await self._show()
            self._tell_changes()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._spoken_to.wait()
            self._spoken_to.clear()

    async def _show(self) -> None:
        shown = self.node.advertisement
        # A proof of identity is another each time it is made: one is said until something else is to be said.
        said = (shown.service, shown.data[:1] if shown.service == PROXY_SERVICE and shown.data[0] else shown.data)
        if said != self._advertised:
            self._advertised = said
            await self._radio.advertise(services=[shown.service], service_data={shown.service: shown.data})

    # what a person sees, and does

    def reset(self) -> None:
        """Somebody holds its button."""
        self.node.reset_by_hand()

    def _tell_changes(self) -> None:
        state, shown = self.node.state, self.node.shown
        address = None if state is None else state.address
        if address != self._address:
            self._address = address
            if address is None:
                self.notices.tell("reset", by="the hub")
            else:
                self.notices.tell("provisioned", address=f"{address:04x}", over="mesh")
        if shown != self._shown:
            self._shown = shown
            if shown:
                self.notices.tell("code", code=shown, over="mesh")
        for element, on in enumerate(self._switches()):
            if self._on.get(element, False) != on:
                self._on[element] = on
                self.notices.tell("switched", element=element, on=on)

    def _switches(self) -> Iterator[bool]:
        for element in self.node.product.elements:
            for model in element.models:
                if isinstance(model.server, OnOffServer):
                    yield model.server.course.target == (1,)

    def _save(self, kept: Kept | None) -> None:
        """Before anything that follows from it is sent. It blocks: a device does one thing at a time."""
        self._disk.kept = kept
        if self._options.state is not None:
            write_whole(self._options.state, msgspec.json.encode(self._disk))


def _provisioning(it: MeshNode) -> Service:
    return Service(
        pb_gatt.SERVICE,
        [
            Characteristic(uuid=pb_gatt.DATA_IN, write=it.heard(pb_gatt.DATA_IN)),
            Characteristic(uuid=pb_gatt.DATA_OUT, notify=True, subscribed=lambda: it.subscribed(provisions=True)),
        ],
    )


def _proxy(it: MeshNode) -> Service:
    return Service(
        PROXY_SERVICE,
        [
            Characteristic(uuid=PROXY_IN, write=it.heard(PROXY_IN)),
            Characteristic(uuid=PROXY_OUT, notify=True, subscribed=lambda: it.subscribed(provisions=False)),
        ],
    )


def _device(options: Options, elements: int) -> Device:
    oob = OobType.STATIC | OobType.ONLY_AUTHENTICATED if options.static is not None else OobType(0)
    return Device(
        capabilities=Capabilities(
            elements=elements,
            algorithms=1 << CMAC | 1 << HMAC,
            oob_type=oob,
            output_size=SHOWN_DIGITS if options.shows else 0,
            output_actions=1 << OutputAction.NUMERIC if options.shows else 0,
        ),
        static=options.static,
    )


def _read(path: Path | None) -> _Disk:
    with suppress(FileNotFoundError):
        if path is not None:
            return msgspec.json.decode(path.read_bytes(), type=_Disk)
    return _Disk(secrets.token_bytes(UUID_BYTES))
