"""BTHome sensors as devices of a home: found, added with and without a key, heard, silent, removed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from msgspec.structs import replace

from app.devices.product.catalogue import built_in
from app.devices.product.sensors import product_id_of, sensor_product
from app.links import bthome as links
from app.store.folder import DATABASE
from ble.adverts import BTHOME
from ble.virtual.air import Air
from ble.virtual.peripheral import Peripheral
from pairing.methods import bthome
from pairing.methods.bthome import SensorPatience
from tests.ble.rig import state_of
from tests.e2e.living import WAIT, Living, living

KEY = bytes(range(16))
CLIMATE = bytes.fromhex("016102ca0903bf13")
"""Battery 97 %, temperature 25.06 °C, humidity 50.55 %."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = replace(SensorPatience(), hearing=20.0, gathering=0.5)
    monkeypatch.setattr(bthome, "SensorPatience", lambda: patience)
    monkeypatch.setattr(links, "REPORT_EVERY_S", 0.05)


class Sensor(Peripheral):
    """It says things, and cannot be connected to."""

    def __init__(self) -> None:
        super().__init__([])

    @property
    def id(self) -> str:
        return f"ble-{self.address.replace(':', '').lower()}"

    async def say(self, said: bytes) -> None:
        await self.advertise(service_data={BTHOME: b"\x40" + said}, connectable=False)

    async def whisper(self, said: bytes, counter: int, key: bytes = KEY) -> None:
        """As https://bthome.io/encryption/ has it."""
        count = counter.to_bytes(4, "little")
        nonce = bytes.fromhex(self.address.replace(":", "")) + b"\xd2\xfc\x41" + count
        sealed = AESCCM(key, tag_length=4).encrypt(nonce, said, None)
        data = b"\x41" + sealed[:-4] + count + sealed[-4:]
        await self.advertise(service_data={BTHOME: data}, connectable=False)


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    async with Air() as made:
        yield made


@pytest.fixture
async def sensor(air: Air) -> AsyncIterator[Sensor]:
    made = Sensor()
    await made.join(air.port)
    yield made
    await made.close()


@asynccontextmanager
async def hub_on(folder: Path, air: Air, *, new: bool = True) -> AsyncIterator[Living]:
    async with living(folder, bluetooth=f"virtual:{air.port}") as hub:
        hub.node.services.devices.presence.grace = 0.05
        await state_of(hub.node.radio, lambda state: state.usable)
        if new:
            await hub.claim()
        yield hub


@pytest.fixture
async def hub(tmp_path: Path, air: Air) -> AsyncIterator[Living]:
    async with hub_on(tmp_path, air) as made:
        yield made


async def inbox(hub: Living, device_id: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT):
        while True:
            for each in (await hub.owner.get(f"{hub.pairing}/inbox")).json():
                if each["id"] == device_id:
                    return dict(each)
            await asyncio.sleep(0.02)


async def added(hub: Living, sensor: Sensor, **more: str) -> dict[str, Any]:
    """How adding it ended."""
    session = await hub.start_pairing(method="bthome", device_id=sensor.id, **more)
    return await hub.until(session, "joined", "failed")


async def device_of(hub: Living, ended: dict[str, Any]) -> str:
    assert ended["state"] == "joined", ended["failure"]
    return f"/api/devices/{ended['device_ids'][0]}"


async def measured(hub: Living, path: str, **values: object) -> dict[str, Any]:
    """The device once it shows these values."""
    async with asyncio.timeout(WAIT):
        while True:
            device: dict[str, Any] = (await hub.owner.get(path)).json()
            reported = device["services"].get("sensor", {}).get("reported", {})
            if values.items() <= {name: point["value"] for name, point in reported.items()}.items():
                return device
            await asyncio.sleep(0.02)


async def online(hub: Living, path: str, *, wanted: bool) -> None:
    async with asyncio.timeout(WAIT):
        while (await hub.owner.get(path)).json()["online"] is not wanted:
            await asyncio.sleep(0.02)


