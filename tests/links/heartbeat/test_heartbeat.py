"""Heartbeats over the real application: what goes in, what comes out, and who is there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.links.heartbeat import queries, service
from app.links.heartbeat.codec import MAX_BODY
from tests.links.heartbeat.house import PATH, WAIT, House, house_in


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path / "data") as house:
        yield house


async def online(house: House, device_id: str, wanted: bool) -> Any:
    async with asyncio.timeout(WAIT):
        while (shown := await house.get(f"/api/devices/{device_id}"))["online"] is not wanted:
            await asyncio.sleep(0.01)
    return shown


async def test_what_it_says_is_on_disk_when_it_is_answered(house: House) -> None:
    device_id, token = await house.register()
    assert (await house.owner.get(f"/api/devices/{device_id}/heartbeat")).status_code == 404
    said = {"service": "light", "values": {"on": True, "brightness": 500}}
    health = {"battery_percent": 81, "storage_used_mb": 12, "storage_total_mb": 64, "signal_strength_dbm": -61}
    heard = await house.heard(token, firmware="1.2.0", services=[said], **health)
    assert (heard["every"], heard["commands"]) == (service.EVERY_S, [])
    assert abs(heard["time"] - house.api.clock.now().ms) < 60_000
    last = await house.api.store.read(lambda reader: queries.last(reader, device_id))
    assert last is not None
    assert (last.battery_percent, last.storage_used_mb, last.storage_total_mb) == (81, 12, 64)
    assert last.signal_strength_dbm == -61
    seen = await house.get(f"/api/devices/{device_id}/heartbeat")
    assert {name: seen[name] for name in health} == health
    assert seen["every"] == service.EVERY_S
    shown = await house.get(f"/api/devices/{device_id}")
    assert (shown["online"], shown["firmware"], shown["link"]) == (True, "1.2.0", "heartbeat")
    assert shown["services"]["light"]["reported"]["brightness"]["value"] == 500
    # What is left out stays as it was said last; nothing at all is a heartbeat.
    assert (await house.api.client(token).post(PATH)).status_code == 200
    await house.heard(token, battery_percent=None, storage_used_mb=13, unknown={"to": "us"})
    last = await house.api.store.read(lambda reader: queries.last(reader, device_id))
    assert last is not None
    assert (last.battery_percent, last.storage_used_mb) == (81, 13)


async def test_commands_come_in_order_until_they_are_answered(house: House) -> None:
    device_id, token = await house.register()
    ids = [await house.order(device_id, values={"brightness": n}) for n in (100, 200, 300)]
    heard = await house.heard(token)
    assert [each["id"] for each in heard["commands"]] == ids
    assert heard["commands"][0]["values"] == {"brightness": 100}
    assert heard["commands"][0]["kind"] == "set"
    done = {"id": ids[0], "ok": True, "values": {"brightness": 100}}
    left = await house.heard(token, answers=[done], acknowledged=[ids[1]])
    assert [each["id"] for each in left["commands"]] == [ids[2]]
    refused = {"id": ids[2], "ok": False, "error": "stuck"}
    late = {"id": ids[1], "ok": True, "values": {"brightness": 200}}
    assert (await house.heard(token, answers=[refused, late]))["commands"] == []
    states = [await house.get(f"/api/devices/{device_id}/commands/{each}") for each in ids]
    assert [each["state"] for each in states] == ["answered", "answered", "failed"]
    assert states[2]["outcome"] == {"error": "stuck"}
    shown = await house.get(f"/api/devices/{device_id}")
    assert shown["services"]["light"]["reported"]["brightness"]["value"] == 200


async def test_an_expired_command_is_not_handed_out(house: House) -> None:
    device_id, token = await house.register()
    await house.order(device_id, expires_in=1)
    kept = await house.order(device_id, expires_in=600)
    house.api.forward(2_000)
    assert [each["id"] for each in (await house.heard(token))["commands"]] == [kept]


async def test_answers_to_what_is_another_devices_change_nothing(house: House) -> None:
    first, token = await house.register("1")
    second, other = await house.register("2")
    command = await house.order(first)
    await house.heard(other, answers=[{"id": command, "ok": True, "values": {"on": True}}], acknowledged=[command])
    assert [each["id"] for each in (await house.heard(token))["commands"]] == [command]
    assert (await house.get(f"/api/devices/{second}"))["services"] == {}


async def test_it_is_gone_after_so_many_intervals(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "EVERY_LEAST_S", 0.05)
    monkeypatch.setattr(service, "EVERY_S", 0.1)
    house.api.services.devices.presence.grace = 0.01
    device_id, token = await house.register()
    assert (await house.get(f"/api/devices/{device_id}"))["online"] is False
    client = house.api.client(token)
    for _ in range(2):
        assert (await client.post(PATH)).status_code == 200
        await online(house, device_id, wanted=True)
        await online(house, device_id, wanted=False)


async def test_too_often_it_has_to_wait_and_others_need_not(house: House) -> None:
    _, token = await house.register("1")
    _, other = await house.register("2")
    client = house.api.client(token)
    taken = 0
    while (answer := await client.post(PATH)).status_code == 200:
        taken += 1
    assert taken >= service.BEATS_AT_ONCE
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await house.beat(other)).status_code == 200


async def test_what_no_device_may_say(house: House) -> None:
    device_id, token = await house.register()
    client = house.api.client(token)
    wrong: list[Any] = [
        [],
        {"battery_percent": 101},
        {"every": 0},
        {"firmware": "x" * 65},
        {"services": [{"service": "light"}]},
        {"services": [{"service": "", "values": {}}]},
        {"answers": [{"id": "x"}]},
        {"acknowledged": ["x"] * 65},
        {"signal_strength_dbm": -61.5},
    ]
    for body in wrong:
        answer = await client.post(PATH, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), body
    for octets in (b"\xff", b"{", b'{"a":' * 50_000, b"[" * 60_000, b" " * (MAX_BODY + 1)):
        assert (await client.post(PATH, content=octets)).status_code == 400, octets[:10]
    assert (await house.api.store.read(lambda reader: queries.last(reader, device_id))) is None
    # What is no such service or value is noted, and takes nothing else with it.
    odd = [{"service": "oven", "values": {"on": True}}, {"service": "light", "values": {"on": 7, "brightness": 20}}]
    await house.heard(token, services=odd)
    shown = await house.get(f"/api/devices/{device_id}")
    assert set(shown["services"]["light"]["reported"]) == {"brightness"}
