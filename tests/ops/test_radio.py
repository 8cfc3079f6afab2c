"""The hub's radio: what its setting makes of it, a hub without one, and a virtual one that comes and goes."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from app.commands import doctor_bluetooth
from app.node import Node
from app.radio import VirtualBluetoothMissing, opened_radio, told_state
from app.settings import Settings, virtual_port
from ble.bleak_radio import BleakRadio
from ble.errors import RadioOff
from ble.virtual.air import Air
from tests.ble.rig import state_of
from tests.e2e.living import Living, living, patient


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return patient(tmp_path)


async def gauge(node: Node, name: str) -> float:
    page = (await asyncio.to_thread(node.metrics.render)).decode()
    family = next(each for each in text_string_to_metric_families(page) if each.name == f"doorstep_{name}")
    return family.samples[0].value


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bluetooth": "off", "lan": True}, "switched_off"),
        ({"bluetooth": "auto"}, "not_opened"),
        ({"bluetooth": "on", "role": "cloud"}, "no_adapter"),
    ],
)
async def test_a_radio_that_is_not_to_be_used_is_none_and_says_why(
    settings: Settings, changes: dict[str, object], reason: str
) -> None:
    settings = structs.replace(settings, **changes)
    async with opened_radio(settings) as radio:
        assert (radio.state.usable, radio.state.reason) == (False, reason)
        radio.listen(lambda _: None)()
        with pytest.raises(RadioOff):
            async with radio.connect("D0:00:00:00:00:01"):
                pass
        assert told_state(radio, settings)["missed"] is False


@pytest.mark.parametrize(
    ("changes", "missed"), [({"bluetooth": "auto", "lan": True}, False), ({"bluetooth": "on"}, True)]
)
async def test_where_the_system_has_no_bluetooth_a_hub_runs_on_and_says_so(
    settings: Settings, changes: dict[str, object], missed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    settings = structs.replace(settings, **changes)
    async with opened_radio(settings) as radio:
        assert isinstance(radio, BleakRadio)
        told = told_state(radio, settings)
        assert (told["usable"], told["reason"], told["missed"]) == (False, "no_dbus", missed)
    finding = doctor_bluetooth.of_hub(told)
    assert (finding.state, finding.detail) == ("bad" if missed else "note", told["sentence"])
    assert "/run/dbus" in finding.hint
    assert await asyncio.to_thread(lambda: doctor_bluetooth.of_machine().hint) == finding.hint


async def test_an_adapter_that_does_not_answer_holds_no_start_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def never(_: BleakRadio) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    monkeypatch.setattr(BleakRadio, "open", never)
    monkeypatch.setattr("app.radio.OPEN_WITHIN", 0.05)
    async with opened_radio(structs.replace(settings, bluetooth="on")) as radio:
        assert radio.state.reason == "closed"
    assert ended.is_set()


async def test_without_bumble_it_is_said_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [
        name for name in sys.modules if name.partition(".")[0] == "bumble" or name.startswith("ble.virtual")
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "bumble", None)
    with pytest.raises(VirtualBluetoothMissing, match=r"doorstep\[virtual\]"):
        async with opened_radio(structs.replace(settings, bluetooth="virtual:4711")):
            pass


async def test_pairing_over_bluetooth_without_any_ends_with_the_cause(tmp_path: Path) -> None:
    async with living(tmp_path) as hub:
        await hub.claim()
        assert await gauge(hub.node, "radio_up") == 0
        wifi = {"ssid": "Home", "wifi_password": "pass word"}
        for wanted in ({"method": "ble"}, {"method": "ble_wifi", **wifi}):
            ended = await hub.until(await hub.start_pairing(**wanted), "failed")
            assert ended["failure"]["cause"] == "radio_off"
            assert "told not to use Bluetooth" in ended["failure"]["text"]
            assert ended["failure"]["next_step"] == "check_bluetooth"


async def test_a_virtual_radio_comes_and_goes_with_its_air_while_the_hub_runs(tmp_path: Path) -> None:
    async with Air() as first:
        port = first.port
    assert virtual_port(f"virtual:{port}") == port
    async with living(tmp_path, bluetooth=f"virtual:{port}") as hub:
        assert not hub.node.radio.state.usable
        assert doctor_bluetooth.of_hub(told_state(hub.node.radio, hub.node.settings)).state == "bad"
        for _ in range(2):
            async with Air(port):
                await until_radio(hub, usable=True)
                told = told_state(hub.node.radio, hub.node.settings)
                assert (told["usable"], told["connections"]) == (True, 0)
                assert doctor_bluetooth.of_hub(told).state == "ok"
            await until_radio(hub, usable=False)
        assert await gauge(hub.node, "radio_connections") == 0


async def until_radio(hub: Living, *, usable: bool) -> None:
    wanted: Callable[..., bool] = lambda state: state.usable is usable  # noqa: E731
    await state_of(hub.node.radio, wanted)
    assert await gauge(hub.node, "radio_up") == usable
