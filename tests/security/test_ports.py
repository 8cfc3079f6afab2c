"""Every port of a hub and of a device against credentials that are wrong, missing, taken away or another hub's."""

import asyncio
import os
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec.structs import replace

from app import admin as admin_socket
from app.admin import Admin
from app.admin_verbs import AdminVerbs
from app.serving import Endpoint
from app.sync.model import Op, Part
from app.sync.wire import (
    MAX_MESSAGE,
    Changes,
    Failed,
    Found,
    Pull,
    Push,
    Restate,
    Snapshot,
    Welcome,
    Wiped,
    decode_answer,
    encode,
)
from app.sync.wire import Hello as SyncHello
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.device import Binding
from pairing.identity import Identity
from pairing.messages import Answer, Hello, Report, Reset
from tests.api.harness import Api
from tests.e2e.living import WAIT, Living, living
from tests.security.knocking import GARBAGE, activated, activated_at_once, admin, linked, raw, recorded, said_in_link
from tests.sync.strangers import Stranger

PIN, WRONG_PIN = "31415926", "27182818"
# What a port that speaks the device protocol says to what is no first frame of it; to less than a frame, nothing.
MALFORMED = dict.fromkeys(GARBAGE, "malformed_message") | {"nothing": "closed", "half a frame": "closed"}
HELLO = Hello("1.0.0", "lamp")
STOLEN = Identity(bytes(range(32)))


class Impostor(Identity, frozen=True):
    """A key of its own, and the id of another."""

    claimed: bytes

    @property
    def fingerprint(self) -> bytes:
        return self.claimed


def lamp(pin: str | None = PIN) -> VirtualDevice:
    place = Place(retry_first=0.05, retry_most=0.2)
    return VirtualDevice(product_named("lamp"), pin=pin, place=place)


async def paired(hub: Living, device: VirtualDevice) -> str:
    """The device's id in the home."""
    path = await hub.start_pairing(method="wired", device_id=device.id, pin=PIN)
    session = await hub.until(path, "joined", "failed")
    assert session["state"] == "joined", session["failure"]
    async with asyncio.timeout(WAIT):
        await device.wait("linked")
    device_id: str = session["device_ids"][0]
    return device_id


async def obeys(hub: Living, device_id: str) -> bool:
    command = {"service": "light", "values": {"on": True}, "expires_in": 60}
    answer = await hub.owner.post(f"/api/devices/{device_id}/commands", params={"wait": 20}, json=command)
    return bool(answer.json()["state"] == "answered")


def binding_of(device: VirtualDevice) -> Binding:
    assert device.state.active is not None
    return device.state.active


