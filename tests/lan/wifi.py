"""A home's Wi-Fi on a LAN of namespaces: the air as a process beside the bridge, and hosts with a radio."""

import asyncio
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct

from tests.lan.air import Known, New, Start, Weather, Wish
from tests.lan.lan import HOME, NEW_HOST, ROOT, Host, Lan

SETUP: Final = "192.168.4"
"""Where a soft AP gives addresses; its device is .1."""
STARTED_SECONDS: Final = 30.0

_AIR = """
ip netns add air
ip netns exec air sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
ip link add p-air type veth peer name home netns air
ip link set p-air master home up
ip -n air link set home up promisc on
"""
_RADIO = """
ip -n air link add {port} type veth peer name {radio} address {mac} netns {name}
ip -n air link set {port} up promisc on
ip -n {name} link set {radio} up
ip -n {name} addr add {address}/24 dev {radio}
"""


class Radio(Struct, frozen=True):
    """A host on the air; `socket` is where it asks for networks."""

    host: Host
    socket: Path


class Wifi:
    """`async with Wifi(lan, "Home", "correct horse") as wifi: lamp = await wifi.host("lamp")`."""

    def __init__(
        self, lan: Lan, ssid: str = "Home", password: str = "", *, weather: Weather | None = None, seed: int = 0
    ) -> None:
        self.home = Known(ssid, password)
        self._lan = lan
        self._weather = weather or Weather()
        self._seed = seed
        self._hosts = 0
        self._folder: Path
        self._air: Process

    async def __aenter__(self) -> Self:
        await self._lan.run(_AIR)
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="air-"))
        self._air = await asyncio.create_subprocess_exec(
            *self._lan.through("air"),
            sys.executable,
            "-m",
            "tests.lan.air",
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        await self._tell(Start(str(self._folder), self.home, self._weather, self._seed))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._air.stdin is not None
        self._air.stdin.close()
        await self._air.wait()
        await asyncio.to_thread(shutil.rmtree, self._folder)

    async def _tell(self, words: Struct) -> None:
        assert self._air.stdin is not None
        assert self._air.stdout is not None
        self._air.stdin.write(msgspec.json.encode(words) + b"\n")
        async with asyncio.timeout(STARTED_SECONDS):
            if not await self._air.stdout.readline():
                raise RuntimeError("the air has ended")

    async def host(self, name: str, *, soft_ap: bool = False) -> Radio:
        """A host whose `wlan0` is a station, and with `soft_ap` its `ap0` a network of its own, once it opens one."""
        self._hosts += 1
        number = 100 + self._hosts
        mac, address = f"02:00:00:00:01:{number:02x}", f"{HOME}.{number}"
        script = NEW_HOST.format(name=name)
        script += _RADIO.format(port=f"s-{name}", radio="wlan0", mac=mac, name=name, address=address)
        script += f"ip -n {name} route add default via {HOME}.1\n"
        if soft_ap:
            own = f"02:00:00:00:02:{number:02x}"
            script += _RADIO.format(port=f"a-{name}", radio="ap0", mac=own, name=name, address=f"{SETUP}.1")
        else:
            script += f"ip -n {name} addr add {SETUP}.{number}/24 dev wlan0\n"
        await self._lan.run(script)
        await self._tell(New(name, mac, soft_ap))
        return Radio(Host(name, address, mac, f"s-{name}", self._lan.through(name)), self._folder / f"{name}.sock")


class Joined:
    """A station's connection to the air, held by a test: `join`, `open`, and leave with the context."""

    def __init__(self, radio: Radio) -> None:
        self._radio = radio

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_unix_connection(self._radio.socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def join(self, ssid: str, password: str = "") -> dict[str, object]:
        """What the access point answers."""
        return await self._ask(Wish(join=Known(ssid, password)))

    async def open(self, ssid: str, password: str = "") -> dict[str, object]:
        """Become the access point of a network of this name."""
        return await self._ask(Wish(open=Known(ssid, password)))

    async def _ask(self, wish: Wish) -> dict[str, object]:
        self._writer.write(msgspec.json.encode(wish) + b"\n")
        answer: dict[str, object] = msgspec.json.decode(await self._reader.readline())
        return answer
