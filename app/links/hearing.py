"""Between the link, over the LAN and over Bluetooth, which knows hardware, and the services, which know devices."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, cast

from app.control.model import OF_THE_MODEL, Command
from app.control.service import Control
from app.devices.model import BLE, LAN, Device
from app.devices.service import Devices
from app.errors import NotFound
from app.links.gateways import Gateways, split
from app.links.holding import Greeting, Holding
from app.links.lan import LanLink
from app.store.tx import Tx
from pairing import messages
from pairing.link import Peer
from pairing.messages import (
    Answer,
    Child,
    ChildLeft,
    FromGateway,
    FromHub,
    Hello,
    Joining,
    Report,
    Wifi,
    WifiAccepted,
    WifiKeep,
    WifiRefused,
)
from pairing.text import clean


class LanDevices:
    """`app.links.lan.Hearing` for the services, and `app.control.link.Link` for control."""

    def __init__(self, devices: Devices, control: Control) -> None:
        self._devices = devices
        self._control = control
        self.link: LanLink | None = None
        # Told, on any thread, of hardware that something waits for, and that is not linked.
        self.on_missed: Callable[[str], None] = _to_nobody_missed
        # Told what a device says of its network, by its id in its home.
        self.on_network: Callable[[str, Hello | WifiAccepted | WifiRefused], None] = _to_nobody
        self._hellos: dict[str, Hello] = {}
        self.holding = Holding(devices)
        self.gateways = Gateways(devices, self._tell, self._linked)
        control.links[LAN] = control.links[BLE] = self
        devices.on_left.append(self._left)
        devices.handing.on_changed.append(self._tell_hubs)
        devices.transfers.on_moved.append(self._tell_hubs)
        devices.freezing.on_frozen.append(self._frozen)
        devices.freezing.on_unfrozen.append(self.gateways.unfrozen)

    def peer(self, hardware_id: str) -> Peer | None:
        """What proves that hardware; for the link's handshake."""
        bond = self._devices.bond_of(hardware_id)
        if bond is None:
            return None
        device = self._devices.memory.bound(hardware_id)
        # To one that is frozen the hub is as if it had never known it: it stays as it is, and tries again later.
        if device is not None and self._devices.is_frozen(device.id):
            return None
        # A device that is to hear of its reset is let in for that alone: `departing`.
        return Peer(bond.public_key, bond.credential, bond.removed and not self.departing(hardware_id))

    def over_bluetooth(self, beginning: str) -> str | None:
        """Whose hardware id begins so and is to be linked over Bluetooth: a device's, or of one that was let go."""
        hardware_id = self._devices.hardware(beginning)
        if hardware_id is None:
            return self._devices.memory.removed_hardware(beginning)
        memory = self._devices.memory
        device = memory.bound(hardware_id)
        if device is None or device.link != BLE:
            return None
        # Who stands by connects, too: to tell it whose it is, or to take it over.
        return hardware_id if memory.hub_id in (memory.holder_of(device), device.standby) else None

    # Hearing

    def up(self, hardware_id: str, hello: Hello) -> None:
        """The device is there."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            self._devices.online(device.id, _link_of(device), clean(hello.fw))
            self.gateways.up(hardware_id)
            self._hellos[hardware_id] = hello
            self.on_network(device.id, hello)

    def down(self, hardware_id: str) -> None:
        """The device's connection has ended."""
        self.gateways.down(hardware_id)
        self._hellos.pop(hardware_id, None)
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            self._devices.offline(device.id, _link_of(device))

    async def greet(self, hardware_id: str, hello: Hello) -> Greeting:
        """Whether it stays."""
        return await self.holding.greet(hardware_id, hello)

    async def reported(self, hardware_id: str, report: Report) -> None:
        """Into the shadow; what a device that is just leaving says is let go."""
        if (device := self._speaker(hardware_id, report.child)) is not None:
            with suppress(NotFound):
                await self._devices.reported(device.id, report.service, report.values, report.at)

    async def answered(self, hardware_id: str, answer: Answer) -> None:
        """To the command it answers."""
        if (device := self._speaker(hardware_id, answer.child)) is not None:
            await self._control.answered(device.id, answer.id, ok=answer.ok, values=answer.values, error=answer.error)

    async def of_children(self, hardware_id: str, said: FromGateway) -> None:
        """A gateway speaks of its own."""
        match said:
            case Joining():
                self.gateways.joining(hardware_id, said)
            case Child():
                await self.gateways.child(hardware_id, said)
            case ChildLeft(child):
                await self.gateways.child_left(hardware_id, child)

    async def of_network(self, hardware_id: str, said: WifiAccepted | WifiRefused) -> None:
        """Of the network it was told to try."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            self.on_network(device.id, said)

    async def reset(self, hardware_id: str) -> None:
        """Somebody has reset the device by hand."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            await self._devices.was_reset(device.id)

    def departing(self, hardware_id: str) -> bool:
        """It was reset, and has not said that it has forgotten."""
        return self._devices.resets.departing(hardware_id) is not None

    def told_to_forget(self, hardware_id: str) -> None:
        """It was told."""
        self._devices.resets.delivered(hardware_id)

    async def forgot(self, hardware_id: str) -> None:
        """It has."""
        await self._devices.resets.confirmed(hardware_id)

    # Link

    carries: Final = OF_THE_MODEL

    def is_online(self, device_id: str) -> bool:
        """Whether the device's connection stands, or its gateway's and it is there behind it."""
        linked, child = self._hardware(device_id)
        if not self._linked(linked):
            self.on_missed(linked)
            return False
        return child is None or self.gateways.is_there(linked, child)

    def send(self, device_id: str, command: Command) -> bool:
        """Hand the command to the device's connection, or to its gateway's."""
        linked, child = self._hardware(device_id)
        if child is not None and not self.gateways.is_there(linked, child):
            return False
        return self._tell(linked, _message(command, child))

    # Network

    def address_of(self, device_id: str) -> str:
        """Where the device's connection comes from; empty when it has none of its own."""
        linked, child = self._hardware(device_id)
        return "" if self.link is None or child is not None else self.link.address_of(linked)

    def hello_of(self, device_id: str) -> Hello | None:
        """What the device said of itself when it linked; None when it is not linked now."""
        return self._hellos.get(self._hardware(device_id)[0])

    def order(self, device_id: str, message: Wifi | WifiKeep) -> bool:
        """Hand it to the device's connection."""
        linked, child = self._hardware(device_id)
        return child is None and self._tell(linked, message)

    def _speaker(self, hardware_id: str, child: str | None) -> Device | None:
        """Whom a link speaks of: itself, or a child of its own; nobody who is frozen."""
        own = child is None
        device = self._devices.of_hardware(hardware_id) if own else self.gateways.child_of(hardware_id, child or "")
        return None if device is None or self._devices.is_frozen(device.id) else device

    def _hardware(self, device_id: str) -> tuple[str, str | None]:
        live = self._devices.memory.get(device_id)
        return ("", None) if live is None else split(live.device.hardware_id)

    def _linked(self, hardware_id: str) -> bool:
        return self.link is not None and self.link.is_online(hardware_id)

    def _tell(self, hardware_id: str, message: FromHub) -> bool:
        return self.link is not None and self.link.send(hardware_id, message)

    def _frozen(self, device: Device) -> None:
        if self.link is not None:
            self.link.drop(device.hardware_id)

    def home_ending_in(self, tx: Tx, home_id: str) -> None:
        """This hub leaves a home, whose devices stay there: those with somebody to go to are told so, and not reset."""
        heirs = [it for it in self.holding.heirs_of(home_id) if self._keeps_several(it[0])]

        def send_away() -> None:
            for hardware_id, hubs in heirs:
                if self.link is not None:
                    self.link.send_away(hardware_id, hubs)

        tx.after(send_away)

    def cards_changed(self, home_id: str, hub_id: str) -> None:
        """A home's hub is reached elsewhere by devices, or is none of its hubs any more."""
        for live in self._devices.memory.in_place(home_id):
            if live.device.standby == hub_id:
                self._tell_hubs(live.device)

    def _tell_hubs(self, device: Device) -> None:
        """Of one that is linked here, and can keep more than one."""
        hubs = self.holding.hubs_of(device) if self._devices.memory.holds(device) else None
        if hubs is not None and self._keeps_several(device.hardware_id):
            self._tell(device.hardware_id, hubs)

    def _keeps_several(self, hardware_id: str) -> bool:
        """Whether it is linked here, and can keep a second hub."""
        hello = self._hellos.get(hardware_id)
        return hello is not None and hello.hubs is not None

    def _left(self, device: Device) -> None:
        live = self._devices.memory.get(device.id)
        if live is not None and live.device.unbound_at is None:
            # It is in its home still, and another hub's: it goes there by itself.
            hubs = self.holding.hubs_of(live.device) if self._keeps_several(device.hardware_id) else None
            if self.link is not None:
                self.link.send_away(device.hardware_id, hubs)
            return
        self.gateways.let_go(device.hardware_id)
        if self.link is not None:
            self.link.let_go(device.hardware_id)


def _link_of(device: Device) -> str:
    """By which it is there."""
    return BLE if device.link == BLE else LAN


def _to_nobody_missed(hardware_id: str) -> None:
    """Where the hub connects to nobody."""


def _to_nobody(device_id: str, said: Hello | WifiAccepted | WifiRefused) -> None:
    """Where nobody moves networks."""


def _message(command: Command, child: str | None) -> messages.Command:
    body = command.body
    return messages.Command(
        command.id, _kind(command), body.service, body.values, body.name, body.params, command.expires_at, child
    )


def _kind(command: Command) -> Literal["set", "get", "call"]:
    return cast('Literal["set", "get", "call"]', command.kind.value)  # `carries` has no other