@dataclass
class Street:
    """Anna's hub with her lamp, one she let go while it was off, and the hub next door with a lamp of its own."""

    hub: Living
    lamp: VirtualDevice
    lamp_id: str
    gone: tuple[Identity, Binding]
    next_door: Living
    other: VirtualDevice

    async def rows(self) -> list[int]:
        """How much is on the disk of what a stranger might want to change."""
        tables = "devices", "bindings", "commands", "audit", "secrets", "shadow"
        return await self.hub.node.store.read(
            lambda reader: [reader.all(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
        )


@asynccontextmanager
async def street(folder: Path) -> AsyncIterator[Street]:
    async with living(folder / "annas") as hub, living(folder / "next door") as next_door, lamp() as mine:
        await hub.claim()
        await next_door.claim()
        async with lamp() as leaving:
            leaving_id = await paired(hub, leaving)
            gone = leaving.state.identity, binding_of(leaving)
        assert (await hub.owner.delete(f"/api/devices/{leaving_id}")).status_code == 204
        async with lamp() as other:
            await paired(next_door, other)
            yield Street(hub, mine, await paired(hub, mine), gone, next_door, other)


async def test_the_link_port(tmp_path: Path) -> None:
    async with street(tmp_path) as here:
        port, mine, binding = here.hub.node.link_port, here.lamp.state.identity, binding_of(here.lamp)
        theirs, their_binding = here.other.state.identity, binding_of(here.other)
        replay = b"".join(await recorded(port, mine, binding))
        impostor = Impostor(STOLEN.private, mine.fingerprint)
        before = await here.rows()
        outcomes = {
            "a stranger": await linked(port, STOLEN, replace(binding, credential=bytes(32))),
            "a stranger with a stolen credential": await linked(port, STOLEN, binding),
            "another key under the lamp's id": await linked(port, impostor, binding),
            "the lamp without its credential": await linked(port, mine, replace(binding, credential=bytes(32))),
            "the lamp with the credential of next door": await linked(
                port, mine, replace(binding, credential=their_binding.credential)
            ),
            "a lamp that was let go": await linked(port, *here.gone),
            "a lamp of next door": await linked(port, theirs, their_binding),
            "a lamp of next door, meaning us": await linked(
                port, theirs, replace(their_binding, hub_key=binding.hub_key)
            ),
            "the lamp, meaning next door": await linked(port, mine, replace(binding, hub_key=their_binding.hub_key)),
            "a recording of the lamp": await raw(port, replay),
        }
        assert outcomes == {
            "a stranger": "refused: unknown",
            "a stranger with a stolen credential": "refused: unknown",
            "another key under the lamp's id": "refused: credential",
            "the lamp without its credential": "refused: credential",
            "the lamp with the credential of next door": "refused: credential",
            "a lamp that was let go": "refused: removed",
            "a lamp of next door": "proof_failed",
            "a lamp of next door, meaning us": "refused: unknown",
            "the lamp, meaning next door": "proof_failed",
            "a recording of the lamp": "proof_failed",
        }
        noise = {name: await raw(port, octets) for name, octets in GARBAGE.items()}
        assert noise == MALFORMED
        assert await here.rows() == before
        assert await obeys(here.hub, here.lamp_id)
        assert await linked(port, mine, binding) == "linked"


async def test_the_link_port_and_a_lamp_that_was_reset(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        async with lamp() as device, lamp() as other:
            device_id = await paired(hub, device)
            await paired(hub, other)
            mine, binding = device.state.identity, binding_of(device)
            theirs = binding_of(other)
        port, path = hub.node.link_port, f"/api/devices/{device_id}"
        assert (await hub.owner.post(f"{path}/reset", json={})).status_code == 200
        outcomes = {
            "without its credential": await linked(port, mine, replace(binding, credential=bytes(32))),
            "with another's": await linked(port, mine, replace(binding, credential=theirs.credential)),
            "another key with its credential": await linked(port, STOLEN, binding),
            "another key under its id": await linked(port, Impostor(STOLEN.private, mine.fingerprint), binding),
        }
        assert outcomes == {
            "without its credential": "refused: credential",
            "with another's": "refused: credential",
            "another key with its credential": "refused: unknown",
            "another key under its id": "refused: credential",
        }
        report = Report("light", {"on": True, "brightness": 777})
        before = (await hub.owner.get(path)).json()
        assert await said_in_link(port, mine, binding, HELLO, report, Answer("x", ok=True)) == [Reset()]
        assert (await hub.owner.get(path)).json() == before
        assert await said_in_link(port, mine, binding, HELLO, report, Reset()) == [Reset()]
        async with asyncio.timeout(WAIT):
            while (await hub.owner.get(f"{path}/reset")).json()["state"] != "confirmed":
                await asyncio.sleep(0.02)
        assert (await hub.owner.get(path)).json() == before
        assert await linked(port, mine, binding) == "refused: removed"


async def test_the_pairing_port_of_a_free_device(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub, lamp() as device:
        identity = await hub.node.services.hub.identity()
        impostor = Impostor(STOLEN.private, identity.fingerprint)
        _, holding = await asyncio.open_connection("127.0.0.1", device.port)
        assert await activated_at_once(device.port, identity, PIN) == "device_busy"
        holding.close()
        await holding.wait_closed()
        outcomes = {
            "without the PIN": await activated(device.port, identity, None),
            "with a wrong PIN": await activated(device.port, identity, WRONG_PIN),
            "another key under the hub's id": await activated(device.port, impostor, PIN),
        }
        assert outcomes == {
            "without the PIN": "pin_needed",
            "with a wrong PIN": "wrong_pin",
            "another key under the hub's id": "proof_failed",
        }
        noise = {name: await raw(device.port, octets) for name, octets in GARBAGE.items()}
        assert noise == {**MALFORMED, "another version": "unsupported_version"}
        assert device.state.candidates == ()
        await hub.claim()
        assert await obeys(hub, await paired(hub, device))


async def test_the_pairing_port_of_a_paired_device(tmp_path: Path) -> None:
    async with street(tmp_path) as here:
        ours = await here.hub.node.services.hub.identity()
        theirs = await here.next_door.node.services.hub.identity()
        port, before = here.lamp.port, binding_of(here.lamp)
        outcomes = {
            "next door, with the PIN": await activated(port, theirs, PIN),
            "next door, without": await activated(port, theirs, None),
            "another key under our id": await activated(port, Impostor(STOLEN.private, ours.fingerprint), PIN),
            "we, with a wrong PIN": await activated(port, ours, WRONG_PIN),
        }
        assert outcomes == {
            "next door, with the PIN": "device_bound_elsewhere",
            "next door, without": "device_bound_elsewhere",
            "another key under our id": "proof_failed",
            "we, with a wrong PIN": "wrong_pin",
        }
        path = await here.next_door.start_pairing(method="wired", device_id=here.lamp.id, pin=PIN)
        session = await here.next_door.until(path, "joined", "failed")
        assert session["failure"]["cause"] == "device_bound_elsewhere"
        assert binding_of(here.lamp) == before
        assert await obeys(here.hub, here.lamp_id)


async def test_a_device_without_a_pin_is_nobodys_until_a_person_says_so(tmp_path: Path) -> None:
    async with lamp(pin=None) as device:
        assert await activated(device.port, STOLEN, None) == "refused_by_person"
        assert await activated(device.port, STOLEN, PIN) == "proof_failed"
        assert device.state.candidates == ()


@asynccontextmanager
async def with_admin_socket(folder: Path) -> AsyncIterator[Living]:
    async with living(folder) as hub:
        socket = Admin(folder)
        AdminVerbs(hub.node, Endpoint("http://hub", "http://hub", "127.0.0.1", 80, None)).register(socket)
        await socket.start()
        try:
            yield hub
        finally:
            await socket.stop()


def line(verb: str, **args: object) -> bytes:
    return msgspec.json.encode({"verb": verb, "args": args}) + b"\n"


async def test_the_admin_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "hub"
    async with with_admin_socket(folder) as hub:
        assert await admin(folder, line("token")) == "not_claimed"
        await hub.claim()
        before = await hub.node.store.read(lambda reader: reader.all("SELECT * FROM audit"))
        outcomes = {
            "a verb it has not": await admin(folder, line("shell", command="id")),
            "more than a verb": await admin(folder, b'{"verb": "status", "as": "root"}\n'),
            "a recovery of nobody": await admin(folder, line("recover", login="eve", password="eve's own password")),
            "a recovery with a password too short": await admin(folder, line("recover", login="anna", password="x")),
            "a recovery with more": await admin(folder, line("recover", login="anna", password="y" * 9, admin=True)),
            "a backup without a passphrase": await admin(folder, line("backup", out=str(tmp_path / "out"))),
        }
        assert outcomes == {
            "a verb it has not": "not_found",
            "more than a verb": "invalid",
            "a recovery of nobody": "not_found",
            "a recovery with a password too short": "invalid",
            "a recovery with more": "invalid",
            "a backup without a passphrase": "invalid",
        }
        noise = {name: await admin(folder, octets) for name, octets in GARBAGE.items() if name != "a JSON line"}
        assert set(noise.values()) == {"closed", "invalid"}
        with monkeypatch.context() as stranger:
            stranger.setattr(admin_socket, "_peer_uid", lambda _: os.geteuid() + 1)
            assert await admin(folder, line("token")) == "closed"
        assert await hub.node.store.read(lambda reader: reader.all("SELECT * FROM audit")) == before
        assert not await asyncio.to_thread((tmp_path / "out").exists)
        assert await admin(folder, line("token")) == "done"


async def test_the_companion_port(tmp_path: Path) -> None:
    async with street(tmp_path) as here:
        hub, path = here.hub, f"/api/devices/{here.lamp_id}"
        session = (await sign_in(hub)).json()
        key = (await hub.owner.post("/api/me/keys", json={"name": "A program", "scopes": ["read"]})).json()
        assert (await hub.owner.delete(f"/api/me/keys/{key['key']['id']}")).status_code == 204
        removed = (await sign_in(hub)).json()
        assert (await hub.owner.delete(f"/api/me/sessions/{removed['session_id']}")).status_code == 204
        good = session["access_token"]
        wrong = {
            "none": None,
            "no token": "Bearer ",
            "another scheme": f"Basic {good}",
            "a token and more": f"Bearer {good}x",
            "less than a token": f"Bearer {good[:-1]}",
            "a refresh token": f"Bearer {session['refresh_token']}",
            "a session that was ended": f"Bearer {removed['access_token']}",
            "a key that was ended": f"Bearer {key['secret']}",
            "the owner of next door": here.next_door.owner.headers["authorization"],
            "an account's id": f"Bearer {session['account_id']}",
            "octets": "Bearer \xff\xfe",
        }
        for credential in wrong.values():
            assert await refusals(hub, path, credential) == {(401, "unauthenticated")}, credential
        assert await refusals(hub, path, f"Bearer {good}") == set()


async def sign_in(hub: Living) -> httpx2.Response:
    async with hub.client() as anybody:
        body = {"login": "anna", "password": "correct horse battery", "phone": "Another phone"}
        return await anybody.post("/api/sign-in", json=body)


async def refusals(hub: Living, device: str, credential: str | None) -> set[tuple[int, str]]:
    """How a read, a change, a command and a list are refused."""
    headers = {} if credential is None else {b"Authorization": credential.encode("latin-1")}
    command = {"service": "light", "values": {"on": False}}
    async with hub.client() as client:
        answers = [
            await client.get(device, headers=headers),
            await client.patch(device, json={"name": "Eve's"}, headers=headers),
            await client.post(f"{device}/commands", json=command, headers=headers),
            await client.get("/api/homes", headers=headers),
        ]
    return {(each.status_code, each.json()["code"]) for each in answers if not each.is_success}


async def test_the_port_of_hubs(tmp_path: Path) -> None:
    """What is below /sync/ at a cloud: enrolled hubs get in, by their own key, and nobody else by anything."""
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud, Api(tmp_path / "other", is_cloud=True) as other:
        for each in (cloud, other):
            each.services.enrolment.cloud_end.known("https://cloud.example", None)
        anna, hub, revoked, elsewhere = await cloud.person("anna"), Stranger(cloud), Stranger(cloud), Stranger(other)
        way = await hub.enrolled_by(anna)
        gone = await revoked.enrolled_by(anna)
        await elsewhere.enrolled_by(await other.person("bert"))
        recording, lost = await hub.proof(), await revoked.token()
        good = (await hub.post("/sync/sessions", recording)).content
        assert (await anna.delete(gone)).status_code == 204
        outcomes = {
            "a recording": await hub.post("/sync/sessions", recording),
            "a revoked hub": await revoked.post("/sync/sessions", await revoked.proof()),
            "a hub of another cloud": await hub.post("/sync/sessions", await elsewhere.proof()),
            "another key under its id": await hub.post("/sync/sessions", await revoked.proof(hub_id=hub.hub_id)),
            "no token": await hub.post("/sync/leave"),
            "a token of a revoked hub": await hub.post("/sync/leave", token=lost),
            "a token of another cloud": await hub.post("/sync/leave", token=await elsewhere.token()),
            "a person's": await hub.post("/sync/leave", token=str(anna.headers["authorization"]).split()[1]),
            "a route that is none": await hub.post("/sync/x"),
        }
        assert {what: answer.json()["code"] for what, answer in outcomes.items()} == {
            "a recording": "hub_challenge_over",
            "a revoked hub": "hub_revoked",
            "a hub of another cloud": "hub_challenge_over",
            "another key under its id": "hub_unproved",
            "no token": "unauthenticated",
            "a token of a revoked hub": "unauthenticated",
            "a token of another cloud": "unauthenticated",
            "a person's": "unauthenticated",
            "a route that is none": "not_found",
        }
        assert (await anna.get(way)).json()["revoked_at"] is None
        token = msgspec.msgpack.decode(good)["token"]
        assert (await hub.post("/sync/leave", token=token)).status_code == 204


class Caller:
    """A program at the other end of a WebSocket to a cloud, with nothing between but ASGI."""

    def __init__(self, cloud: Api, token: str | None) -> None:
        self._app = cloud.app
        given = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/sync/stream",
            "raw_path": b"/sync/stream",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"cloud"), *given],
            "client": ("192.0.2.9", 9),
            "server": ("cloud", 80),
            "subprotocols": [],
            "state": {},
        }

    async def said(self, *frames: bytes | str) -> list[str]:
        """What comes of it: `accepted`, each answer by its type, and `closed`."""
        heard: list[str] = []
        say: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        say.put_nowait({"type": "websocket.connect"})
        answered = asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "websocket.accept":
                heard.append("accepted")
                for frame in frames:
                    kind = "bytes" if isinstance(frame, bytes) else "text"
                    say.put_nowait({"type": "websocket.receive", kind: frame})
            elif message["type"] == "websocket.send":
                heard.append(type(decode_answer(message["bytes"])).__name__)
                answered.set()
            else:
                heard.append("closed")

        async with asyncio.timeout(WAIT):
            talk: asyncio.Task[None] = asyncio.create_task(self._app(self._scope, say.get, send))  # type: ignore[arg-type]
            waiting = asyncio.create_task(answered.wait())
            await asyncio.wait([talk, waiting], return_when=asyncio.FIRST_COMPLETED)
            say.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await talk
            waiting.cancel()
        return heard


NOISE: dict[str, bytes | str] = {
    "nothing": b"",
    "text": "hello",
    "no MessagePack": b"\xc1",
    "no request": b"\x80",
    "deep": b"\x91" * 50_000,
    "a list that says it is longer than memory": b"\xdd\xff\xff\xff\xff",
    "more than a message": b"x" * (MAX_MESSAGE + 1),
}


async def test_the_stream_and_the_exchange_of_hubs(tmp_path: Path) -> None:
    """Whoever speaks as a hub has proved itself as one that is enrolled here, is not revoked, and was not restored."""
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud, Api(tmp_path / "other", is_cloud=True) as other:
        for each in (cloud, other):
            each.services.enrolment.cloud_end.known("https://cloud.example", None)
        anna, hub, revoked, restored = await cloud.person("anna"), Stranger(cloud), Stranger(cloud), Stranger(cloud)
        await hub.enrolled_by(anna)
        gone = await revoked.enrolled_by(anna)
        await restored.enrolled_by(anna)
        elsewhere = Stranger(other)
        await elsewhere.enrolled_by(await other.person("bert"))
        tokens: dict[str, str | None] = {
            "none": None,
            "wrong": "x" * 43,
            "a person's": str(anna.headers["authorization"]).removeprefix("Bearer "),
            "of a revoked hub": await revoked.token(),
            "of a life before": await restored.token(),
            "of another cloud": await elsewhere.token(),
            "more than a token": f"{await hub.token()}x",
        }
        await restored.token(node="node-2", incarnation=2)
        assert (await anna.delete(gone)).status_code == 204
        asked = encode(SyncHello(1, 0, []))
        for what, token in tokens.items():
            answer = await hub.post("/sync/exchange", asked, token=token)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), what
            assert await Caller(cloud, token).said(asked) == ["closed"], what
        good = await hub.token()
        assert await Caller(cloud, good).said(asked) == ["accepted", "Welcome"]
        for what, frame in NOISE.items():
            assert await Caller(cloud, good).said(frame) == ["accepted", "closed"], what
            if isinstance(frame, bytes):
                refused = await hub.post("/sync/exchange", frame, token=good)
                assert refused.status_code == (413 if len(frame) > MAX_MESSAGE else 400), what
        cloud.forward(3_600_001)
        assert (await hub.post("/sync/exchange", asked, token=good)).status_code == 401
        assert await Caller(cloud, good).said(asked) == ["closed"]


