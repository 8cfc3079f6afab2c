"""A LAN of network namespaces: a bridge, hosts on it, and programs started on a host.

All of it belongs to one shell in a mount and network namespace of its own, which reads from a pipe: when whoever made
the LAN ends, by whatever end, the shell ends, and the kernel takes everything away. Programs die with their parent.
"""

import asyncio
import os
import shutil
import subprocess
from asyncio.subprocess import PIPE, STDOUT, Process
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest
from msgspec import Struct

ROOT: Final = Path(__file__).parents[2]
PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""`ip` and `bridge` are for administrators: not everybody's PATH has them."""
HOME: Final = "192.168.77"
OTHER: Final = "192.168.78"
ANSWER_SECONDS: Final = 30.0

# /run becomes a place of its own, for `ip netns` to write to.
_BEGIN = """
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add home type bridge stp_state 0 mcast_snooping 0
ip addr add {home}.1/24 dev home
ip link set home up
"""
# A new device may come with an address whose last owner the others remember: it says so, as DHCP clients do. Waiting
# for others to claim its link-local address would only take time.
NEW_HOST = """
ip netns add {name}
ip netns exec {name} sh -c 'cd /proc/sys/net
for each in all default; do echo 1 >ipv4/conf/$each/arp_notify; echo 0 >ipv6/conf/$each/accept_dad; done'
ip -n {name} link set lo up
"""
_PORT = """
ip link add {port} type veth peer name eth0 address {mac} netns {name}
ip link set {port} master {bridge} up
ip -n {name} link set eth0 up
"""
_SECOND = """
ip link add other type bridge stp_state 0 mcast_snooping 0
ip addr add {other}.1/24 dev other
ip link set other up
echo 1 >/proc/sys/net/ipv4/ip_forward
"""
_PROBE = "mount -t tmpfs tmpfs /run; ip netns add probe; ip link add probe type bridge"


class Host(Struct, frozen=True):
    """A namespace: `through` starts a program in it; `port` is its end at the bridge."""

    name: str
    address: str
    mac: str
    port: str
    through: tuple[str, ...]


class ScriptFailed(Exception):
    """A command in the LAN's shell failed; the text is what it said."""


class Lan:
    """`async with Lan() as lan: hub = await lan.host("hub")`.

    Hosts have a default route to the bridge, which forwards nothing: without one, sends to 255.255.255.255 would fail
    where a household's would not. `as_root` needs root; else a user namespace stands in.
    """

    def __init__(self, *, as_root: bool = os.geteuid() == 0) -> None:
        self._as_root = as_root
        self._shell: Process
        self._lock = asyncio.Lock()
        self._hosts = 0

    async def __aenter__(self) -> Self:
        self._shell = await asyncio.create_subprocess_exec(
            *_private(self._as_root), "sh", stdin=PIPE, stdout=PIPE, stderr=STDOUT, env={**os.environ, "PATH": PATH}
        )
        try:
            await self.run(_BEGIN.format(home=HOME))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        await self._shell.wait()

    async def run(self, script: str) -> str:
        """Have the shell do it, beside the bridge; what it prints. Raises ScriptFailed at the first failure."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        async with self._lock:
            self._shell.stdin.write(f"(set -e\n{script}\n)\ncode=$?; echo; echo ended $code\n".encode())
            said: list[str] = []
            async with asyncio.timeout(ANSWER_SECONDS):
                while line := (await self._shell.stdout.readline()).decode():
                    if line.startswith("ended "):
                        break
                    said.append(line)
        text = "".join(said).rstrip()
        if line != "ended 0\n":
            raise ScriptFailed(text)
        return text

    def through(self, name: str = "") -> tuple[str, ...]:
        """What starts a program on a host (none: beside the bridge); it is killed when its parent dies."""
        as_user = () if self._as_root else ("-U", "--preserve-credentials")
        inside = ("ip", "netns", "exec", name) if name else ()
        there = ("nsenter", "-t", str(self._shell.pid), "-m", "-n", *as_user)
        return (*there, "setpriv", "--pdeathsig", "KILL", "env", f"PATH={PATH}", *inside)

    async def bare(self, name: str) -> Host:
        """A host with nothing but loopback."""
        await self.run(NEW_HOST.format(name=name))
        return Host(name, "127.0.0.1", "", "", self.through(name))

    async def host(self, name: str, *, routed: bool = True, bridge: str = "home") -> Host:
        """A host with `eth0` on the bridge; without `routed` it has no default route."""
        net = HOME if bridge == "home" else OTHER
        self._hosts += 1
        number = self._hosts + 1
        mac, port = f"02:00:00:00:00:{number:02x}", f"p-{name}"
        await self.run(
            NEW_HOST.format(name=name)
            + _PORT.format(name=name, port=port, mac=mac, bridge=bridge)
            + f"ip -n {name} addr add {net}.{number}/24 dev eth0\n"
            + (f"ip -n {name} route add default via {net}.1\n" if routed else "")
        )
        return Host(name, f"{net}.{number}", mac, port, self.through(name))

    async def second_subnet(self) -> None:
        """A bridge `other` behind the first: what is between them is routed, so that no multicast gets through."""
        await self.run(_SECOND.format(other=OTHER))

    async def snooping(self, on: bool) -> None:
        """Whether the bridge sends the frames of a group only to who asked for them; it asks them itself."""
        # It trusts what it knows only after the time it gives for answers: here at once.
        await self.run(
            "ip link set home type bridge mcast_query_response_interval 1\n"
            f"ip link set home type bridge mcast_snooping {int(on)} mcast_querier {int(on)}"
        )

    async def move(self, host: Host, number: int) -> Host:
        """Give the host another address of its network, as a new DHCP lease does."""
        net = host.address.rpartition(".")[0]
        moved = f"{net}.{number}"
        await self.run(
            f"ip -n {host.name} addr flush dev eth0 scope global\n"
            f"ip -n {host.name} addr add {moved}/24 dev eth0\n"
            f"ip -n {host.name} route add default via {net}.1"
        )
        return Host(host.name, moved, host.mac, host.port, host.through)

    async def remove(self, host: Host) -> None:
        """Take the host off the bridge, as when its cable is pulled. Programs that still run there keep it, alone."""
        await self.run(
            f"ip link del {host.port}\nip netns del {host.name}" if host.port else f"ip netns del {host.name}"
        )


def _private(as_root: bool) -> tuple[str, str]:
    return "unshare", "-nm" if as_root else "-Urnm"


@cache
def _why_not() -> str:
    """Why namespaces cannot be had here; empty where they can."""
    if not all(shutil.which(program, path=PATH) for program in ("ip", "unshare", "nsenter", "setpriv")):
        return "ip, unshare, nsenter or setpriv is missing (Debian: iproute2, util-linux)"
    done = subprocess.run(
        [
            *_private(os.geteuid() == 0),
            "sh",
            "-ec",
            "mount -t tmpfs tmpfs /run; ip netns add probe; ip link add probe type bridge",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=ANSWER_SECONDS,
        env={**os.environ, "PATH": PATH},
    )
    return "" if done.returncode == 0 else f"network namespaces are not permitted: {done.stderr.strip()}"


def require_namespaces() -> None:
    """Skip the test where namespaces are not to be had; in CI, fail it: there it must run."""
    if why := _why_not():
        if os.environ.get("CI"):
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
