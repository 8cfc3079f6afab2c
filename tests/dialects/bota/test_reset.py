"""The reset and its read-back as the page has them, field by field."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.dialects.bota.model import device_id_of, shown_id
from tests.api.things import bind
from tests.links.heartbeat.house import House, house_in

# The page's sample, its times and ids being ours.
SAMPLE = {
    "id": "dev_abc123",
    "serial_number": "SN-2025-001234",
    "model": "bota_pin",
    "firmware_version": "1.2.0",
    "status": "unbound",
    "end_user_id": None,
    "metadata": None,
    "created_at": "2025-01-15T10:30:00Z",
    "updated_at": "2025-01-15T12:00:00Z",
    "bound_at": None,
}
# Its table: the fields that the sample leaves out.
OF_HEARTBEATS = {
    "battery_percent",
    "storage_used_mb",
    "storage_total_mb",
    "signal_strength_dbm",
    "last_heartbeat_at",
}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TIMES = ("created_at", "updated_at")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path / "data") as house:
        yield house


async def program(house: House, *scopes: str, **more: Any) -> httpx2.AsyncClient:
    """What a program asks with, that was given a key."""
    body = {"name": "Program", "dialect": "bota", "scopes": list(scopes or ("manage", "read")), **more}
    made = await house.owner.post("/api/me/keys", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["secret"].startswith("sk_live_")
    return house.api.client(made.json()["secret"])


def path_of(device_id: str) -> str:
    return f"/v1/devices/{shown_id(device_id)}"


async def test_the_answer_is_the_pages_sample(house: House) -> None:
    device_id = await bind(house.api, house.home_id, serial="SN-2025-001234", firmware="1.2.0")
    bota = await program(house)
    bound = (await bota.get(path_of(device_id))).json()
    assert list(bound) == list(SAMPLE)
    assert (bound["status"], bound["end_user_id"]) == ("bound", house.home_id)
    assert ISO.fullmatch(bound["bound_at"])
    house.api.forward(5_000)
    answer = await bota.post(f"{path_of(device_id)}/reset")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    shown = answer.json()
    assert list(shown) == list(SAMPLE)
    assert {name: type(value) for name, value in shown.items()} == {n: type(v) for n, v in SAMPLE.items()}
    ours = {"id": shown_id(device_id), "model": "lamp"}
    assert {n: v for n, v in shown.items() if n not in TIMES} == {
        n: v for n, v in {**SAMPLE, **ours}.items() if n not in TIMES
    }
    assert all(ISO.fullmatch(shown[name]) for name in TIMES)
    assert shown["created_at"] == bound["created_at"]
    assert shown["updated_at"] > bound["updated_at"]
    assert (await bota.get(path_of(device_id))).json() == shown
    assert (await bota.post(f"{path_of(device_id)}/reset")).json() == shown
    assert (await house.get(f"/api/devices/{device_id}/reset"))["record"] == "keep"


async def test_what_heartbeats_said_is_shown(house: House) -> None:
    device_id, token = await house.register()
    bota = await program(house)
    assert not OF_HEARTBEATS & set((await bota.get(path_of(device_id))).json())
    await house.heard(token, battery_percent=81, storage_used_mb=12, signal_strength_dbm=-61, firmware="2")
    shown = (await bota.get(path_of(device_id))).json()
    assert set(shown) == set(SAMPLE) | OF_HEARTBEATS
    assert (shown["battery_percent"], shown["storage_used_mb"], shown["signal_strength_dbm"]) == (81, 12, -61)
    assert (shown["storage_total_mb"], shown["firmware_version"]) == (None, "2")
    assert ISO.fullmatch(shown["last_heartbeat_at"])
    reset = (await bota.post(f"{path_of(device_id)}/reset")).json()
    assert reset["battery_percent"] == 81
    # A heartbeat of what was reset is none of the device any more.
    await house.heard(token, battery_percent=7)
    assert (await bota.get(path_of(device_id))).json() == reset


async def test_its_record_is_kept_and_it_must_be_provisioned_again(house: House) -> None:
    device_id, token = await house.register()
    await house.heard(token, services=[{"service": "light", "values": {"on": True}}])
    bota = await program(house)
    await bota.post(f"{path_of(device_id)}/reset")
    kept = await house.get(f"/api/devices/{device_id}")
    assert kept["services"]["light"]["reported"]["on"]["value"] is True
    again, _ = await house.register()
    assert again == device_id
    assert (await bota.get(path_of(device_id))).json()["status"] == "bound"


async def test_repeated_under_one_key_it_is_one_reset(house: House) -> None:
    device_id = await bind(house.api, house.home_id)
    bota = await program(house)
    headers = {"Idempotency-Key": "once"}
    first = await bota.post(f"{path_of(device_id)}/reset", headers=headers)
    await bind(house.api, house.home_id)
    assert (await bota.post(f"{path_of(device_id)}/reset", headers=headers)).json() == first.json()
    assert (await bota.get(path_of(device_id))).json()["status"] == "bound"


async def test_paths_that_are_none(house: House) -> None:
    device_id = await bind(house.api, house.home_id)
    bota = await program(house)
    assert device_id_of(shown_id(device_id)) == device_id
    assert (await bota.get(f"/v1/devices/{device_id}")).status_code == 200
    for odd in ("dev_abc123", "dev_", "dev_" + "0" * 32, "x", "%00", "dev_" + "f" * 33, shown_id(device_id).upper()):
        for answer in (await bota.get(f"/v1/devices/{odd}"), await bota.post(f"/v1/devices/{odd}/reset")):
            assert answer.status_code == 404, odd
            assert answer.json() == {"error": {"code": "not_found", "message": answer.json()["error"]["message"]}}
    assert (await bota.put(path_of(device_id))).status_code == 405
