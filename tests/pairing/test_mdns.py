"""Announcing and browsing over real multicast on loopback, and what is made of hostile announcements."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from pairing import mdns
from pairing.mdns import (
    DEVICE_SERVICE,
    Announcement,
    Gone,
    HubAnnouncement,
    announcing,
    browse_devices,
    browse_hubs,
    device_service,
    hub_service,
    parse_device,
    parse_hub,
)
from pairing.mdns.hearing import _text
from pairing.methods.method import MethodFailedError

PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


def an_id(number: int, kind: str = "d") -> str:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return f"{kind}-" + "".join(letters[(number >> 5 * i) & 31] for i in range(24))


# Of this process: tests that run beside this one announce on the same loopback.
DEVICE = an_id(os.getpid())
HUB = an_id(os.getpid(), "h")


async def until(news: AsyncIterator[Any], wanted: Any) -> None:
    """Read on until exactly this is heard."""
    async with asyncio.timeout(PATIENCE):
        async for heard in news:
            if heard == wanted:
                return


def lamp(**more: Any) -> Announcement:
    known: dict[str, Any] = {"id": DEVICE, "product": "lamp", "name": "Lamp", "addresses": ("127.0.0.1",)}
    return Announcement(**{**known, "port": 4711, "paired": False, "auth": "pin", **more})


async def test_a_device_is_heard_changes_and_says_goodbye() -> None:
    before = asyncio.all_tasks()
    free = device_service(DEVICE, product="lamp", port=4711, paired=False, auth="pin", name="Lamp")
    bound = device_service(DEVICE, product="lamp", port=4711, paired=True, auth="pin", name="Lamp")
    async with browse_devices() as browser:
        async with announcing(free) as announcer:
            await until(browser, lamp())
            await announcer.announce(bound)
            await until(browser, lamp(paired=True))
            await announcer.refresh()
        await until(browser, Gone(DEVICE))
    assert asyncio.all_tasks() == before


async def test_a_device_that_was_there_first_is_heard() -> None:
    service = device_service(DEVICE, product="lamp", port=4711, paired=False, auth="pin", name="Lamp")
    async with announcing(service), browse_devices() as browser:
        await until(browser, lamp())


async def test_a_hub_is_heard() -> None:
    async with announcing(hub_service(HUB, link_port=8471)), browse_hubs() as browser:
        await until(browser, HubAnnouncement(id=HUB, addresses=("127.0.0.1",), port=8471))


async def test_browsing_can_be_cancelled_while_it_listens() -> None:
    before = asyncio.all_tasks()

    async def listen(started: asyncio.Event) -> None:
        async with browse_devices() as browser:
            started.set()
            async for _ in browser:
                pass

    started = asyncio.Event()
    listening = asyncio.create_task(listen(started))
    async with asyncio.timeout(PATIENCE):
        await started.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert asyncio.all_tasks() == before


_IN_A_NAMESPACE = """
import asyncio, json
from pairing.mdns import LOOPBACK, announcing, browse_devices, device_service
async def main():
    service = device_service("%s", product="lamp", port=4711, paired=False)
    async with announcing(service, %s), browse_devices(%s) as browser:
        async with asyncio.timeout(20):
            async for heard in browser:
                print(json.dumps([heard.id, heard.addresses]))
                return
asyncio.run(main())
"""


@pytest.mark.parametrize("interfaces", ["LOOPBACK", "None"])
def test_it_works_where_there_is_nothing_but_loopback(interfaces: str) -> None:
    program = _IN_A_NAMESPACE % (DEVICE, interfaces, interfaces)
    script = f"ip link set lo up && exec {sys.executable} -c '{program}'"
    done = subprocess.run(
        ["unshare", "-Urn", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [DEVICE, ["127.0.0.1"]]


SOUND = {"v": "1", "id": DEVICE, "p": "lamp", "s": "0", "a": "pin", "n": "Lamp"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"v": "2"},
        {"v": None},
        {"id": "d-UPPER"},
        {"id": DEVICE + "a"},
        {"id": "../../etc/passwd"},
        {"p": "a b"},
        {"p": "x" * 65},
        {"p": None},
        {"s": "2"},
        {"a": "none"},
    ],
)
def test_an_unsound_announcement_is_none(wrong: dict[str, str | None]) -> None:
    assert parse_device(SOUND, ("192.0.2.1",), 80) is not None
    assert parse_device({**SOUND, **wrong}, ("192.0.2.1",), 80) is None


def test_an_announcement_without_address_or_port_is_none() -> None:
    assert parse_device(SOUND, (), 80) is None
    assert parse_device(SOUND, ("192.0.2.1",), None) is None
    assert parse_hub({"v": "1", "id": HUB, "lp": "81"}, ("192.0.2.1",), 80) is None


# Building the table of characters, the first time, is what takes long.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["v", "id", "p", "s", "a", "n", "lp"]), st.none() | st.text(max_size=80)))
def test_no_text_record_does_harm(txt: dict[str, str | None]) -> None:
    heard = parse_device({**SOUND, **txt}, ("192.0.2.1",), 80)
    assert heard is None or (heard.name.isprintable() and len(heard.name) <= 64)
    assert parse_hub({**txt, "id": "x"}, ("192.0.2.1",), 80) is None


def test_text_that_is_no_utf8_is_left_out() -> None:
    properties: dict[bytes, bytes] = {k.encode(): v.encode() for k, v in SOUND.items()} | {b"n": b"\xff\xfe"}
    info = ServiceInfo(DEVICE_SERVICE, f"x.{DEVICE_SERVICE}", 80, properties=properties, parsed_addresses=["192.0.2.1"])
    heard = parse_device(_text(info), ("192.0.2.1",), info.port)  # type: ignore[arg-type]
    assert heard is not None
    assert heard.name == ""


def test_own_addresses() -> None:
    assert mdns.own_addresses(("127.0.0.1",)) == ["127.0.0.1"]
    found = mdns.own_addresses(None)
    assert found
    assert found == ["127.0.0.1"] or not any(a.startswith("127.") or a == "::1" for a in found)


async def test_an_address_this_machine_has_not_is_a_cause(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    with pytest.raises(MethodFailedError) as raised:
        async with browse_devices(("203.0.113.9",)):
            pass
    assert raised.value.code == "network_unavailable"


async def test_cancelled_again_while_it_closes_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    real, closing, go_on, closed = AsyncZeroconf.async_close, asyncio.Event(), asyncio.Event(), list[bool]()

    async def slow(zeroconf: AsyncZeroconf) -> None:
        closing.set()
        await go_on.wait()
        await real(zeroconf)
        closed.append(True)

    async def browse() -> None:
        async with browse_devices():
            await asyncio.Event().wait()

    monkeypatch.setattr(AsyncZeroconf, "async_close", slow)
    browsing = asyncio.create_task(browse())
    await asyncio.sleep(0)
    browsing.cancel()
    async with asyncio.timeout(PATIENCE):
        await closing.wait()
        browsing.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await browsing
    assert closed == [True]
