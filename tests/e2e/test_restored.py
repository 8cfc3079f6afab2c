"""A hub is backed up, used on and lost; its replacement has everything, and no secret lies where none may."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.commands.child import Child, HubProcess
from app.store.folder import DATABASE, TLS_KEY, VAULT_KEY
from app.store.vault import Vault
from pairing.device import FileDeviceStore
from tests.e2e.household import PIN, Household, good, now
from tests.e2e.verbs import command
from tests.e2e.witness import Witness
from tests.security.canaries import Canaries

PASSPHRASE = "the passphrase of the canary"
# "sent": the hub has not noticed yet that the lamp is off.
WAITING = ("queued", "sent")
FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")


class Scene:
    """Where things are in this test; `lost` and `found` are the data folders of the two hubs."""

    def __init__(self, folder: Path) -> None:
        self.lost, self.found = folder / "lost", folder / "found"
        self.backup = folder / "backup.doorstep"
        self.lamp_state = folder / "lamp.json"
        self.said = {name: folder / name for name in ("first", "second", "lamp", "lamp again")}
        for place in self.said.values():
            place.mkdir()
        self.kept = folder / "kept"

    def hub(self, data: Path, life: str, log_format: str) -> HubProcess:
        """A hub that logs all it can."""
        return HubProcess(data, "--log-level", "debug", "--log-format", log_format, folder=self.said[life])

    @asynccontextmanager
    async def lamp(self, life: str) -> AsyncIterator[tuple[Child, dict[str, Any]]]:
        """The lamp, which keeps its state."""
        where = ("--state", self.lamp_state, "--pin", PIN)
        async with Child("device", "--product", "lamp", *where, folder=self.said[life]) as lamp:
            yield lamp, await lamp.until(event="ready")

    def keep_files(self, data: Path, moment: str) -> None:
        """The database as it lies on the disk now, to be searched later."""
        (self.kept / moment).mkdir(parents=True)
        for name in FILES:
            if (data / name).exists():
                shutil.copy(data / name, self.kept / moment / name)


async def first_life(scene: Scene, house: Household, hub: HubProcess) -> dict[str, Any]:
    """A hub is set up, used, and backed up while it runs; what people saw at that moment."""
    await house.move_in(hub)
    async with scene.lamp("lamp") as (lamp, ready):
        await house.pair(lamp, ready)
        await house.share()
        assert (await house.switch("anna", True))["state"] == "answered"
    await house.mistakes(hub.ready["url"], hub.ready["claim_code"])
    assert (await house.switch("carol", False, wait=0, expires_in=86_400))["state"] in WAITING
    before = await house.seen()
    environ = {"DOORSTEP_PASSPHRASE": PASSPHRASE}
    code, made = await command("backup", scene.backup, "--data", scene.lost, environ=environ)
    assert (code, made["manifest"]["hub_id"]) == (0, hub.ready["hub"])
    await asyncio.to_thread(scene.keep_files, scene.lost, "at the backup")
    return before


async def use_on(house: Household, lamp: Child) -> None:
    """What the backup does not have: the waiting command is obeyed, a room more, another name."""
    assert (await lamp.until(event="command"))["values"] == {"on": False}
    assert (await house.switch("bob", True))["state"] == "answered"
    assert (await lamp.until(event="command"))["values"] == {"on": True}
    await good(house.anna.post(f"{house.home}/rooms", json={"name": "Attic"}))
    await good(house.anna.patch(house.home, json={"name": "Lindenstrasse"}))


async def lose(scene: Scene, hub: HubProcess, lamp: Child, secrets: Canaries) -> None:
    """The hub dies and its disk with it; the lamp is on, but too far away for the moment."""
    hub.send(signal.SIGKILL)
    await hub.ended()
    lamp.send(signal.SIGSTOP)
    await asyncio.to_thread(scene.keep_files, scene.lost, "killed")  # before the database is opened and tidied up
    await asyncio.to_thread(learn_all, scene.lost, scene.lamp_state, secrets)
    await asyncio.to_thread(shutil.rmtree, scene.lost)


def learn_all(data: Path, lamp_state: Path, secrets: Canaries) -> None:
    """Every secret the folder holds, in the vault and beside it, and the lamp's."""
    vault_key, tls_key = (data / VAULT_KEY).read_bytes(), (data / TLS_KEY).read_text()
    vault = Vault.of(vault_key)
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as db:
        for row, sealed in db.execute("SELECT row, sealed FROM secrets").fetchall():
            secrets.add(row, vault.unseal(sealed, row))
    secrets.add("vault key", vault_key)
    secrets.add("TLS key", "".join(line for line in tls_key.splitlines() if "-----" not in line)[-64:])
    lamp = FileDeviceStore(lamp_state).load()
    assert lamp is not None
    assert lamp.active is not None
    secrets.add("lamp's credential", lamp.active.credential)
    secrets.add("lamp's key", lamp.identity.private)


async def restored(scene: Scene) -> None:
    """The replacement's folder, and the incarnation it begins."""
    environ = {"DOORSTEP_PASSPHRASE": PASSPHRASE}
    code, done = await command("restore", scene.backup, "--data", scene.found, environ=environ)
    assert code == 0, done
    assert (done["incarnation"], done["aside"]) == (done["manifest"]["incarnation"] + 1, None)
    await asyncio.to_thread(scene.keep_files, scene.found, "restored")


