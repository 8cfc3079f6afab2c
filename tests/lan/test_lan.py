"""The rig itself: hosts reach each other and nobody else, and nothing is left of a LAN whose maker was killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.lan import lan as rig
from tests.lan.lan import HOME, ROOT, Host, Lan, ScriptFailed

LISTEN = """
import socket
with socket.create_server(("", 7000)) as server:
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
"""
# Knocks until it is let in or the time is up: a neighbour that did not answer is asked again after a second.
CONNECT = """
import socket, sys, time
end = time.monotonic() + float(sys.argv[2])
reached = False
while not reached and time.monotonic() < end:
    try:
        socket.create_connection((sys.argv[1], 7000), timeout=0.5).close()
        reached = True
    except OSError:
        time.sleep(0.02)
print("reached" if reached else "not reached")
"""
# Makes a LAN with a program on it, then says who they are and waits to be killed.
MAKER = """
import asyncio, subprocess, sys
from tests.lan.lan import Lan

async def main():
    async with Lan() as lan:
        host = await lan.host("host")
        sleeper = subprocess.Popen([*host.through, "sleep", "600"])
        while open(f"/proc/{sleeper.pid}/comm").read() != "sleep\\n":  # until then it is to outlive nobody yet
            await asyncio.sleep(0.01)
        print(lan._shell.pid, sleeper.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
WAIT = 30.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="this one needs root; its other half does not")


async def says(through: tuple[str, ...], program: str, *arguments: str) -> str:
    """What a program prints on a host."""
    process = await asyncio.create_subprocess_exec(*through, sys.executable, "-c", program, *arguments, stdout=PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()


async def reaches(host: Host, address: str, *, within: float = WAIT) -> bool:
    """Whether what listens at the address can be reached from the host."""
    return await says(host.through, CONNECT, address, str(within)) == "reached"


@pytest.mark.parametrize("as_root", [pytest.param(True, marks=needs_root), False])
async def test_hosts_reach_each_other_unless_their_ports_are_isolated(as_root: bool) -> None:
    async with Lan(as_root=as_root) as lan:
        await reach(lan)


async def reach(lan: Lan) -> None:
    server, client = await lan.host("server"), await lan.host("client")
    listening = await asyncio.create_subprocess_exec(*server.through, sys.executable, "-c", LISTEN, stdout=PIPE)
    assert listening.stdout is not None
    await listening.stdout.readline()
    assert await reaches(client, server.address)
    moved = await lan.move(server, 99)
    assert await reaches(client, moved.address)
    await lan.run(f"for port in {server.port} {client.port}; do bridge link set dev $port isolated on; done")
    assert not await reaches(client, moved.address, within=0.3)
    listening.kill()
    await listening.wait()


async def test_two_lans_do_not_know_of_each_other(lan: Lan) -> None:
    async with Lan() as second:
        await lan.host("hub")
        await second.host("hub")
        assert f"{HOME}.2" in await lan.run("ip -n hub -4 addr show dev eth0")


async def test_a_command_that_fails_says_so(lan: Lan) -> None:
    with pytest.raises(ScriptFailed, match="nowhere"):
        await lan.run("ip link show nowhere\necho not reached")
    assert await lan.run("echo still here") == "still here"


async def test_nothing_is_left_when_the_maker_is_killed() -> None:
    maker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAKER, stdout=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert maker.stdout is not None
    children = [int(pid) for pid in (await maker.stdout.readline()).split()]
    maker.send_signal(signal.SIGKILL)
    await maker.wait()
    async with asyncio.timeout(WAIT):
        for child in children:
            while await asyncio.to_thread(running, child):
                await asyncio.sleep(0.01)


def running(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_namespaces_ci_fails_and_a_laptop_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "_why_not", lambda: "not permitted")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        rig.require_namespaces()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        rig.require_namespaces()
