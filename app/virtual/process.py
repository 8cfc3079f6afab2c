"""A virtual device as a process: one line for each thing that happens, and a button to press from outside."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from app.devices.product.catalogue import built_in
from app.devices.product.model import Product
from app.devices.product.values import ValueUnfit
from app.virtual import heartbeat_link, iotda_links
from app.virtual.camera import Camera
from app.virtual.device import VirtualDevice
from app.virtual.face import Face
from app.virtual.kinds import body_of
from app.virtual.memory import file_store
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.notices import Notice, Notices
from app.virtual.overhearing import Overhearing
from app.virtual.parts import Place
from app.virtual.setup import WithButton
from app.virtual.setup_ap import ProtocommAp, TuyaAp
from app.virtual.station import AirStation, ListedNetworks
from pairing.errors import PairingError

MAX_LINE = 4096
WAITING = ("lamp", "plug", "contact_sensor")
"""What joins behind a gateway, over and over."""


class UnknownProduct(ValueError):
    """There is no such product in the catalogue."""


class StateInUse(Exception):
    """Another process is this device."""


# How long a device that was told to stop has for that, before it is told again.
STOPPING_S: Final = 2.0
SetupMode: TypeAlias = Camera | Overhearing | ProtocommAp | TuyaAp | WithButton
"""The ways a virtual device is told its network."""


class Options(Struct, frozen=True, kw_only=True):
    """What `run` is told. `state`: the file that is the device's disk; None: it forgets everything with the process.

    `setup` is how it is told its network, None on a cable; `networks` are the Wi-Fi there is, with their passwords,
    unless it has a radio on the simulated `air` behind that socket. `bluetooth` is its face where it has no network.
    `label`: tell what its label says, PIN and all.
    `children`: so many devices join behind it, where it is a gateway, as soon as it lets any.
    """

    product: str
    name: str = ""
    state: Path | None = None
    pin: str | None = None
    setup: SetupMode | None = None
    networks: dict[str, str] = {}
    air: Path | None = None
    bluetooth: Face | None = None
    label: bool = False
    place: Place = msgspec.field(default_factory=Place)
    how: Misbehaviour = Misbehaviour()
    children: int = 0


def product_named(product_id: str) -> Product:
    """Raises UnknownProduct, which names those there are."""
    catalogue = built_in()
    if (found := catalogue.get(product_id)) is None:
        raise UnknownProduct(f"no product {product_id!r}; there are {', '.join(p.id for p in catalogue.all())}")
    return found


async def run(options: Options, tell: Callable[[Notice], None]) -> None:
    """Be a device until SIGINT or SIGTERM, or the line `quit`. SIGUSR1 is its reset button, and so is the line `reset`.

    A line `put SERVICE {"property": value}` is somebody doing something to it, `scan TEXT` holds a code before its
    camera. Each notice goes to `tell` as it happens. A `dies_at` ends the process by SIGKILL, as a power cut would.
    Raises UnknownProduct, StateInUse, StorageFailedError, OSError where it cannot listen, RadioOff without an air.
    """
    product = await asyncio.to_thread(product_named, options.product)
    lock = await asyncio.to_thread(_own, options.state) if options.state else None
    try:
        device = VirtualDevice(
            product,
            name=options.name,
            pin=options.pin,
            store=file_store(options.state) if options.state else None,
            place=options.place,
            how=options.how,
            tell=partial(_tell_where, tell, options.setup),
            setup=options.setup,
            waiting=[product_named(name) for name in islice(cycle(WAITING), options.children)],
            station=AirStation(options.air) if options.air else ListedNetworks(options.networks),
            bluetooth=options.bluetooth,
        )
        lines = _listen()  # before the first line it says: who reads that one may press the button
        async with device:
            if options.label:
                _tell(tell, Notice("label", {"text": device.label(_way(options))}))
            await _attend(device, lines, partial(_tell, tell), options.setup)
    finally:
        if lock is not None:
            os.close(lock)


async def run_registered(
    link: str, place: iotda_links.Place, product_id: str, children: int, tell: Callable[[Notice], None]
) -> None:
    """Be a registered device that speaks MQTT or HTTPS, or calls home, until SIGINT or SIGTERM, or until it was reset.

    Raises UnknownProduct, OSError.
    """
    product = await asyncio.to_thread(product_named, product_id)
    notices = Notices(partial(_tell, tell))
    behind = {f"{place.device_id}-{n}": body_of(product_named("lamp")) for n in range(1, children + 1)}
    if link == "heartbeat":
        being = asyncio.create_task(heartbeat_link.run(place, body_of(product), notices))
    else:
        being = asyncio.create_task(iotda_links.run(place, body_of(product), behind, notices))
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({being, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    while not being.done():
        being.cancel()  # again, where a library lost it (iotda_links._say)
        await asyncio.wait({being}, timeout=STOPPING_S)
    with suppress(asyncio.CancelledError):
        await being


def _way(options: Options) -> str:
    """How its label says it comes onto the network, or is reached without one."""
    match options.setup:
        case Camera():
            return "qr"
        case Overhearing():
            return "ez"
        case ProtocommAp() | TuyaAp():
            return "ap"
        case None:
            return "wired" if options.bluetooth is None else "ble"
        case _:  # by Improv, for which labels have no word: whatever works
            return ""


def _tell_where(tell: Callable[[Notice], None], setup: SetupMode | None, notice: Notice) -> None:
    _tell(tell, notice)
    if notice.event == "setup" and isinstance(setup, ProtocommAp | TuyaAp):
        _tell(tell, Notice("setup_network", setup.where))


def _tell(tell: Callable[[Notice], None], notice: Notice) -> None:
    with suppress(BrokenPipeError):  # nobody watches any more: a lamp goes on regardless
        tell(notice)
    if notice.event == "died":
        os.kill(os.getpid(), signal.SIGKILL)


def _own(state: Path) -> int:
    """A descriptor that holds the state file's lock as long as it is open."""
    state.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state.with_name(state.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateInUse(f"another process is the device of {state}") from None
    return descriptor


def _listen() -> asyncio.Queue[str]:
    """What people ask of the process, by line or by signal."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lines.put_nowait, "quit")
    loop.add_signal_handler(signal.SIGUSR1, lines.put_nowait, "reset")
    # In the background of a terminal, reading it would stop the process: refused, it just reads nothing.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    threading.Thread(target=_read_lines, args=(loop, lines.put_nowait), daemon=True).start()
    return lines


async def _attend(
    device: VirtualDevice, lines: asyncio.Queue[str], tell: Callable[[Notice], None], setup: SetupMode | None
) -> None:
    while (said := await _next(lines, device.broken)) != "quit":
        try:
            await _do(device, said, setup)
        except (ValueError, ValueUnfit, PairingError) as error:
            tell(Notice("misunderstood", {"cause": str(error)}))


async def _next(lines: asyncio.Queue[str], broken: asyncio.Event) -> str:
    """What is asked next; "quit" where the device cannot go on."""
    asked, ended = asyncio.ensure_future(lines.get()), asyncio.ensure_future(broken.wait())
    try:
        await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
        return "quit" if ended.done() else asked.result().strip()
    finally:
        asked.cancel()
        ended.cancel()


async def _do(device: VirtualDevice, said: str, setup: SetupMode | None) -> None:
    verb, _, rest = said.partition(" ")
    match verb:
        case "":
            return
        case "reset":
            await device.reset()
        case "put":
            service, _, values = rest.strip().partition(" ")
            await device.put(service, msgspec.json.decode(values, type=dict[str, bool | int | float | str]))
        case "child":
            await device.children.join(product_named(rest.strip()))
        case "away" | "back":
            await device.children.reach(rest.strip(), online=verb == "back")
        case "leave":
            await device.children.leave(rest.strip())
        case "scan" if isinstance(setup, Camera):
            setup.see(rest.strip())
        case "press" if isinstance(setup, WithButton):
            await setup.press()
        case _:
            children = "child PRODUCT, away|back|leave CHILD (a gateway's)"
            setup_mode = "scan TEXT (where it has a camera), press (with Improv)"
            raise ValueError(f"one of: reset, put SERVICE JSON, {setup_mode}, {children}, quit")


def _read_lines(loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> None:
    """Standard input, unbuffered: a thread that is inside a buffered read when the process ends would crash it."""
    left = b""
    while chunk := _read():
        *whole, left = (left + chunk).split(b"\n")
        left = left[-MAX_LINE:]
        for each in whole:
            try:
                loop.call_soon_threadsafe(take, each.decode(errors="replace"))
            except RuntimeError:  # the loop has ended
                return


def _read() -> bytes:
    try:
        return os.read(0, MAX_LINE)
    except OSError:
        return b""