async def second_life(scene: Scene, house: Household, hub: HubProcess, before: dict[str, Any]) -> None:
    """The replacement is the same hub, elsewhere: everybody signs in again and finds everything."""
    url = hub.ready["url"]
    await all_revoked(house, url)
    for name in ("anna", "bob", "carol"):
        await house.sign_in(url, name)
    await good(house.anna.put("/api/hub/clock", json={"time": now()}))
    compare(before, await house.seen())


async def the_lamp_obeys(house: Household, lamp: Child) -> None:
    """It finds its hub where it is now, does not do again what was to be done before, and does what is asked."""
    lamp.send(signal.SIGCONT)
    await lamp.until(event="linked")
    for who, on in (("anna", False), ("carol", True)):
        assert (await house.switch(who, on))["state"] == "answered"
        assert (await lamp.until(event="command"))["values"] == {"on": on}
    assert (await good(house.anna.get(house.lamp)))["services"]["light"]["reported"]["on"]["value"] is True


async def all_revoked(house: Household, url: str) -> None:
    """No token of the lost life opens anything."""
    witness = house.witness
    for name in ("anna", "bob", "carol", "screen", "bob before"):
        tokens = house.tokens[name]
        async with witness.client(url, tokens["access_token"]) as phone:
            assert (await phone.get("/api/me")).status_code == 401
            refresh = {"refresh_token": tokens["refresh_token"]}
            assert (await phone.post("/api/sign-in/refresh", json=refresh)).status_code == 401


def compare(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Everything is there as it was: but the lamp is here, and what was still to be done is not done any more."""
    assert before.keys() == after.keys()
    for path, was in before.items():
        now = after[path]
        if path.endswith("/commands"):
            assert [c["state"] for c in was["items"]] in ([waiting, "answered"] for waiting in WAITING)
            assert [c["state"] for c in now["items"]] == ["expired", "answered"]
            assert [c["id"] for c in now["items"]] == [c["id"] for c in was["items"]]
        elif path.endswith(("/journal", "/audit")):
            assert [item for item in now["items"] if item in was["items"]] == was["items"]
        else:
            assert lasting(now) == lasting(was), path


# What depends on whether the lamp is there at this moment.
PASSING = ("online", "last_seen_at")


def lasting(seen: Any) -> Any:
    """What was seen, and stays."""
    if isinstance(seen, list):
        return [lasting(each) for each in seen]
    if not isinstance(seen, dict):
        return seen
    return {name: lasting(value) for name, value in seen.items() if name not in PASSING}


def search(scene: Scene, witness: Witness) -> dict[str, set[str]]:
    """Where which secret stands; the line in which a hub shows its claim code is there for that."""
    found = {"refusals": witness.secrets.found_in(witness.refusals)}
    found["backup"] = witness.secrets.found_in_file(scene.backup)
    for life in scene.said.values():
        for said in life.iterdir():
            lines = said.read_bytes().splitlines(keepends=True)
            shown = b"".join(line for line in lines if b'"claim_code"' not in line)
            found[f"{life.name}/{said.name}"] = witness.secrets.found_in(shown)
    for moment in scene.kept.iterdir():
        for file in moment.iterdir():
            found[f"{moment.name}/{file.name}"] = witness.secrets.found_in_file(file)
        found[f"{moment.name} rows"] = witness.secrets.found_in_rows(moment / DATABASE)
    return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_a_lost_hub_comes_back_whole_and_tells_no_secret(scene: Scene) -> None:
    secrets = Canaries()
    secrets.add("passphrase", PASSPHRASE)
    witness = Witness(secrets)
    async with Household(witness) as house, AsyncExitStack() as stack:
        async with scene.hub(scene.lost, "first", "json") as hub:
            first = hub.ready
            before = await first_life(scene, house, hub)
            lamp, _ = await stack.enter_async_context(scene.lamp("lamp again"))
            await use_on(house, lamp)
            await lose(scene, hub, lamp, secrets)
        await restored(scene)
        async with scene.hub(scene.found, "second", "console") as hub:
            assert (hub.ready["hub"], hub.ready["pin"], hub.ready["claim_code"]) == (first["hub"], first["pin"], None)
            assert hub.ready["port"] != first["port"]
            await second_life(scene, house, hub, before)
            await the_lamp_obeys(house, lamp)
            await house.mistakes(hub.ready["url"], first["claim_code"])
            await house.recover(hub.ready["url"])
            hub.send(signal.SIGKILL)
            await hub.ended()
        await asyncio.to_thread(scene.keep_files, scene.found, "killed again")
    found = await asyncio.to_thread(search, scene, witness)
    assert len(witness.refused) > 100
    assert len(secrets.names) > 30
    assert {"hub/identity", "lamp's credential", "claim code", "anna"} < secrets.names
    assert {"first/serve.log", "second/serve.log", "killed/doorstep.db-wal", "killed/doorstep.db-shm"} < found.keys()
    logs = [await asyncio.to_thread((scene.said[life] / "serve.log").read_bytes) for life in ("first", "second")]
    assert all(b"debug" in log for log in logs)
    said = await asyncio.to_thread((scene.said["first"] / "serve.out").read_bytes)
    assert secrets.found_in(said) == {"claim code"}
    assert {place: names for place, names in found.items() if names} == {}
