"""The message service over a real port: who is let in, that nothing is lost, one consumer at a time."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from app.dialects.tuya.messages import password_of
from app.serving import Serving
from app.settings import Limits, Settings
from tests.e2e.living import WAIT, Living, living

# At once, from this machine.
CONNECTIONS = 4


class Stream:
    """A hub, a lamp, and a key's stream of messages."""

    def __init__(self, hub: Living, url: str, key: dict[str, Any], lamp: str) -> None:
        self.hub = hub
        self.url = url
        self.client_id: str = key["key"]["id"]
        self.secret: str = key["secret"]
        self.lamp = lamp

    @asynccontextmanager
    async def consumer(self, **headers: str) -> AsyncIterator[ClientConnection]:
        """A connection with the right headers, but for those given."""
        path = f"/ws/v2/consumer/persistent/{self.client_id}/out/event/{self.client_id}-sub?ackTimeoutMillis=1000"
        said = {"username": self.client_id, "password": password_of(self.client_id, self.secret)} | headers
        async with connect(self.url.replace("http", "ws") + path, additional_headers=said) as connection:
            yield connection

    async def report(self, value: int) -> None:
        await self.hub.node.services.devices.reported(self.lamp, "light", {"brightness": value})

    async def listening(self, number: int = 1) -> None:
        """Returns once so many consumers are connected and one of them has begun."""
        consuming = self.hub.node.services.tuya.consuming
        async with asyncio.timeout(WAIT):
            while consuming.consumers < number or not consuming.telling:
                await asyncio.sleep(0.01)


async def next_report(connection: ClientConnection) -> tuple[str, dict[str, Any]]:
    """(message id, frame) of the next message of protocol 4."""
    async with asyncio.timeout(WAIT):
        while True:
            frame = json.loads(await connection.recv())
            outer = json.loads(base64.b64decode(frame["payload"]))
            if outer["protocol"] == 4:
                return frame["messageId"], frame
            await connection.send(json.dumps({"messageId": frame["messageId"]}))


@pytest_asyncio.fixture
async def stream(tmp_path: Path) -> AsyncIterator[Stream]:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        limits = Limits(connections_per_address=CONNECTIONS)
        door = Serving(Settings(data=tmp_path / "hub", port=0, tls=False, limits=limits))
        endpoint = await door.open(hub.node.asgi)
        body = {"name": "tuya", "scopes": ["read"], "dialect": "tuya"}
        key = (await hub.owner.post("/api/me/keys", json=body)).json()
        services = hub.node.services
        new = NewDevice(home_id=hub.home_id, hardware_id="lamp", product_id="lamp")
        lamp = await services.store.write(lambda tx: services.devices.bind_in(tx, BY_SYSTEM, new).id)
        try:
            yield Stream(hub, endpoint.url, key, lamp)
        finally:
            await door.close()


@pytest.mark.parametrize("headers", [{"password": "0" * 16}, {"username": "nobody"}, {"password": ""}])
async def test_a_wrong_password_opens_nothing(stream: Stream, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus):
        async with stream.consumer(**headers):
            pass


async def test_connections_that_became_streams_count_until_they_end(stream: Stream) -> None:
    for _ in range(2 * CONNECTIONS):
        async with stream.consumer():
            pass
        with pytest.raises(InvalidStatus):
            async with stream.consumer(password="wrong"):
                pass
    async with AsyncExitStack() as several:
        for _ in range(CONNECTIONS):
            await several.enter_async_context(stream.consumer())
        with pytest.raises((OSError, InvalidMessage)):
            async with stream.consumer():
                pass


async def test_what_is_not_acknowledged_is_told_again(stream: Stream) -> None:
    async with stream.consumer() as connection:
        await stream.listening()
        await stream.report(500)
        first, frame = await next_report(connection)
        again, repeated = await next_report(connection)
        assert (again, frame["redeliveryCount"], repeated["redeliveryCount"]) == (first, 0, 1)


async def test_the_second_consumer_waits_until_the_first_is_gone_and_misses_nothing(stream: Stream) -> None:
    async with stream.consumer() as second_to_be:
        await stream.listening()
        async with stream.consumer() as waiting:
            await stream.listening(2)
            await stream.report(501)
            await next_report(second_to_be)
            await second_to_be.close()
            taken, _ = await next_report(waiting)
            await waiting.send(json.dumps({"messageId": taken}))
            await stream.report(502)
            following, _ = await next_report(waiting)
            assert int(following) > int(taken)


async def test_a_key_that_ends_ends_its_stream(stream: Stream) -> None:
    async with stream.consumer() as connection:
        await stream.listening()
        await stream.hub.owner.delete(f"/api/me/keys/{stream.client_id}")
        async with asyncio.timeout(WAIT):
            async for _ in connection:
                pass
        with pytest.raises(InvalidStatus):
            async with stream.consumer():
                pass


@pytest.mark.parametrize("said", ["{", "[]", '{"messageId":"x"}', '{"messageId":"' + "x" * 3000 + '"}', "\x00"])
async def test_a_consumer_that_talks_nonsense_is_left(stream: Stream, said: str) -> None:
    async with stream.consumer() as connection:
        await stream.listening()
        await connection.send(said)
        async with asyncio.timeout(WAIT):
            async for _ in connection:
                pass
    async with stream.consumer():
        await stream.listening()
