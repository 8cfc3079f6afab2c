"""What the kernel tells of interfaces, and what is made of it."""

import asyncio
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pairing import interfaces
from pairing.interfaces import Address, AddressNews, LinkNews, Watch, news_in, own_addresses

HERE = bytes.fromhex("fe80" + 13 * "00" + "01")
ROOT = Path(__file__).parents[2]


def message(kind: int, body: bytes = b"") -> bytes:
    length = 16 + len(body)
    return struct.pack("=IHHII", length, kind, 0, 0, 0) + body + bytes(-length % 4)


def link(kind: int, index: int, flags: int) -> bytes:
    return message(kind, struct.pack("=BxHiII", 0, 1, index, flags, 0xFFFFFFFF) + b"eth0\0")


def address(kind: int, index: int, flags: int) -> bytes:
    attributes = struct.pack("=HHI", 8, 6, 0) + struct.pack("=HH", 20, 1) + HERE
    return message(kind, struct.pack("=BBBBi", 10, 64, flags, 253, index) + attributes)


def test_links_and_addresses_are_read_in_order() -> None:
    data = link(16, 3, 0x40) + address(20, 3, 0x40) + address(20, 3, 0x80)
    data += link(16, 3, 0x1) + link(17, 3, 0x41) + address(21, 3, 0x80) + message(21) + message(3)
    assert list(news_in(data)) == [
        LinkNews(3, running=True),
        AddressNews(3, HERE, tentative=True),
        AddressNews(3, HERE),
        LinkNews(3, running=False),
        LinkNews(3, running=None),
        AddressNews(3, HERE, gone=True),
    ]


@given(st.binary(max_size=200))
@example(struct.pack("=IHHII", 0, 16, 0, 0, 0))
@example(struct.pack("=IHHII", 16, 16, 0, 0, 0))
def test_nothing_malformed_does_harm(data: bytes) -> None:
    assert len(list(news_in(data))) <= len(data) // 16


def test_link_local_addresses_carry_their_interface() -> None:
    assert Address("eth0", 2, "fe80::1").scoped == "fe80::1%eth0"
    assert Address("eth0", 2, "2001:db8::1").scoped == "2001:db8::1"
    assert Address("eth0", 2, "192.0.2.1").scoped == "192.0.2.1"


def test_the_own_addresses_are_all_but_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {Address("lo", 1, "127.0.0.1"), Address("eth0", 2, "fe80::1"), Address("eth0", 2, "192.0.2.1")}
    monkeypatch.setattr(interfaces, "addresses", lambda: frozenset(found))
    assert own_addresses(None) == ["192.0.2.1", "fe80::1"]
    monkeypatch.setattr(interfaces, "addresses", frozenset)
    assert own_addresses(None) == ["127.0.0.1"]
    assert own_addresses(("192.0.2.9",)) == ["192.0.2.9"]


async def test_without_netlink_it_looks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> None:
        raise PermissionError

    one, other = Address("eth0", 2, "192.0.2.1"), Address("eth0", 2, "192.0.2.2")
    moved = Address("wifi", 3, "192.0.2.2")
    looks = iter([{one}, {one}, {one, other}, {other}, {other}, {moved}])
    monkeypatch.setattr(interfaces, "_netlink", forbidden)
    monkeypatch.setattr(interfaces, "SETTLE", 0.0)
    monkeypatch.setattr(interfaces, "addresses", lambda: frozenset(next(looks)))
    async with asyncio.timeout(20):
        with Watch(look_every=0.001) as watch:
            assert await watch.changed() is False
            assert await watch.changed() is False
            assert await watch.changed() is True


_FLAPPING = """
import asyncio
from pairing.interfaces import Watch
async def ip(*words):
    done = await asyncio.create_subprocess_exec("ip", *words)
    assert await done.wait() == 0, words
async def shown(*words):
    asked = await asyncio.create_subprocess_exec("ip", *words, stdout=asyncio.subprocess.PIPE)
    return (await asked.communicate())[0].decode()
async def main():
    await ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    await ip("link", "set", "lan1", "up")
    await ip("link", "set", "lan0", "up")
    await ip("addr", "add", "192.0.2.1/24", "dev", "lan0")
    with Watch(look_every=3600) as watch:
        async with asyncio.timeout(30):
            await ip("addr", "add", "192.0.2.2/24", "dev", "lan0")
            while await watch.changed():
                pass
            print("more")
            await ip("addr", "del", "192.0.2.2/24", "dev", "lan0")
            await ip("addr", "add", "192.0.2.2/24", "dev", "lan0")
            while not await watch.changed():
                pass
            print("lost, though it is there again")
            await ip("addr", "add", "2001:db8::1/64", "dev", "lan0")
            await watch.changed()
            while "tentative" in await shown("-6", "addr", "show", "dev", "lan0"):
                await watch.changed()
            print("can be bound to")
            await ip("link", "set", "lan1", "down")
            await ip("link", "set", "lan1", "up")
            await watch.changed()
            print("up again")
asyncio.run(main())
"""


def test_the_kernel_tells_at_once() -> None:
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", _FLAPPING],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["more", "lost, though it is there again", "can be bound to", "up again"]
