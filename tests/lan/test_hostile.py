"""LANs that are in the way: each ends in success, or in the cause that names what is in the way."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.lan.house import WAIT, House, Lamp, Newcomer, living
from tests.lan.lan import HOME, ROOT, Host, Lan
from tests.lan.wifi import Wifi

pytestmark = pytest.mark.asyncio(loop_scope="session")
PIN = ("--pin", "48151623")
SSID, PASSWORD = "Cottage Wi-Fi", "correct horse"
NOBODY = "d-" + 24 * "a"
MAX_GROWN_KB = 20_000


async def test_isolated_ports(house: House) -> None:
    async with house.guest() as host:
        both = f"for port in {host.port} {house.hub_host.port}; do bridge link set dev $port isolated"
        await house.lan.run(f"{both} on; done")
        async with Lamp(host) as lamp:
            try:
                assert await house.fails() == "not_found"
                assert await house.fails(host=host.address, port=lamp.port) == "unreachable"
            finally:
                await house.lan.run(f"{both} off; done")
            await house.obeys(await house.pair(lamp))


async def test_another_subnet(house: House) -> None:
    await house.lan.second_subnet()
    async with house.guest(bridge="other") as host, Lamp(host) as lamp:
        assert await house.fails() == "not_found"
        session = await house.finish(await house.start(host=host.address, port=lamp.port), lamp)
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])


async def test_no_default_route_on_a_bridge_that_snoops(house: House) -> None:
    await house.lan.snooping(True)
    await house.lan.run("ip -n hub route del default")
    try:
        async with house.guest(routed=False) as host, Lamp(host) as lamp:
            await house.obeys(await house.pair(lamp))
    finally:
        await house.lan.run(f"ip -n hub route add default via {HOME}.1")
        await house.lan.snooping(False)


async def test_announced_but_not_to_be_spoken_to(house: House) -> None:
    async with house.guest() as host, Lamp(host, "--host", "127.0.0.1") as lamp:
        session = await house.finish(await house.start(device_id=lamp.id))
        assert session["failure"]["cause"] == "unreachable"
        assert session["failure"]["detail"]["port"] == str(lamp.port)


async def test_power_lost_while_it_joins(house: House, tmp_path: Path) -> None:
    state = ("--state", tmp_path / "lamp.json", *PIN)
    async with house.guest() as host:
        async with Lamp(host, *state, "--misbehave", "dies-at=prepared") as lamp:
            assert await house.fails(device_id=lamp.id, pin=PIN[1]) == "connection_lost"
            assert await lamp.ended() == -signal.SIGKILL
        async with Lamp(host, *state) as again:
            assert again.id == lamp.id
            wanted = {"device_id": lamp.id, "pin": PIN[1]}
            # It is back at another port, which whoever asks at once is told in a moment.
            session = await house.finish(await house.start(**wanted))
            assert session["state"] == "joined", session["failure"]
            await house.obeys(session["device_ids"][0])


@pytest.mark.full
async def test_cable_pulled_while_it_joins(house: House) -> None:
    async with house.guest() as host, Lamp(host) as lamp:
        path = await house.start(device_id=lamp.id)
        await house.until(path, "confirming")
        await house.lan.run(f"ip link set {host.port} down")
        await house.phone.done("POST", f"{path}/confirm", {"accepted": True})
        assert (await house.until(path))["failure"]["cause"] == "device_silent"
        await house.lan.run(f"ip link set {host.port} up")
        async with asyncio.timeout(2 * WAIT):
            # Until it hears that the hub has hung up, the lamp is in that talk.
            while (session := await house.finish(await house.start(device_id=lamp.id), lamp))["state"] != "joined":
                assert session["failure"]["cause"] == "device_busy"
        await house.obeys(session["device_ids"][0])


@asynccontextmanager
async def impostor(host: Host, *arguments: object) -> AsyncIterator[bytes]:
    """Lies told from a host, and the first line about them."""
    process = await asyncio.create_subprocess_exec(
        *(*host.through, sys.executable, "-m", "tests.lan.impostor", *map(str, arguments)),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield await process.stdout.readline()
    finally:
        process.stdin.close()
        await process.wait()


@pytest.mark.full  # within one process: tests/security/test_spoofer.py
async def test_a_name_is_stolen(house: House, tmp_path: Path) -> None:
    state = ("--state", tmp_path / "lamp.json")
    async with house.guest() as host, house.guest() as thief:
        async with Lamp(host, *state) as lamp:
            device = await house.pair(lamp)
            lamp.send(signal.SIGKILL)
            await lamp.ended()
        async with (
            Lamp(thief, "--unannounced") as other,
            impostor(thief, "lamp", other.port, 0, lamp.id) as said,
        ):
            assert said == b"announced\n"
            # The hub may know the dead lamp's own address still, where nobody answers.
            assert await house.fails(device_id=lamp.id) in {"proof_failed", "unreachable"}
            assert device in await house.devices()
            async with Lamp(host, *state) as back:
                await back.until(event="linked")
                await house.obeys(device)


@pytest.mark.full  # within one process: tests/security/test_spoofer.py
async def test_announcements_that_claim_to_be_known_devices(house: House) -> None:
    await flooded(house, 2_000)


@pytest.mark.full
@pytest.mark.asyncio(loop_scope="function")
async def test_a_flood_of_announcements_that_claim_to_be_known_devices(lan: Lan, tmp_path: Path) -> None:
    async with living(lan, tmp_path / "hub", patience=4 * WAIT) as house:
        await flooded(house, 100_000)


async def flooded(house: House, count: int) -> None:
    """Lies about a lamp while the hub listens for another: nothing about it changes, and they are not kept."""
    async with house.guest() as host, house.guest() as liar, Lamp(host) as lamp:
        device = await house.pair(lamp)
        path = await house.start(device_id=NOBODY)
        await house.until(path, "searching")
        before = await asyncio.to_thread(resident_kb, house.hub.pid)
        async with impostor(liar, "lamp", 9, count, lamp.id) as said:
            assert said == b"sent\n"
        assert await asyncio.to_thread(resident_kb, house.hub.pid) - before < MAX_GROWN_KB
        await house.phone.ask("POST", f"{path}/cancel")
        assert device in await house.devices()
        await house.obeys(device)


def resident_kb(pid: int) -> int:
    """Memory the process holds."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.full
