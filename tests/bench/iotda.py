"""`python -m tests.bench.iotda`: 500 registered devices that report once a second into a whole hub, over MQTT.

What counts: every acknowledged report is in the devices' logs, and how late the hub's event loop was meanwhile.
"""

import argparse
import asyncio
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import uvloop

from app import logs
from app.caller import BY_SYSTEM, Caller
from app.devices.credential_model import NewRegistration
from app.links.iotda.codec.signing import password
from app.links.mqtt.endpoint import Endpoint
from app.links.mqtt.limits import Limits
from app.policy import Actor
from app.services import Services
from app.store.prepare import open_store
from app.store.tx import Tx
from tests.api.harness import UNUSABLE

SECRET, STAMP = "a-secret-of-24-letters..", "2019120219"
STEP_S = 0.005
GOAL = "goals: no report lost; p99 under 20 ms"


async def serve(folder: Path, devices: int) -> None:
    """Print the port; once a line is read, how late the loop was (ms, sorted), and how many reports are kept.

    Runs until it is killed.
    """
    logs.configure("error", "json")
    store = await open_store(folder)
    services = Services(store)
    await services.start("Bench")
    home_id = await store.write(lambda tx: _home(tx, services))
    for number in range(devices):
        new = NewRegistration(product_id="lamp", node_id=f"{number:05}", secret=SECRET)
        await services.devices.credentials.register(BY_SYSTEM, home_id, new)
    room = Limits(strangers=10_000, strangers_per_address=10_000, connections_per_address=10_000)
    endpoint = Endpoint(store, services.iotda.admission, services.iotda.hearing, room)
    services.iotda.down.take_link(endpoint)
    await endpoint.open()
    print(await endpoint.listen("127.0.0.1", 0), flush=True)
    lags: list[float] = []
    watching = asyncio.create_task(_watch(lags))
    await asyncio.to_thread(sys.stdin.readline)
    watching.cancel()
    kept = await store.read(lambda reader: reader.one("SELECT count(*) FROM journal WHERE type='report'"))
    print(",".join(f"{lag * 1000:.2f}" for lag in sorted(lags)), kept[0] if kept else 0, flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def _home(tx: Tx, services: Services) -> str:
    owner = services.accounts.create_in(tx, login="bench", name="Bench", verifier=UNUSABLE).account
    return services.homes.create_in(tx, Caller(Actor(owner.id)), name="Bench", time_zone="UTC").id


async def _watch(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        at = loop.time() + STEP_S
        await asyncio.sleep(STEP_S)
        lags.append(loop.time() - at)


def _text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray((kind,))
    while length > 127:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*head, length)) + body


def connect(port: int, device_id: str) -> socket.socket:
    """A device that is admitted."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    proof = password(SECRET.encode(), STAMP)
    said = _text(f"{device_id}_0_0_{STAMP}") + _text(device_id) + _text(proof)
    made.sendall(_packet(0x10, b"\x00\x04MQTT\x04\xc2\x02\x58" + said))
    if made.recv(4) != b"\x20\x02\x00\x00":
        raise SystemExit(f"{device_id} was not admitted")
    return made


def report(device_id: str, second: int) -> bytes:
    """QoS 1; a lamp's brightness tells the seconds."""
    values = b'{"services":[{"service_id":"Light","properties":{"brightness":%d}}]}' % (10 + second % 900)
    topic = _text(f"$oc/devices/{device_id}/sys/properties/report")
    return _packet(0x32, topic + (second % 60_000 + 1).to_bytes(2, "big") + values)


def load(port: int, devices: int, seconds: int) -> int:
    """Report; returns how many were acknowledged."""
    ids = [f"lamp_{number:05}" for number in range(devices)]
    clients = [connect(port, device_id) for device_id in ids]
    poll = select.epoll()
    by_fd = {client.fileno(): client for client in clients}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    total, sent, octets, begin = devices * seconds, 0, 0, time.perf_counter()
    while octets < total * 4:
        now = time.perf_counter() - begin
        while sent < total and sent / devices <= now:
            at = sent % devices
            clients[at].sendall(report(ids[at], sent // devices))
            sent += 1
        for fd, _ in poll.poll(0.001):
            octets += len(by_fd[fd].recv(65536))
        if now > seconds + 60:
            break
    return octets // 4


def main() -> None:
    """Both ends, and what came of it."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--devices", type=int, default=500)
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.serve:
        uvloop.run(serve(given.serve, given.devices))
        return
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "tests.bench.iotda", "--serve", f"{folder}/hub", "--devices", str(given.devices)]
        hub = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert hub.stdin is not None
        assert hub.stdout is not None
        acked = load(int(hub.stdout.readline()), given.devices, given.seconds)
        hub.stdin.write(b"\n")
        hub.stdin.flush()
        lags, _, kept = hub.stdout.readline().decode().strip().rpartition(" ")
        hub.kill()
        hub.wait()
    late = quantiles([float(lag) for lag in lags.split(",")], n=100)
    print(f"{given.devices * given.seconds} reports, {acked} acknowledged, {kept} kept")
    print(f"event loop late by {late[49]:.1f} ms (median), {late[98]:.1f} ms (p99); {GOAL}")


if __name__ == "__main__":
    main()
