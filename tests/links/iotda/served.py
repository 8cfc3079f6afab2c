"""A hub whose devices connect over MQTT as somebody else's library does: to its own endpoint, or to Mosquitto."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from app.links.iotda.codec import topics
from app.links.iotda.codec.signing import password
from app.links.mqtt.broker import BrokerAt, BrokerLink
from app.links.mqtt.endpoint import Endpoint
from tests.links.iotda.house import SECRET, WAIT, House, house_in
from tests.links.iotda.paho_device import STAMP, PahoDevice
from tests.links.mqtt.mosquitto import mosquitto

ENDPOINT, BROKER = WAYS = ("endpoint", "broker")
# As app/links/mqtt/README.md says it: what a device may publish and read is below its own id, which is its user's name.
ACCESS: Final = """\
user hub
topic readwrite $oc/devices/#
pattern readwrite $oc/devices/%u/#
"""
# Of devices with an account at the broker; the hub need not know all of them.
AT_THE_BROKER: Final = ("lamp_1", "lamp_2", "gateway_1", "lamp_9")
HUBS_PASSWORD: Final = "the hub's own"


class Served(House):
    """A house whose devices connect to a port. `own`: it is the hub's, which hears them before they hear so."""

    port: int
    endpoint: Endpoint
    own: bool = True

    @asynccontextmanager
    async def device(self, wire_id: str, *, version: int = 4) -> AsyncIterator[PahoDevice]:
        """Connected, and known to be."""
        device = PahoDevice(wire_id, SECRET, version=version)
        try:
            assert await device.connect(self.port) == "Success"
            if not self.own:
                await self._introduce(device)
            yield device
        finally:
            await device.close()

    async def _introduce(self, device: PahoDevice) -> None:
        """A broker knows of no subscriptions that nobody asked for, and tells nobody who comes."""
        for pattern in topics.implicit(device.device_id):
            await device.subscribe_at(pattern)
        sdk = {"service_id": "$sdk_info", "event_type": "sdk_info_report", "paras": {"device_sdk_version": "1"}}
        await device.publish("sys/events/up", {"services": [sdk]})
        known = self.api.services.devices.of_hardware(device.device_id)
        assert known is not None
        await self.until_shown(known.id, lambda shown: shown["online"])

    async def until_shown(self, device_id: str, is_so: Callable[[Any], bool]) -> None:
        """Once the API shows it so."""
        async with asyncio.timeout(WAIT):
            while not is_so(await self.view(device_id)):
                await asyncio.sleep(0.01)

    async def reported(self, device_id: str, **values: Any) -> None:
        """These are a light's values: at once where the hub itself has acknowledged them, else soon."""

        def is_so(shown: Any) -> bool:
            found = shown["services"].get("light", {"reported": {}})["reported"]
            return {name: each["value"] for name, each in found.items()} == values

        assert not self.own or is_so(await self.view(device_id))
        await self.until_shown(device_id, is_so)


@asynccontextmanager
async def served(folder: Path, way: str = ENDPOINT) -> AsyncIterator[Served]:
    """One of `WAYS`."""
    async with house_in(folder) as made, AsyncExitStack() as stack:
        house = Served(made.api, made.client, made.home_id)
        if way == ENDPOINT:
            await _listen(house, stack)
        else:
            await _join(house, folder / "broker", stack)
        yield house


async def _listen(house: Served, stack: AsyncExitStack) -> None:
    iotda = house.api.services.iotda
    house.endpoint = endpoint = Endpoint(house.api.store, iotda.admission, iotda.hearing)
    iotda.down.take_link(endpoint)
    await endpoint.open()
    stack.push_async_callback(endpoint.close)
    house.port = await endpoint.listen("127.0.0.1", 0)


async def _join(house: Served, folder: Path, stack: AsyncExitStack) -> None:
    iotda, house.own = house.api.services.iotda, False
    lines = await asyncio.to_thread(furnish, folder)
    house.port = await stack.enter_async_context(mosquitto(folder, more=lines))
    at = BrokerAt(url=f"mqtt://127.0.0.1:{house.port}", client_id="hub", username="hub", password=HUBS_PASSWORD)
    link = BrokerLink(at, iotda.addressing, iotda.hearing)
    iotda.down.take_link(link)
    link.start()
    stack.push_async_callback(link.close)
    async with asyncio.timeout(WAIT):
        await link.connected.wait()


def furnish(folder: Path) -> list[str]:
    """Accounts and access rules, and the lines of the broker's configuration that name them."""
    folder.mkdir()
    shown = password(SECRET.encode(), STAMP)
    accounts = {"hub": HUBS_PASSWORD} | dict.fromkeys(AT_THE_BROKER, shown)
    (folder / "users").write_text("".join(f"{name}:{each}\n" for name, each in accounts.items()))
    subprocess.run(["mosquitto_passwd", "-U", folder / "users"], check=True)
    (folder / "access").write_text(ACCESS)
    return ["allow_anonymous false", f"password_file {folder / 'users'}", f"acl_file {folder / 'access'}"]