@pytest.mark.asyncio(loop_scope="function")
async def test_the_hub_has_moved(lan: Lan, tmp_path: Path) -> None:
    state = ("--state", tmp_path / "lamp.json")
    async with living(lan, tmp_path / "hub") as house:
        host = await lan.host("lamp")
        async with Lamp(host, *state) as lamp:
            await house.pair(lamp)
            await lamp.until(event="linked")
        moved = await lan.move(house.hub_host, 150)
        async with Lamp(host, *state) as again:
            assert (await again.until(event="linked"))["host"] == moved.address


@pytest.mark.full
@pytest.mark.asyncio(loop_scope="function")
async def test_what_is_said_of_ez(lan: Lan, tmp_path: Path) -> None:
    async with Wifi(lan, SSID, PASSWORD) as wifi, living(lan, tmp_path / "hub", patience=20.0) as house:
        radio = await wifi.host("lamp")
        async with Newcomer(radio, "ez", "--air-interface", "wlan0") as lamp:
            path = await house.start(method="ez", ssid=SSID, wifi_password="wrong horse")
            assert (await lamp.until(event="not_joined"))["reason"] == "wrong_password"
            # Tuya's devices have no way to say that they heard it, only that they came.
            assert (await house.until(path))["failure"]["cause"] == "never_decoded"
            both = f"for port in p-air {house.hub_host.port}; do bridge link set dev $port isolated"
            await lan.run(f"{both} on; done")
            assert await house.fails(method="ez", ssid=SSID, wifi_password=PASSWORD) == "never_decoded"
            await lan.run(f"{both} off; done")
            await lan.snooping(True)
            session = await house.finish(await house.start(method="ez", ssid=SSID, wifi_password=PASSWORD), lamp)
            assert session["state"] == "joined", session["failure"]
            await house.obeys(session["device_ids"][0])