async def test_a_sensor_in_clear_is_found_added_heard_and_missed(
    hub: Living, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sensor.say(CLIMATE)
    seen = await inbox(hub, sensor.id)
    assert (seen["method"], seen["auth"], seen["address"]) == ("bthome", "open", sensor.address)
    path = await device_of(hub, await added(hub, sensor, name="Attic"))
    device = await measured(hub, path, battery=97.0, temperature=25.06, humidity=50.55)
    assert (device["link"], device["trust"], device["name"]) == ("bthome", "unproven", "Attic")
    product = (await hub.owner.get(f"/api/products/{device['product_id']}")).json()
    properties = {each["id"]: each for each in product["services"][0]["properties"]}
    assert {name: each["access"] for name, each in properties.items()} == dict.fromkeys(
        ("battery", "temperature", "humidity"), "r"
    )
    assert properties["temperature"]["unit"] == "°C"
    await sensor.say(bytes.fromhex("02c409"))
    await measured(hub, path, temperature=25.0)
    order = {"service": "sensor", "values": {"temperature": 20.0}, "expires_in": 60}
    assert (await hub.owner.post(f"{path}/commands", json=order)).status_code == 400  # there is nothing to be set
    audited = (await hub.owner.get(f"/api/homes/{hub.home_id}/audit")).json()["items"]
    assert "device.added" in {each["type"] for each in audited}
    monkeypatch.setattr(links, "SILENT_S", 0.3)
    await sensor.say(CLIMATE)
    await measured(hub, path, temperature=25.06)
    await sensor.silence()
    await online(hub, path, wanted=False)
    await sensor.say(CLIMATE)
    await online(hub, path, wanted=True)


async def test_a_button_is_told_each_time_it_is_pressed(hub: Living, sensor: Sensor) -> None:
    await sensor.say(bytes.fromhex("00013a01"))
    path = await device_of(hub, await added(hub, sensor))
    await sensor.say(bytes.fromhex("00023a02"))
    await measured(hub, path, button="double_press")
    before = (await hub.owner.get(path)).json()["services"]["sensor"]["version"]
    await sensor.say(bytes.fromhex("00033a02"))
    async with asyncio.timeout(WAIT):
        while (await hub.owner.get(path)).json()["services"]["sensor"]["version"] == before:
            await asyncio.sleep(0.02)


async def test_an_enciphering_sensor_needs_its_key_and_is_taken_once_also_after_a_restart(
    tmp_path: Path, air: Air, sensor: Sensor
) -> None:
    async with hub_on(tmp_path, air) as hub:
        await sensor.whisper(CLIMATE, 1)
        assert (await inbox(hub, sensor.id))["auth"] == "key"
        assert (await added(hub, sensor))["failure"]["cause"] == "bind_key_needed"
        refused = await added(hub, sensor, bind_key=bytes(16).hex())
        assert (refused["failure"]["cause"], refused["failure"]["next_step"]) == ("bind_key_wrong", "give_bind_key")
        path = await device_of(hub, await added(hub, sensor, bind_key=KEY.hex()))
        assert (await hub.owner.get(path)).json()["trust"] == "bind-key"
        await sensor.whisper(bytes.fromhex("02c409"), 50)
        await measured(hub, path, temperature=25.0)
        await sensor.say(bytes.fromhex("020000"))  # somebody else, in clear
        await sensor.whisper(bytes.fromhex("020000"), 60, bytes(16))  # and with another key
        await sensor.whisper(bytes.fromhex("020000"), 49)  # and what was said long ago
        await sensor.whisper(bytes.fromhex("02c809"), 51)
        await measured(hub, path, temperature=25.04)
        for file in (tmp_path / DATABASE, (tmp_path / DATABASE).with_name(DATABASE + "-wal")):
            content = await asyncio.to_thread(file.read_bytes)
            assert KEY not in content
            assert KEY.hex().encode() not in content
        token = hub.owner.headers["Authorization"].partition(" ")[2]
    async with hub_on(tmp_path, air, new=False) as hub:
        hub.owner = hub.client(token)
        await sensor.whisper(bytes.fromhex("02c409"), 50)
        async with asyncio.timeout(WAIT):
            heard = asyncio.Event()
            hub.node.radio.listen(lambda advert: heard.set() if advert.address == sensor.address else None)
            await heard.wait()
        await sensor.whisper(bytes.fromhex("0160"), 52)
        device = await measured(hub, path, battery=96.0)
        assert device["services"]["sensor"]["reported"]["temperature"]["value"] == 25.04
        assert (await hub.owner.delete(path)).status_code in (200, 204)
        sensors = hub.node.services.devices.sensors
        assert sensors.get(path.rpartition("/")[2]) is None
        left = await hub.node.store.read(
            lambda reader: reader.one("SELECT count(*) FROM secrets WHERE row LIKE 'sens%'")
        )
        assert left == (0,)


async def test_it_is_added_to_nobodys_home_unasked_and_by_nobody_who_may_not(hub: Living, sensor: Sensor) -> None:
    await sensor.say(CLIMATE)
    await inbox(hub, sensor.id)
    session = await hub.start_pairing()
    steps = (await hub.owner.get(session)).json()["steps"]
    assert "bthome" not in " ".join(str(step["detail"]) for step in steps)
    await hub.owner.post(f"{session}/cancel")
    refused = await hub.owner.post(hub.pairing, json={"method": "bthome"})
    assert (refused.status_code, refused.json()["code"]) == (400, "no_method")
    for wrong in ("00", "zz" * 16, "0" * 33):
        told = await hub.owner.post(hub.pairing, json={"method": "bthome", "device_id": sensor.id, "bind_key": wrong})
        assert told.status_code == 400
    async with hub.client() as stranger:
        asked = await stranger.post(hub.pairing, json={"method": "bthome", "device_id": sensor.id})
        assert asked.status_code == 401


def test_a_sensors_product_is_made_of_its_id_alone() -> None:
    product_id = product_id_of((0x01, 0x02, 0x02, 0x3A))
    product = built_in().get(product_id)
    assert product is not None
    assert [each.id for each in product.services[0].properties] == [
        "battery",
        "temperature_1",
        "temperature_2",
        "button",
    ]
    for nonsense in ("bthome_", "bthome_0", "bthome_ff", "bthome_0201", "bthome_zz", "bthome_ 01", "other_01"):
        assert sensor_product(nonsense) is None