async def test_a_hub_asks_of_homes_that_are_not_its(tmp_path: Path) -> None:
    """Whatever it asks of them, it is told no more than that it does not serve them."""
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud:
        cloud.services.enrolment.cloud_end.known("https://cloud.example", None)
        anna, bert, mine, theirs = await cloud.person("anna"), await cloud.person("bert"), *map(Stranger, [cloud] * 2)
        await mine.enrolled_by(anna)
        await theirs.enrolled_by(bert)
        home = (await anna.post("/api/homes", json={"name": "Mine", "time_zone": "UTC"})).json()["id"]
        attached = await anna.post(f"/api/homes/{home}/hubs", json={"hub_id": mine.hub_id})
        assert attached.status_code == 201, attached.text
        token, epoch = await theirs.token(), cloud.services.sync.cloud_end.heads[home][0]
        op = Op("00000000000000ff", 1, "", 1 << 30, 0, [Part("room", "r", "new", {"name": "Eve's"})])
        requests = (
            Pull(1, home, epoch, 0),
            Push(2, home, epoch, 0, [op]),
            Snapshot(3, home, ("", "")),
            Restate(4, home, epoch, [], True, []),
        )
        for request in requests:
            answer = decode_answer((await theirs.post("/sync/exchange", encode(request), token=token)).content)
            assert answer == Wiped(request.id, home), request
        found = decode_answer((await theirs.post("/sync/exchange", encode(Found(5, home, "x")), token=token)).content)
        assert isinstance(found, Failed)
        assert found.code == "home_exists"
        welcome = decode_answer((await theirs.post("/sync/exchange", encode(SyncHello(6, 0, [])), token=token)).content)
        assert isinstance(welcome, Welcome)
        assert welcome.homes == []
        pulled = await mine.post("/sync/exchange", encode(Pull(7, home, epoch, 0)), token=await mine.token())
        assert isinstance(decode_answer(pulled.content), Changes)
        assert (await anna.get(f"/api/homes/{home}/rooms")).json()["items"] == []
