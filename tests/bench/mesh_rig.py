"""`python -m tests.bench.mesh_rig`: how much of provisioning, and of an OnOff round trip, is the hub's own work.

The rig: a virtual air and a virtual node as processes of their own, the hub's radio and client here. "Ours" is the time
inside the mesh stack and the provisioning talk (all crypto, all of their Python); the rest is the radio, the node and
what the protocol waits for. "Process" is all CPU time of this process, whose Bluetooth host is written in Python as
well, which on real adapters is the system's. The virtual air has no connection interval, which on real radios is 30 to
50 ms each way: the share there is smaller still.
"""

import argparse
import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, ParamSpec, TypeVar

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from app.commands.child import Child
from ble.adverts import MESH_PROVISIONING
from ble.mesh import pb_gatt
from ble.mesh.admission import admit
from ble.mesh.client import MeshClient
from ble.mesh.config.indexes import KeyPair
from ble.mesh.configure import Setup, configure, reset
from ble.mesh.exchange import ByApp
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.models import onoff
from ble.mesh.procedures import carry_out
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.provisioner import Provisioned, provision
from ble.mesh.provisioning.talk import Assign, Talk
from ble.mesh.state import MeshState
from ble.mesh.store import MemoryStore
from ble.radio import Advertisement
from ble.virtual.radio import VirtualRadio

P = ParamSpec("P")
R = TypeVar("R")
STACK = ("send", "receive", "tick", "settle", "take_out", "take_events", "take_marks", "reserve_due")
TARGET = 0.10
APP = b"a" * 16


class Ours:
    """Seconds of the calls that are ours; what one of them calls is counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    @contextmanager
    def counted(self) -> Iterator[None]:
        if self._inside:
            yield
            return
        self._inside, before = True, time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - before
            self._inside = False

    def timed(self, call: Callable[P, R]) -> Callable[P, R]:
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.counted():
                return call(*args, **kwargs)

        return run

    def talk(self, made: Talk[Provisioned]) -> Generator[Any, Any, Provisioned]:
        """The talk, each step of it timed."""
        answer: Any = None
        while True:
            try:
                with self.counted():
                    action = made.send(answer)
            except StopIteration as stop:
                done: Provisioned = stop.value
                return done
            answer = yield action

    def watch(self, client: MeshClient) -> None:
        for name in STACK:
            setattr(client.stack, name, self.timed(getattr(client.stack, name)))


class Spent(Struct, frozen=True):
    """Seconds: in all, ours of them, and CPU time of this process."""

    wall: float
    ours: float
    process: float


async def measured(ours: Ours, work: Callable[[], Awaitable[object]]) -> Spent:
    ours.seconds, before, cpu = 0.0, time.perf_counter(), time.process_time()
    await work()
    return Spent(time.perf_counter() - before, ours.seconds, time.process_time() - cpu)


class Rig:
    def __init__(self, port: int, address: str, uuid: bytes) -> None:
        self.radio = VirtualRadio(port)
        self.state = MeshState(device_key=bytes(16))
        self.state.net_keys[0] = NetKey(index=0, key=b"n" * 16)
        self.state.app_keys[0] = AppKey(index=0, net_index=0, key=APP)
        self.store = MemoryStore(self.state)
        self.ours = Ours()
        self._address, self._uuid = address, uuid

    async def heard(self) -> None:
        """Until the node says that it is in no network."""
        there = asyncio.Event()

        def hear(advertisement: Advertisement) -> None:
            if MESH_PROVISIONING in advertisement.service_data:
                there.set()

        stop = self.radio.listen(hear)
        await there.wait()
        stop()

    async def provisioned(self) -> tuple[Spent, int]:
        """From the open connection to Complete, and the node's address."""

        async def assign(wanted: Assign) -> ProvisioningData:
            data = admit(self.state, self._uuid, wanted)
            await self.store.save(self.state)
            return data

        done: list[Provisioned] = []
        async with self.radio.connect(self._address, services=(pb_gatt.SERVICE,)) as connection:

            async def pump() -> None:
                talk = self.ours.talk(provision(Choice(), entropy=secrets.token_bytes))
                done.append(await pb_gatt.pump(talk, connection, on_assign=assign))

            spent = await measured(self.ours, pump)
        return spent, done[0].unicast

    async def switched(self, client: MeshClient, unicast: int, count: int) -> list[Spent]:
        """OnOff Set and its Status, so often."""

        async def once() -> None:
            message = onoff.set_on(True, secrets.randbelow(256)).message()
            await client.request(unicast, message, ByApp(0), answers=(onoff.OnOffStatus.OPCODE,))

        return [await measured(self.ours, once) for _ in range(count)]


async def run(rounds: int, switches: int) -> tuple[list[Spent], list[Spent]]:
    joins: list[Spent] = []
    trips: list[Spent] = []
    async with Child("air", "--port", "0") as air:
        setting = (await air.until(event="ready"))["setting"]
        async with Child("device", "--method", "mesh", "--product", "mesh_lamp", "--bluetooth", setting) as node:
            ready = await node.until(event="ready")
            uuid = bytes.fromhex(ready["id"].removeprefix("mesh-"))
            rig = Rig(int(setting.partition(":")[2]), ready["address"], uuid)
            await rig.radio.open()
            for _ in range(rounds):
                await rig.heard()
                spent, unicast = await rig.provisioned()
                joins.append(spent)
                async with MeshClient(rig.radio, rig.store) as client:
                    await carry_out(configure(unicast, Setup(keys=KeyPair(0, 0), app_key=APP)), client)
                    rig.ours.watch(client)
                    trips += await rig.switched(client, unicast, switches)
                    await carry_out(reset(unicast), client)
                    await client.remove_node(unicast)
                    rig.state = client.state
                await node.until(event="reset")
            await rig.radio.close()
    return joins, trips


def _wall(spent: Spent) -> float:
    return spent.wall


def _ours(spent: Spent) -> float:
    return spent.ours


def _process(spent: Spent) -> float:
    return spent.process


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.mesh_rig")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--switches", type=int, default=30)
    given = parser.parse_args()
    joins, trips = asyncio.run(run(given.rounds, given.switches))
    table = Table("what", "median ms", "ours, ms", "share", f"below {TARGET:.0%}", "process, ms")
    for name, runs in (("provisioning (No OOB)", joins), ("OnOff Set and its Status", trips)):
        share = median(one.ours / one.wall for one in runs)
        wall, ours, process = (median(map(each, runs)) * 1000 for each in (_wall, _ours, _process))
        met = "yes" if share < TARGET else "no"
        table.add_row(name, f"{wall:.1f}", f"{ours:.2f}", f"{share:.1%}", met, f"{process:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
