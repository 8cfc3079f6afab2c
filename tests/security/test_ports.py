"""Every port of a hub and of a device against credentials that are wrong, missing, taken away or another hub's."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec
import pytest
from msgspec.structs import replace

from app import admin as admin_socket
from app.admin import Admin
from app.admin_verbs import AdminVerbs
from app.serving import Endpoint
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
            "a recording": "challenge_over",
            "a revoked hub": "hub_revoked",
            "a hub of another cloud": "challenge_over",
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
