"""Two nodes as processes: a cloud with its MQTT endpoint, and a hub whose home is shown there.

The hub's devices are lamps behind a bridge that the test speaks for, over the hub's own MQTT.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from app.client import Client
from app.commands.child import HubProcess
from tests.e2e.verbs import command
from tests.links.iotda.paho_device import PahoDevice
from tests.waiting import until

SECRET = "a-secret-of-24-letters.."
BRIDGES_SECRET = "another-one-of-24-chars."
GATEWAY, BRIDGE = "gateway_lindenweg", "gateway_bridge"
ANNA = {"login": "anna", "password": "correct horse battery", "name": "Anna", "phone": "Anna's phone"}


class Node:
    """A process over one folder, and its owner's client while it runs; started again where it was."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        self._flags = flags
        self._ports: tuple[str, ...] = ()
        self._stack = AsyncExitStack()
        self._lives = 0
        self._token = ""
        self.process: HubProcess
        self.api: Client
        self.home_id = ""

    async def start(self) -> Self:
        """Run it; claimed, and with a home, the first time."""
        self._stack = AsyncExitStack()
        more = (*self._flags, *self._ports, "--no-tls", "--log-level", "debug")
        logs = await asyncio.to_thread(self._logs)
        self.process = await self._stack.enter_async_context(HubProcess(self.data, *more, folder=logs))
        self._ports = ("--mqtt-port", str(self.mqtt_port))
        url = self.process.ready["url"]
        if not self._token:
            async with Client(url) as anybody:
                claim = {"code": self.process.ready["claim_code"], "time": datetime.now(UTC).isoformat(), **ANNA}
                self._token = (await anybody.post("/api/hub/claim", claim))["session"]["access_token"]
        self.api = await self._stack.enter_async_context(Client(url, token=self._token))
        if not self.home_id:
            home = {"name": "Lindenweg", "time_zone": "Europe/Berlin"}
            self.home_id = (await self.api.post("/api/homes", home))["id"]
        return self

    def _logs(self) -> Path:
        self._lives += 1
        folder = self.data.parent / f"{self.data.name}-logs" / str(self._lives)
        folder.mkdir(parents=True)
        return folder

    @property
    def mqtt_port(self) -> int:
        """In the clear."""
        return int(self.process.ready["mqtt_ports"]["tcp"])

    async def stop(self) -> None:
        """In order."""
        await self._stack.aclose()

    async def kill(self) -> None:
        """With -9."""
        self.process.send(signal.SIGKILL)
        await self.process.ended()
        await self._stack.aclose()

    async def verb(self, *arguments: str | Path, **environ: str) -> dict[str, Any]:
        """A verb of the command, on this node; what it prints."""
        code, said = await command(*arguments, "--data", self.data, environ=environ)
        assert code == 0, said
        return said

    def database(self) -> bytes:
        """All of it as it lies on disk."""
        return b"".join(file.read_bytes() for file in self.data.glob("doorstep.db*"))

    async def devices(self) -> dict[str, Any]:
        """All of its home, by name."""
        found = [each async for each in self.api.pages(f"/api/homes/{self.home_id}/devices", limit=200)]
        return {each["name"]: each for each in found}

    async def register(self, product: str, node_id: str, **fields: Any) -> Any:
        """A device of its home."""
        body = {"product_id": product, "node_id": node_id, **fields}
        return await self.api.post(f"/api/homes/{self.home_id}/devices", body)

    async def until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Its devices once they are so."""
        return await until(self.devices, is_so)


class Bridge:
    """What the hub's lamps are behind."""

    def __init__(self, hub: Node) -> None:
        self._hub = hub
        self._device: PahoDevice | None = None
        self.id = ""

    async def connect(self) -> None:
        """To the hub, which knows it from the first time on."""
        if not self.id:
            made = await self._hub.register("gateway", "bridge", name="Bridge", secret=BRIDGES_SECRET)
            self.id = made["device"]["id"]
        self._device = PahoDevice(BRIDGE, BRIDGES_SECRET)
        assert await self._device.connect(self._hub.mqtt_port) == "Success"
        for kind in ("commands", "properties/set", "properties/get"):
            await self._device.subscribe(f"sys/{kind}/+")

    async def close(self) -> None:
        """Its connection ends."""
        if self._device is not None:
            await self._device.close()

    async def add(self, nodes: Iterable[str]) -> None:
        """Lamps, registered at the hub as its owner does."""
        for node in nodes:
            await self._hub.register("lamp", node, name=node, gateway_id=self.id)

    async def there(self, nodes: Iterable[str]) -> None:
        """They are."""
        event = {"service_id": "$sub_device_manager", "event_type": "sub_device_update_status"}
        for some in parts(nodes):
            statuses = [{"device_id": f"lamp_{node}", "status": "ONLINE"} for node in some]
            await self._say("sys/events/up", {"services": [{**event, "paras": {"device_statuses": statuses}}]})

    async def report(self, values: dict[str, dict[str, Any]]) -> None:
        """Of each lamp, as many as may be in one batch; on the hub's disk when this returns."""
        for some in parts(values):
            devices = [
                {"device_id": f"lamp_{node}", "services": [{"service_id": "Light", "properties": values[node]}]}
                for node in some
            ]
            await self._say("sys/gateway/sub_devices/properties/report", {"devices": devices})

    async def told(self) -> tuple[str, str, dict[str, Any]]:
        """(kind, request, payload) of what it is asked next; what is no request is passed over."""
        assert self._device is not None
        while True:
            path, payload = await self._device.next()
            kind, mark, request = path.partition("/request_id=")
            if mark:
                return kind, request, payload

    async def answer(self, kind: str, request: str, **said: Any) -> None:
        """A request, by its response."""
        await self._say(f"{kind}/response/request_id={request}", said)

    async def _say(self, path: str, payload: Any) -> None:
        assert self._device is not None
        await self._device.publish(path, payload)


def parts(nodes: Iterable[str], most: int = 100) -> Iterator[list[str]]:
    """As the protocol takes them at once."""
    left = list(nodes)
    while left:
        yield left[:most]
        del left[:most]


class Village:
    """`cloud` and `hub`, and what is behind the hub's `bridge`."""

    def __init__(self, folder: Path) -> None:
        self.cloud = Node(folder / "cloud", "--role", "cloud", "--mqtt")
        self.hub = Node(folder / "hub")
        self.bridge = Bridge(self.hub)
        self._folder = folder

    async def __aenter__(self) -> Self:
        await self.cloud.start()
        await self.hub.start()
        await self.cloud.register("gateway", "lindenweg", name="The house", secret=SECRET)
        await self.bridge.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bridge.close()
        for node in (self.hub, self.cloud):
            with contextlib.suppress(Exception):
                await node.stop()

    async def attach(self) -> dict[str, Any]:
        """By the command."""
        url = f"mqtt://127.0.0.1:{self.cloud.mqtt_port}"
        return await self.hub.verb("upstream", "attach", url, GATEWAY, DOORSTEP_UPSTREAM_SECRET=SECRET)

    async def shown(self) -> Any:
        """By the API."""
        return await self.hub.api.get(f"/api/homes/{self.hub.home_id}/iotda-upstream")

    async def until(self, is_so: Callable[[Any], bool]) -> Any:
        """The upstream once it is so."""
        return await until(self.shown, is_so)

    def logs(self) -> str:
        """All that either process has said."""
        return "".join(file.read_text() for file in self._folder.glob("*-logs/*/*"))
