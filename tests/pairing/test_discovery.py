"""Discovery that lasts: shared by all who listen, and through changes of the network, in a namespace of its own."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from pairing import discovery as lasting
from pairing.announcement import Announcement, Gone, device_service
from pairing.discovery import Discovery
from pairing.mdns import announcing
from pairing.methods.method import MethodFailedError
from tests.pairing.test_mdns import PATIENCE, an_id, until

ROOT = Path(__file__).parents[2]
DEVICE = an_id(os.getpid() + (1 << 40))


def lamp(port: int = 4711) -> Announcement:
    return Announcement(
        id=DEVICE, product="lamp", name="Lamp", addresses=("127.0.0.1",), port=port, paired=False, auth="open"
    )


async def test_all_who_listen_hear_what_is_there_and_what_comes() -> None:
    service = device_service(DEVICE, product="lamp", port=4711, paired=False, name="Lamp")
    moved = device_service(DEVICE, product="lamp", port=4712, paired=False, name="Lamp")
    before = asyncio.all_tasks()
    heard: list[str] = []
    noting = Discovery(on_heard=lambda each, source: heard.append(source))
    async with asyncio.timeout(PATIENCE), noting as discovery, AsyncExitStack() as stack:
        first = await stack.enter_async_context(discovery.browse())
        async with announcing(service) as announcer:
            await until(first, lamp())
            second = await stack.enter_async_context(discovery.browse())
            await until(second, lamp())
            await announcer.announce(moved)
            await until(first, lamp(4712))
            await until(second, lamp(4712))
        await until(first, Gone(DEVICE))
    assert set(heard) == {"127.0.0.1"}
    assert asyncio.all_tasks() == before


async def test_who_did_not_say_goodbye_is_not_heard_by_those_who_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "FRESH", -1.0)
    stale, there = an_id(os.getpid() + (2 << 40)), DEVICE
    service = device_service(there, product="lamp", port=4711, paired=False, name="Lamp")
    async with asyncio.timeout(PATIENCE), Discovery() as discovery, announcing(service):
        discovery._heard(replace(lamp(), id=stale), "127.0.0.1")
        async with discovery.browse() as browser:
            ids = set()
            async for news in browser:
                ids.add(news.id)
                if news.id == there:
                    break
    assert stale not in ids


async def test_there_are_only_so_many_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "MAX_LISTENERS", 1)
    async with Discovery() as discovery, discovery.browse():
        with pytest.raises(MethodFailedError) as raised:
            async with discovery.browse():
                pass
        assert raised.value.facts == {"reason": "too_many_listeners"}


_CHANGING = """
import asyncio, json
from pairing.announcement import Announcement, hub_service
from pairing.discovery import Discovery, keep_announcing
from pairing.mdns import browse_hubs, announcing, device_service
from pairing.methods.method import MethodFailedError

def said(what, **facts):
    print(json.dumps({"what": what, **facts}), flush=True)

async def ip(*words):
    done = await asyncio.create_subprocess_exec("ip", *words)
    assert await done.wait() == 0, words

async def interface():
    await ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    await ip("link", "set", "lan1", "up")
    await ip("link", "set", "lan0", "up")
    await ip("addr", "add", "192.0.2.1/24", "dev", "lan0")

async def hear(browser, wanted):
    async for news in browser:
        if wanted(news):
            return news

async def main():
    device, hub = "d-" + "a" * 24, "h-" + "a" * 24
    there = hub_service(hub, link_port=8471)
    async with asyncio.timeout(60), Discovery(None) as discovery, keep_announcing(there, None):
        try:
            async with discovery.browse():
                said("heard without a network")
        except MethodFailedError as error:
            said(error.code)
        await interface()
        while not discovery.listening:
            await asyncio.sleep(0.05)
        async with discovery.browse() as browser:
            service = device_service(device, product="lamp", port=4711, paired=False)
            async with announcing(service, None) as announcer:
                first = await hear(browser, lambda n: isinstance(n, Announcement))
                said("heard", v4="192.0.2.1" in first.addresses, v6=any(":" in a for a in first.addresses))
                await ip("addr", "add", "198.51.100.1/24", "dev", "lan0")
                await announcer.refresh()
                more = await hear(browser, lambda n: "198.51.100.1" in getattr(n, "addresses", ()))
                said("heard with both", both="192.0.2.1" in more.addresses)
                async with browse_hubs(None) as hubs:
                    await hear(hubs, lambda n: "198.51.100.1" in getattr(n, "addresses", ()))
                    said("hub followed")
            await ip("link", "del", "lan0")
            await interface()
            async with announcing(device_service(device, product="plug", port=4711, paired=False), None):
                again = await hear(browser, lambda n: getattr(n, "product", "") == "plug")
                said("heard on the interface that was replaced", v4=again.addresses[0])
asyncio.run(main())
"""


def test_it_begins_without_a_network_and_follows_it_wherever_it_goes() -> None:
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", _CHANGING],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"what": "network_unavailable"},
        {"what": "heard", "v4": True, "v6": True},
        {"what": "heard with both", "both": True},
        {"what": "hub followed"},
        {"what": "heard on the interface that was replaced", "v4": "192.0.2.1"},
    ]
