"""Joining setup networks through NetworkManager: a mock of its API on a real bus, failing in the ways it fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pairing.ap import networkmanager
from pairing.ap.networkmanager import spare_radio
from pairing.ap.radio import NoSpareRadioError, SetupNetwork, SetupNetworkError, spoken_in
from tests.pairing.ap.mock_networkmanager import MockNetworkManager, names, private_bus

DENIED = "org.freedesktop.NetworkManager.PermissionDenied"
LAMP = SetupNetwork("PROV_lamp")


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[str]:
    async with private_bus(tmp_path) as address:
        yield address


def with_spare(**how: object) -> MockNetworkManager:
    manager = MockNetworkManager(**how)  # type: ignore[arg-type]
    manager.add_device("eth0", kind=1, state=100, busy=True)
    device = manager.add_device("wlan1")
    manager.add_point(device, b"PROV_lamp", 40)
    manager.add_point(device, b"PROV_lamp", 60)
    manager.add_point(device, b"SmartLife-1A2B", 80)
    manager.add_point(device, "Zuhause ☕".encode(), 90, wpa=0x188)
    manager.add_point(device, b"", 99)
    manager.add_point(device, b"\xff\xfe", 99)
    return manager


async def test_setup_networks_in_reach_are_seen_strongest_first(bus: str) -> None:
    async with with_spare().on(bus), spare_radio(bus) as radio:
        assert radio.interface == "wlan1"
        seen = [(network.ssid, network.strength, network.open) for network in await radio.networks()]
    assert seen == [("Zuhause ☕", 90, False), ("SmartLife-1A2B", 80, True), ("PROV_lamp", 60, True)]


async def test_a_setup_network_is_joined_for_a_while_and_never_the_way_out(bus: str) -> None:
    async with with_spare().on(bus) as manager, spare_radio(bus) as radio:
        seen = (await radio.networks())[-1]
        async with radio.joined(seen):
            (profiles, active) = manager.left
            assert len(profiles) == len(active) == 1
        assert manager.left == ([], [])
    (made,) = manager.made
    assert made.settings["802-11-wireless"] == {"ssid": b"PROV_lamp", "mode": "infrastructure"}
    assert made.settings["ipv4"]["never-default"] is True
    assert made.settings["connection"]["autoconnect"] is False
    assert "802-11-wireless-security" not in made.settings
    assert made.options == {"persist": "volatile", "bind-activation": "dbus-client"}


async def test_a_setup_network_with_a_password_is_joined_with_it(bus: str) -> None:
    async with with_spare().on(bus) as manager, spare_radio(bus) as radio, radio.joined(LAMP, "setup-password"):
        pass
    assert manager.made[0].settings["802-11-wireless-security"] == {"key-mgmt": "wpa-psk", "psk": "setup-password"}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (7, "password"),
        (8, "password"),
        (53, "not_found"),
        (5, "no_address"),
        (17, "no_address"),
        (11, "timeout"),
        (1, "failed"),
    ],
)
async def test_why_a_setup_network_was_not_joined_is_said(bus: str, reason: int, said: str) -> None:
    async with with_spare(becomes=4, reason=reason).on(bus) as manager, spare_radio(bus) as radio:
        with pytest.raises(SetupNetworkError) as failure:
            async with radio.joined(LAMP):
                raise AssertionError
        assert failure.value.reason == said
        assert manager.left == ([], [])


async def test_a_refused_activation_leaves_nothing(bus: str) -> None:
    refuses = {"AddAndActivateConnection2": "org.freedesktop.NetworkManager.UnknownDevice"}
    async with with_spare(refuses=refuses).on(bus) as manager, spare_radio(bus) as radio:
        with pytest.raises(SetupNetworkError, match="failed"):
            async with radio.joined(LAMP):
                raise AssertionError
        assert manager.left == ([], [])


async def test_an_activation_that_comes_to_nothing_is_given_up(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networkmanager, "JOIN_TIMEOUT", 0.2)
    async with with_spare(becomes=1).on(bus) as manager, spare_radio(bus) as radio:
        with pytest.raises(SetupNetworkError, match="timeout"):
            async with radio.joined(LAMP):
                raise AssertionError
        assert manager.left == ([], [])


async def test_cancelled_on_the_way_in_leaves_nothing(bus: str) -> None:
    async with with_spare(becomes=1).on(bus) as manager, spare_radio(bus) as radio:
        joining = asyncio.create_task(radio.joined(LAMP).__aenter__())
        await manager.until(lambda: manager.made)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert manager.left == ([], [])


async def test_cancelled_before_networkmanager_has_answered_leaves_nothing(bus: str) -> None:
    async with with_spare(holds={"AddAndActivateConnection2"}).on(bus) as manager, spare_radio(bus) as radio:
        joining = asyncio.create_task(radio.joined(LAMP).__aenter__())
        await manager.until(lambda: "AddAndActivateConnection2" in manager.called)
        joining.cancel()
        await asyncio.sleep(0)
        joining.cancel()  # people do press twice
        manager.answer_held()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert names(manager.made) == ["PROV_lamp"]
        assert manager.left == ([], [])


async def test_a_hub_that_drops_off_the_bus_leaves_nothing(bus: str) -> None:
    async with with_spare().on(bus) as manager:
        async with spare_radio(bus) as radio:
            await radio.joined(LAMP).__aenter__()
            assert manager.left != ([], [])
        await manager.until(lambda: manager.left == ([], []))


async def test_networkmanager_going_away_on_the_way_in_is_said(bus: str) -> None:
    async with with_spare(becomes=1).on(bus) as manager, spare_radio(bus) as radio:
        joining = asyncio.create_task(radio.joined(LAMP).__aenter__())
        await manager.until(lambda: manager.made)
        await manager.vanish()
        with pytest.raises(SetupNetworkError, match="lost"):
            await joining
        with pytest.raises(NoSpareRadioError, match="went away"):
            await radio.networks()


async def test_networkmanager_going_away_while_joined_lets_the_hub_go_on(bus: str) -> None:
    async with with_spare().on(bus) as manager, spare_radio(bus) as radio, radio.joined(LAMP):
        await manager.vanish()


async def test_no_bus_and_no_networkmanager_are_a_sentence(bus: str, tmp_path: Path) -> None:
    for address in (bus, f"unix:path={tmp_path}/nothing"):
        with pytest.raises(NoSpareRadioError, match="does not run"):
            async with spare_radio(address):
                raise AssertionError


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ([], "no Wi-Fi"),
        ([{"kind": 1, "state": 100}], "no Wi-Fi"),
        ([{"state": 100, "busy": True}], "in use"),
        ([{"state": 50, "busy": True}], "in use"),
        ([{"state": 20}], "switched off"),
        ([{"caps": 0x500}], "no 2.4 GHz"),
    ],
)
async def test_why_no_interface_is_spare_is_a_sentence(bus: str, devices: list[dict[str, int]], said: str) -> None:
    manager = MockNetworkManager()
    for number, device in enumerate(devices):
        manager.add_device(f"wlan{number}", **device)  # type: ignore[arg-type]
    async with manager.on(bus):
        with pytest.raises(NoSpareRadioError, match=said):
            async with spare_radio(bus):
                raise AssertionError


async def test_what_the_hub_may_not_do_is_a_sentence(bus: str) -> None:
    async with with_spare(refuses={"GetDevices": DENIED}).on(bus):
        with pytest.raises(NoSpareRadioError, match="may not"):
            async with spare_radio(bus):
                raise AssertionError


async def test_the_radio_the_hub_itself_uses_is_passed_over(bus: str) -> None:
    manager = MockNetworkManager()
    manager.add_device("wlan0", state=100, busy=True)
    manager.add_device("wlan1")
    async with manager.on(bus), spare_radio(bus) as radio:
        assert radio.interface == "wlan1"


async def test_a_scan_refused_for_now_shows_what_is_known(bus: str) -> None:
    refuses = {"RequestScan": "org.freedesktop.NetworkManager.Device.NotAllowed"}
    async with with_spare(refuses=refuses).on(bus), spare_radio(bus) as radio:
        assert len(await radio.networks()) == 3


@pytest.mark.parametrize(
    ("ssid", "speaks"),
    [("PROV_1a", "protocomm"), ("ESP_AB12", "protocomm"), ("SmartLife-1A2B", "tuya"), ("prov_1", None), ("Home", None)],
)
def test_what_is_spoken_is_told_by_the_name(ssid: str, speaks: str | None) -> None:
    assert spoken_in(ssid) == speaks
