"""Devices with a certificate (1.4.17), by paho-mqtt over TLS and WebSocket, at a whole hub."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.links.iotda.service import AUTHORITIES
from app.links.mqtt import trust
from tests.e2e.living import WAIT, living
from tests.links.iotda.certified import CLOSED, TRANSPORTS, WRONG, Authority, Street, Transport
from tests.links.iotda.house import SECRET
from tests.links.iotda.paho_device import PahoDevice


@pytest_asyncio.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    folder, authority = tmp_path / "hub", Authority(tmp_path)
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / AUTHORITIES).write_bytes, authority.pem)
    async with living(folder, tls=True, mqtt_websocket_port=0) as hub:
        await hub.claim()
        yield Street(hub, folder, authority)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", [4, 5])
async def test_it_reports_and_is_told(street: Street, transport: Transport, version: int) -> None:
    device_id, shown = await street.lamp("1")
    lamp, path = await street.device("lamp_1", shown, transport=transport, version=version), f"/api/devices/{device_id}"
    assert await lamp.connect(street.port(transport)) == "Success"
    said = {"services": [{"service_id": "Light", "properties": {"on": True, "brightness": 40}}]}
    await lamp.publish("sys/properties/report", said)
    view = (await street.hub.owner.get(path)).json()
    assert view["online"] is True
    assert view["services"]["light"]["reported"]["brightness"]["value"] == 40
    asked = {"service": "light", "values": {"on": False}}
    waiting = asyncio.create_task(street.hub.owner.post(f"{path}/commands", params={"wait": 20}, json=asked))
    topic, told = await lamp.next()
    assert told["services"] == [{"service_id": "Light", "properties": {"on": False}}]
    request = topic.removeprefix("sys/properties/set/")
    await lamp.publish(f"sys/properties/set/response/{request}", {"result_code": 0})
    assert (await waiting).json()["state"] == "answered"
    await lamp.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_is_refused_and_how(street: Street, tmp_path: Path, transport: Transport) -> None:
    device_id, mine = await street.lamp("1")
    _, others = await street.lamp("2")
    await street.register("3", secret=SECRET)
    frozen_id, frozen = await street.lamp("4")
    removed_id, removed = await street.lamp("5")
    assert (await street.hub.owner.post(f"/api/devices/{frozen_id}/freeze")).status_code == 200
    assert (await street.hub.owner.delete(f"/api/devices/{removed_id}")).status_code == 204
    # Of the same name as the one that is trusted, which proves nothing.
    forger = Authority(tmp_path)
    expired = await asyncio.to_thread(street.authority.issue, "lamp_6", -timedelta(hours=1))
    await street.register("6", auth="certificate", fingerprint=expired.fingerprint)
    forged = await asyncio.to_thread(forger.issue, "lamp_7")
    await street.register("7", auth="certificate", fingerprint=forged.fingerprint)
    again = await asyncio.to_thread(street.authority.issue, "lamp_1")
    refused: dict[str, tuple[tuple[Any, ...], str]] = {
        "no certificate": (("lamp_1", None), WRONG),
        "a password in its place": (("lamp_1", None, SECRET), WRONG),
        "a certificate and a password": (("lamp_1", mine, SECRET), WRONG),
        "another device's": (("lamp_1", others), WRONG),
        "its own under another's id": (("lamp_2", mine), WRONG),
        "another of its own name": (("lamp_1", again), WRONG),
        "of a device with a secret": (("lamp_3", mine), WRONG),
        "of a device that is not known": (("lamp_9", mine), WRONG),
        "expired": (("lamp_6", expired), CLOSED),
        "by an authority of that name": (("lamp_7", forged), CLOSED),
        "of one that was frozen": (("lamp_4", frozen), "Not authorized"),
        "of one that was removed": (("lamp_5", removed), WRONG),
    }
    outcomes = {name: await street.told(*args, transport=transport) for name, (args, _) in refused.items()}
    assert outcomes == {name: said for name, (_, said) in refused.items()}
    assert (await street.hub.owner.get(f"/api/devices/{device_id}")).json()["online"] is False
    assert await street.told("lamp_1", mine, transport=transport) == "Success"
    assert await street.told("lamp_3", None, SECRET, transport=transport) == "Success"


async def test_where_there_is_no_tls_nothing_proves_it(street: Street) -> None:
    await street.lamp("1")
    assert street.hub.node.mqtt is not None
    device = PahoDevice("lamp_1", None)
    assert await device.connect(street.hub.node.mqtt.ports["tcp"]) == WRONG
    await device.close()


async def test_another_certificate_takes_the_place_of_the_first(street: Street) -> None:
    device_id, first = await street.lamp("1")
    second = await asyncio.to_thread(street.authority.issue, "lamp_1")
    lamp = await street.device("lamp_1", first)
    assert await lamp.connect(street.port()) == "Success"
    renewed = {"fingerprint": second.fingerprint, "disconnect": True}
    answer = await street.hub.owner.post(f"/api/devices/{device_id}/secret", json=renewed)
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(WAIT):
        await lamp.ended
    await lamp.close()
    assert await street.told("lamp_1", first) == WRONG
    assert await street.told("lamp_1", second) == "Success"


async def test_the_first_that_is_shown_is_its_own(street: Street) -> None:
    await street.register("1", auth="certificate")
    first, second = [await asyncio.to_thread(street.authority.issue, "lamp_1") for _ in range(2)]
    assert [await street.told("lamp_1", each) for each in (first, second, first)] == ["Success", WRONG, "Success"]


async def test_an_authority_is_put_into_the_folder_of_a_running_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "LOOK_EVERY_S", 0.05)
    folder, authority = tmp_path / "hub", Authority(tmp_path)
    async with living(folder, tls=True) as hub, asyncio.timeout(WAIT):
        await hub.claim()
        street = Street(hub, folder, authority)
        _, shown = await street.lamp("1")
        assert await street.told("lamp_1", shown) == WRONG
        await asyncio.to_thread((folder / AUTHORITIES).write_bytes, authority.pem)
        while await street.told("lamp_1", shown) != "Success":
            hub.node.services.iotda.proving.right("lamp_1", "127.0.0.1")  # guesses are counted
        await asyncio.to_thread((folder / AUTHORITIES).unlink)
        while await street.told("lamp_1", shown) != WRONG:
            pass
