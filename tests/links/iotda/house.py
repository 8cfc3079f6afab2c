"""A hub with the MQTT endpoint, registered devices, and a device's end that is nobody's library."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from app.errors import DoorstepError
from app.links.iotda.codec import topics
from app.links.iotda.service import Iotda
from app.links.mqtt.ports import Connected, Message, Principal, Properties
from tests.api.harness import Api
from tests.api.things import home_of

WAIT = 30.0
SECRET = "a-secret-of-24-letters.."


class Line:
    """An `MqttLink` on which devices are connected by hand, and what was published to them, in order."""

    def __init__(self, iotda: Iotda) -> None:
        self._iotda = iotda
        self._up: dict[str, Principal] = {}
        self.sent: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.fates: list[Any] = []
        self.dropped: list[str] = []
        iotda.down.link = self

    def is_online(self, device_id: str) -> bool:
        return device_id in self._up

    def publish(
        self,
        device_id: str,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        properties: Properties | None = None,
        on_fate: Any = None,
    ) -> bool:
        if device_id not in self._up:
            return False
        self.sent.put_nowait((topic, json.loads(payload)))
        self.fates.append(on_fate)
        return True

    async def keep(
        self, device_id: str, topic: str, payload: bytes, *, qos: int = 1, properties: Properties | None = None
    ) -> int:
        return int(self.publish(device_id, topic, payload, qos=qos))

    def drop(self, device_id: str, why: Any = None) -> None:
        self.dropped.append(device_id)

    async def forget(self, device_id: str) -> None:
        self.drop(device_id)

    def connect(self, device_id: str, wire_id: str) -> "Speaker":
        """The device connects, to a session it had."""
        principal = Principal(device_id, session=wire_id, facts=wire_id)
        self._up[device_id] = principal
        self._iotda.hearing.connected(principal, Connected("192.0.2.7", 4, resumed=True))
        return Speaker(self, self._iotda, principal)

    def admit(self, principal: Principal) -> None:
        """It has a connection, of which nobody is told."""
        self._up[principal.device_id] = principal

    def cut(self, device_id: str) -> None:
        """Its connection ends."""
        self._iotda.hearing.disconnected(self._up.pop(device_id), "lost")

    async def next(self) -> tuple[str, Any]:
        """What is published next: (topic, payload)."""
        async with asyncio.timeout(WAIT):
            return await self.sent.get()


class Speaker:
    """A connected device's voice."""

    def __init__(self, line: Line, iotda: Iotda, principal: Principal) -> None:
        self.line = line
        self._iotda = iotda
        self.principal = principal
        self.wire_id = str(principal.facts)

    async def say(self, path: str, payload: Any) -> DoorstepError | None:
        """Publish under its own id; octets as they are, else JSON."""
        return (await self.say_all([(path, payload)]))[0]

    async def say_all(self, said: Sequence[tuple[str, Any]]) -> Sequence[DoorstepError | None]:
        """Publish many at once."""
        messages = [
            Message(
                f"{topics.PREFIX}{self.wire_id}/{path}",
                payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
                1,
            )
            for path, payload in said
        ]
        return await self._iotda.hearing.published(self.principal, messages)

    async def event(self, service: str, kind: str, paras: Any, **more: Any) -> DoorstepError | None:
        """Report an event."""
        return await self.say(
            "sys/events/up", {"services": [{"service_id": service, "event_type": kind, "paras": paras, **more}]}
        )

    async def told(self, kind: str) -> Any:
        """The paras of the event that is told next; it must be of this kind."""
        topic, payload = await self.line.next()
        (event,) = payload["services"]
        assert (topic, event["event_type"]) == (f"{topics.PREFIX}{self.wire_id}/sys/events/down", kind)
        return event["paras"]


class House:
    """One home of one person."""

    def __init__(self, api: Api, client: httpx2.AsyncClient, home_id: str) -> None:
        self.api = api
        self.client = client
        self.home_id = home_id
        self.line = Line(api.services.iotda)

    async def register(self, product: str, node_id: str, **fields: Any) -> tuple[str, str]:
        """(the hub's id of a new device, its own)."""
        body = {"product_id": product, "node_id": node_id, **fields}
        if "gateway_id" not in fields:
            body.setdefault("secret", SECRET)
        answer = await self.client.post(f"/api/homes/{self.home_id}/devices", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return made["device"]["id"], made["device_id"]

    async def connected(self, product: str, node_id: str) -> Speaker:
        """A new device, connected."""
        return self.line.connect(*(await self.register(product, node_id)))

    async def view(self, device_id: str) -> Any:
        """The device as the API shows it."""
        return (await self.client.get(f"/api/devices/{device_id}")).json()

    async def log(self, device_id: str, kind: str) -> list[Any]:
        """Entries of one kind in its log, newest first."""
        await self.api.services.journal.flush()
        answer = await self.client.get(f"/api/devices/{device_id}/journal", params={"type": kind})
        return [each for each in answer.json()["items"] if each["type"] == kind]

    async def until(self, device_id: str, state: str, command_id: str) -> Any:
        """The command once it is in that state."""
        async with asyncio.timeout(WAIT):
            while True:
                found = (await self.client.get(f"/api/devices/{device_id}/commands/{command_id}")).json()
                if found["state"] == state:
                    return found
                await asyncio.sleep(0.01)


@asynccontextmanager
async def house_in(folder: Path, name: str = "anna") -> AsyncIterator[House]:
    """A hub in `folder`."""
    async with Api(folder) as api:
        api.services.iotda.address.known("http://hub")
        client = await api.person(name)
        yield House(api, client, await home_of(client))
