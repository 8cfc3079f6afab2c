"""Between the LAN link, which knows hardware, and the services, which know devices."""

from contextlib import suppress

from app.control.model import Command
from app.control.service import Control
from app.devices.model import Device
from app.devices.service import Devices
from app.errors import NotFound
from app.links.lan import LanLink
from pairing import messages
from pairing.link import Peer
from pairing.messages import Answer, Hello, Report
from pairing.text import clean

NAME = "lan"


class LanDevices:
    """`app.links.lan.Hearing` for the services, and `app.control.link.Link` for control."""

    def __init__(self, devices: Devices, control: Control) -> None:
        self._devices = devices
        self._control = control
        self.link: LanLink | None = None
        control.links[NAME] = self
        devices.on_left.append(self._left)

    def peer(self, hardware_id: str) -> Peer | None:
        """What proves that hardware; for the link's handshake."""
        bond = self._devices.bond_of(hardware_id)
        return None if bond is None else Peer(bond.public_key, bond.credential, bond.removed)

    # Hearing

    def up(self, hardware_id: str, hello: Hello) -> None:
        """The device is there."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            self._devices.online(device.id, NAME, clean(hello.fw))

    def down(self, hardware_id: str) -> None:
        """The device's connection has ended."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            self._devices.offline(device.id)

    async def reported(self, hardware_id: str, report: Report) -> None:
        """Into the shadow; what a device that is just leaving says is let go."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            with suppress(NotFound):
                await self._devices.reported(device.id, report.service, report.values, report.at)

    async def answered(self, hardware_id: str, answer: Answer) -> None:
        """To the command it answers."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            await self._control.answered(device.id, answer.id, ok=answer.ok, values=answer.values, error=answer.error)

    async def reset(self, hardware_id: str) -> None:
        """Somebody has reset the device by hand."""
        if (device := self._devices.of_hardware(hardware_id)) is not None:
            await self._devices.was_reset(device.id)

    # Link

    def is_online(self, device_id: str) -> bool:
        """Whether the device's connection stands."""
        hardware_id = self._hardware(device_id)
        return self.link is not None and hardware_id is not None and self.link.is_online(hardware_id)

    def send(self, device_id: str, command: Command) -> bool:
        """Hand the command to the device's connection."""
        hardware_id = self._hardware(device_id)
        if self.link is None or hardware_id is None:
            return False
        return self.link.send(hardware_id, _message(command))

    def _hardware(self, device_id: str) -> str | None:
        live = self._devices.memory.get(device_id)
        return None if live is None else live.device.hardware_id

    def _left(self, device: Device) -> None:
        if self.link is not None:
            self.link.let_go(device.hardware_id)


def _message(command: Command) -> messages.Command:
    body = command.body
    return messages.Command(
        command.id, command.kind.value, body.service, body.values, body.name, body.params, command.expires_at
    )
