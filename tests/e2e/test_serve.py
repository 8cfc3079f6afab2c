"""`doorstep serve` as a process: ready, claimed by the command, orderly to the end, back after a kill."""

import asyncio
import contextlib
import json
import signal
import sqlite3
from pathlib import Path

import pytest

from app.client import ApiError, Client, PinMismatch
from app.commands.child import Child, HubProcess
from tests.e2e.verbs import command

PASSWORD = {"DOORSTEP_PASSWORD": "correct horse battery"}
PASSPHRASE = {"DOORSTEP_PASSPHRASE": "correct horse battery"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "hub"


async def test_an_evening_with_the_command(data: Path, tmp_path: Path) -> None:
    at = ("--data", data)
    async with HubProcess(data) as hub:
        assert hub.ready["mqtt_ports"].keys() == {"tcp", "tls"}
        assert (await command("home", "list", *at))[1] == {
            "error": {
                "code": "not_claimed",
                "message": "Nobody owns this hub yet.",
                "hint": "Claim it in the app with the code it prints, or with `doorstep account claim`.",
                "exit": 6,
            }
        }
        code, claimed = await command("account", "claim", "anna", *at, environ=PASSWORD)
        assert code == 0
        assert claimed["recovery_code"]
        assert (await command("account", "claim", "eve", *at, environ=PASSWORD))[0] == 6
        code, home = await command("home", "create", "Cottage", *at)
        assert (code, home["name"]) == (0, "Cottage")
        assert (await command("room", "create", "Attic", *at))[0] == 0
        assert (await command("room", "rename", "Cellar", "Den", *at))[0] == 4
        assert (await command("backup", tmp_path / "b", *at, environ=PASSPHRASE))[0] == 0
        code, recovered = await command(
            "account", "recover", "anna", *at, environ={"DOORSTEP_PASSWORD": "new password"}
        )
        assert (code, recovered["login"]) == (0, "anna")
        assert (await command("doctor", "set-clock", *at))[0] == 0
        _, status = await command("doctor", *at)
        (said,) = [finding for finding in status["findings"] if finding["what"] == "hub"]
        assert "owned" in said["detail"]
        assert "not trusted" not in said["detail"]
        assert await hub.stop() == 0


async def test_a_token_reaches_a_hub_from_elsewhere(data: Path) -> None:
    async with HubProcess(data) as hub:
        assert (await command("account", "claim", "anna", "--data", data, environ=PASSWORD))[0] == 0
        elsewhere = {"DOORSTEP_HUB": hub.ready["url"], "DOORSTEP_PIN": hub.ready["pin"]}
        _, session = await command("account", "sign-in", "anna", environ={**elsewhere, **PASSWORD})
        token = {"DOORSTEP_TOKEN": str(session["access_token"])}
        code, home = await command("home", "create", "Far", environ={**elsewhere, **token})
        assert (code, home["name"]) == (0, "Far")
        assert (await command("home", "create", "Far", environ=elsewhere))[0] == 3
        assert (await command("home", "create", "Far", environ={**elsewhere, **token, "DOORSTEP_PIN": "00"}))[0] == 3


async def test_one_hub_a_folder(data: Path) -> None:
    async with HubProcess(data), Child("serve", "--data", data, "--port", "0") as second:
        assert (await second.line())["error"]["code"] == "storage_busy"
        assert await second.ended() == 6


async def test_a_killed_hub_comes_back_as_itself(data: Path) -> None:
    async with HubProcess(data) as hub:
        before = hub.ready
        hub.send(signal.SIGKILL)
        await hub.ended()
    async with HubProcess(data) as hub:
        assert hub.ready["hub"] == before["hub"]
        assert hub.ready["pin"] == before["pin"]
        assert hub.ready["claim_code"] != before["claim_code"]


async def test_another_machine_with_another_key_is_not_trusted(data: Path, tmp_path: Path) -> None:
    talkative = {"DOORSTEP_LOG_LEVEL": "debug", "DOORSTEP_LOG_FORMAT": "json"}
    async with HubProcess(data, environ=talkative) as hub, HubProcess(tmp_path / "other") as other:
        with pytest.raises(PinMismatch):
            async with Client(hub.ready["url"], pin=other.ready["pin"]):
                pass
        async with hub.client() as api:
            page = (await api.text("/metrics")).splitlines()
            assert 'doorstep_events_total{type="hub.founded"} 1.0' in page
            assert await api.text("/readyz") == "ready\n"
            with pytest.raises(ApiError) as refused:
                await api.get("/api/homes")
        assert refused.value.status == 401
        async with asyncio.timeout(60):
            while not (answered := await refusals(hub)):  # a log is written after the answer
                await asyncio.sleep(0.05)
        assert answered == [refused.value.problem["request_id"]]


async def refusals(hub: HubProcess) -> list[str]:
    """The requests that were answered with 401, by the end of the log."""
    told = [json.loads(line) for line in (await hub.last_words()).splitlines()[1:]]
    return [line["request_id"] for line in told if line["event"] == "answered" and line["status"] == 401]


async def test_an_open_stream_does_not_hold_up_the_end(data: Path) -> None:
    async with HubProcess(data) as hub:
        _, claimed = await command("account", "claim", "anna", "--data", data, environ=PASSWORD)
        session = claimed["session"]
        assert isinstance(session, dict)
        async with hub.client(session["access_token"]) as api, api.events() as stream:
            reading = asyncio.create_task(anext(stream, None))
            await api.get("/api/homes")
            assert await hub.stop() == 0
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert "Cancel" not in await hub.last_words()


async def test_a_damaged_database_has_a_way_out(data: Path) -> None:
    async with HubProcess(data) as hub:
        assert (await command("account", "claim", "anna", "--data", data, environ=PASSWORD))[0] == 0
        assert (await command("home", "create", "Cottage", "--data", data))[0] == 0
        assert await hub.stop() == 0
    await asyncio.to_thread(_damage, data / "doorstep.db")
    code, said = await command("serve", "--data", data, "--port", "0")
    assert code == 8
    assert "doorstep doctor salvage" in said["error"]["hint"]
    assert (await command("doctor", "salvage", "--data", data))[0] == 0
    async with HubProcess(data) as again:
        assert again.ready["hub"] == hub.ready["hub"]


def _damage(database: Path) -> None:
    """Overwrite the first page of the audit trail, so that none of it can be read."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name='audit' AND type='table'").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)
