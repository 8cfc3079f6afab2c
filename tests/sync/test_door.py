"""The hub's door to its cloud over real TLS: pinned, renewed by itself, requests and WebSockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send
from msgspec import Struct
from websockets.exceptions import ConnectionClosedError

from app.serving import Endpoint, Serving
from app.settings import Settings
from app.store.folder import TLS_CERTIFICATE, TLS_KEY
from app.sync.enrolment.connecting import CloudPinWrong, CloudRefused, CloudUnreachable
from app.sync.enrolment.door import CloudDoor, NotEnrolled
from app.sync.enrolment.face import SyncFace
from app.sync.enrolment.model import Revoked
from tests.api.harness import Api
from tests.sync.pair import Ends, owner

ECHO = "/sync/echo"
MAX_MESSAGE = 16 * 1024 * 1024


class Echoing:
    """The cloud's own application, and a WebSocket below /sync/ that says what it is told; hubs alone get in."""

    def __init__(self, cloud: Api) -> None:
        self._cloud = cloud
        enrolment = cloud.services.enrolment
        self._face = SyncFace(enrolment.hubs, enrolment.tokens, cloud.clock)
        self.spoke: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            await self._cloud.app(scope, receive, send)
            return
        actor = self._face.actor_of(scope)
        await receive()
        if actor is None or scope["path"] != ECHO:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        self.spoke.append(actor.hub_id)
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        while (message := cast("Any", await receive()))["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"], "text": None})


class Served(Struct):
    """Both ends, the cloud behind a real socket."""

    both: Ends
    app: Echoing
    folder: Path
    door: CloudDoor
    serving: Serving
    endpoint: Endpoint


def settings(folder: Path, port: int = 0) -> Settings:
    return Settings(data=folder, port=port, role="cloud", shutdown_grace=1.0)


@asynccontextmanager
async def serve(folder: Path) -> AsyncIterator[Served]:
    async with Api(folder / "cloud", is_cloud=True) as cloud, Api(folder / "hub") as hub:
        serving, app = Serving(settings(folder / "cloud")), Echoing(cloud)
        endpoint = await serving.open(app)
        assert endpoint.certificate is not None
        cloud.services.enrolment.cloud_end.known(endpoint.url, endpoint.certificate.pin)
        hub.services.enrolment.hub_end.pauses = (0.02, 0.1)
        both = Ends(cloud, hub, await owner(cloud, "anna"), await owner(hub, "anna"))
        served = Served(both, app, folder, hub.services.enrolment.door, serving, endpoint)
        try:
            yield served
        finally:
            await hub.services.enrolment.stop()
            await served.serving.close()


async def test_requests_and_sockets_over_pinned_tls(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        both, door = served.both, served.door
        with pytest.raises(NotEnrolled):
            await door.post("/sync/challenges", b"")
        await both.enrol()
        assert len(await door.post("/sync/challenges", b"")) > 32
        async with door.websocket(ECHO) as socket:
            for message in (b"", b"one", bytes(5_000), bytes(MAX_MESSAGE)):
                await socket.send(message)
                assert await socket.recv() == message
            assert (await both.at_hub.get("/api/cloud")).json()["connected"] is True
        assert (await both.at_hub.get("/api/cloud")).json()["connected"] is False
        assert served.app.spoke == [both.hub_id]
        async with door.websocket(ECHO) as socket:
            await socket.send(bytes(MAX_MESSAGE + 1))
            with pytest.raises(ConnectionClosedError):
                await socket.recv()
        with pytest.raises(CloudRefused) as refused:
            await door.post("/sync/nothing", b"")
        assert (refused.value.status, refused.value.code) == (404, "not_found")
        # A token that is over is renewed on the way; one that is refused for good is not tried for ever.
        both.cloud.forward(3_600_000)
        async with door.websocket(ECHO) as socket:
            await socket.send(b"again")
            assert await socket.recv() == b"again"
        with pytest.raises(CloudRefused):
            async with door.websocket("/sync/elsewhere"):
                pass
        await both.at_cloud.delete(f"/api/hubs/{both.hub_id}")
        with pytest.raises(Revoked):
            async with door.websocket(ECHO):
                pass
        assert (await both.at_hub.get("/api/cloud")).json()["state"] == "revoked"


async def again(served: Served) -> None:
    """The cloud listens once more at its port, with the certificate that its folder has now."""
    await served.serving.close()
    served.serving = Serving(settings(served.folder / "cloud", served.endpoint.port))
    served.endpoint = await served.serving.open(served.app)


async def test_what_the_pin_is_for(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        await served.both.enrol()
        await served.door.session()
        first = served.endpoint.certificate
        cloud = tmp_path / "cloud"
        # Renewed: another certificate around the same key. The hub goes on.
        await asyncio.to_thread((cloud / TLS_CERTIFICATE).unlink)
        await again(served)
        renewed = served.endpoint.certificate
        assert first is not None
        assert renewed is not None
        assert (first.pin, first.fingerprint != renewed.fingerprint) == (renewed.pin, True)
        assert await reached(served.door)
        # Another key: somebody else, as far as a hub can tell.
        for name in (TLS_CERTIFICATE, TLS_KEY):
            await asyncio.to_thread((cloud / name).unlink)
        await again(served)
        with pytest.raises(CloudUnreachable):
            await served.door.post("/sync/challenges", b"")
        with pytest.raises(CloudPinWrong):
            await served.door.post("/sync/challenges", b"")
        with pytest.raises(CloudPinWrong):
            async with served.door.websocket(ECHO):
                pass
        assert served.door.cloud_id is not None


async def reached(door: CloudDoor) -> bool:
    """Whether the cloud answers, at the latest when it is tried once more: the old line ends with an error."""
    try:
        await door.post("/sync/challenges", b"")
    except CloudUnreachable:
        await door.post("/sync/challenges", b"")
    return True


async def test_a_cloud_that_does_not_listen(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        await served.both.enrol()
        session = await served.door.session()
        await served.serving.close()
        with pytest.raises(CloudUnreachable):
            await served.door.post("/sync/challenges", b"")
        with pytest.raises(CloudUnreachable):
            async with served.door.websocket(ECHO):
                pass
        await again(served)
        assert await reached(served.door)
        assert (await served.door.session()).token != session.token


async def test_a_wrong_pin_sends_no_code(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        made = await served.both.code()
        served.both.cloud.services.enrolment.cloud_end.known(served.endpoint.url, "A" * 43 + "=")
        other = await served.both.code()
        answer = await served.both.at_hub.post("/api/cloud", json={"code": other["link"]})
        assert (answer.status_code, answer.json()["code"]) == (409, "cloud_pin_wrong")
        for code in (made, other):
            state = (await served.both.at_cloud.get(f"/api/hubs/enrolments/{code['id']}")).json()["state"]
            assert state == "offered"
