"""The air: who is let in is heard, who is not only hears what goes to everybody, and the weather is as told."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from app.virtual.station import AirStation, JoinRefused
from pairing.wifi import WifiNetwork
from tests.lan.air import Weather, fates
from tests.lan.lan import HOME, Host, Lan
from tests.lan.test_lan import LISTEN, reaches, says
from tests.lan.wifi import SETUP, Joined, Wifi

PASSWORD = "correct horse"
SENT = 200
# Says the lengths of what comes in, past the frame's headers, for UDP from and to anywhere; ends at the longest.
HEAR = f"""
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as ears:
    ears.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    ears.bind(("wlan0", 0x0800))
    print("listening", flush=True)
    heard = set()
    while max(heard, default=0) < {SENT}:
        frame = ears.recv(65536)
        if frame[:6] in (b"\\xff" * 6, b"\\1\\0\\x5e\\x62\\1\\2") and frame[23] == 17 and frame[36:38] == b"\\x75\\x3b":
            heard.add(len(frame) - 42)
print(len(heard))
"""
# Lengths from 1 up, then the longest until it must have come through.
SAY = f"""
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
    mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for length in (*range(1, {SENT}), *[{SENT}] * 20):
        mouth.sendto(bytes(length), (sys.argv[1], 30011))
        time.sleep(0.001)
"""


async def started(host: Host, program: str) -> Process:
    """A program on a host, past its first line."""
    process = await asyncio.create_subprocess_exec(*host.through, sys.executable, "-c", program, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def heard(wifi: Wifi, lan: Lan, name: str, to: str) -> int:
    """How many of `SENT` lengths that the hub sends get to a station that has joined nothing."""
    lamp = await wifi.host(name)
    hub = await lan.host(f"hub-{name}")
    ears = await started(lamp.host, HEAR)
    await says(hub.through, SAY, to)
    out, _ = await ears.communicate()
    return int(out)


@pytest.mark.full  # every chain over Wi-Fi shows it as well
async def test_a_station_is_reached_once_it_has_joined(lan: Lan) -> None:
    async with Wifi(lan, "Home", PASSWORD) as wifi:
        hub, lamp = await lan.host("hub"), await wifi.host("lamp")
        listening = await started(lamp.host, LISTEN)
        station = AirStation(lamp.socket)
        assert not await reaches(hub, lamp.host.address, within=0.3)
        for ssid, password, reason in (("Home", "wrong horse", "wrong_password"), ("Else", "", "no_such_network")):
            with pytest.raises(JoinRefused) as refused:
                await station.join(WifiNetwork(ssid, password))
            assert refused.value.reason == reason
        assert not await reaches(hub, lamp.host.address, within=0.3)
        await station.join(WifiNetwork("Home", PASSWORD))
        assert await reaches(hub, lamp.host.address)
        await station.leave()
        assert not await reaches(hub, lamp.host.address, within=0.3)
        listening.kill()
        await listening.wait()


async def test_where_there_is_no_air_nothing_is_joined(tmp_path: Path) -> None:
    with pytest.raises(JoinRefused, match="no_answer"):
        await AirStation(tmp_path / "no.sock").join(WifiNetwork("Home"))


async def test_a_device_opens_a_network_for_its_setup(lan: Lan) -> None:
    async with Wifi(lan, "Home", PASSWORD) as wifi:
        lamp, phone = await wifi.host("lamp", soft_ap=True), await wifi.host("phone")
        listening = await started(lamp.host, LISTEN)
        async with Joined(phone) as ours:
            assert await ours.join("Lamp-1234") == {"refused": "no_such_network"}
            async with Joined(lamp) as theirs:
                assert await theirs.open("Lamp-1234") == {"opened": True}
                assert await ours.join("Lamp-1234") == {"joined": True}
                assert await reaches(phone.host, f"{SETUP}.1")
            assert not await reaches(phone.host, f"{SETUP}.1", within=0.3)
        listening.kill()
        await listening.wait()


@pytest.mark.parametrize("to", ["255.255.255.255", pytest.param("226.98.1.2", marks=pytest.mark.full)])
async def test_lengths_are_heard_by_who_is_on_no_network(lan: Lan, to: str) -> None:
    async with Wifi(lan) as wifi:
        assert await heard(wifi, lan, "lamp", to) == SENT


async def test_what_is_lost_is_lost_by_the_seed(lan: Lan) -> None:
    fate = fates(Weather(loss=20), "7 lamp")
    expected = sum(1 for _ in range(SENT - 1) if fate())
    async with Wifi(lan, weather=Weather(loss=20), seed=7) as wifi:
        got = await heard(wifi, lan, "lamp", f"{HOME}.255")
    # Frames that are not ours (an ARP request, a neighbour's solicitation) take their turn as well.
    assert abs(got - expected) < SENT / 10


def test_the_weather_is_as_asked_for() -> None:
    count = 20_000
    told = [fate() for fate in [fates(Weather(loss=5, twice=10, late=20, late_ms=8), "1")] for _ in range(count)]
    assert abs(told.count(()) / count - 0.05) < 0.01
    assert abs(sum(len(times) == 2 for times in told) / count - 0.095) < 0.01
    assert {times[0] for times in told if times} == {0.0, 0.008}
    again = fates(Weather(loss=5, twice=10, late=20, late_ms=8), "1")
    assert [again() for _ in range(100)] == told[:100]
