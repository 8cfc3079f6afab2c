"""A home shown to another platform, from end to end over a real port: what goes up, comes down, and comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import structs

from app.control.model import Kind
from app.node import Node
from app.store.folder import TLS_CERTIFICATE
from app.sync.iotda import mapping
from tests.e2e.living import Living, living, patient
from tests.sync.iotda.street import SECRET, Street, got, moved_in, town, value
from tests.waiting import until

DIM = {"service": "light", "values": {"brightness": 300}}


pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Living, Living]]:
    async with town(tmp_path_factory.mktemp("town")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def road(nodes: tuple[Living, Living]) -> AsyncIterator[Street]:
    """A home of its own, and a gateway."""
    platform, hub = [await moved_in(node) for node in nodes]
    made = Street(platform, hub, f"n{next(_numbers)}")
    await made.register()
    yield made
    await hub.owner.delete(made.path)


# up


async def test_devices_are_added_and_their_values_told(road: Street) -> None:
    lamp = await road.bind("d-porch")
    await road.report(lamp, on=True, brightness=700)
    await road.attach()
    shown = await road.until_there(1)
    assert (shown["state"], shown["cause"], shown["apart"]) == ("connected", None, [])
    there = await road.until_here(lamp)
    seen = await road.until_seen(there, lambda it: value(it, "brightness") == 700)
    assert (seen["name"], value(seen, "on")) == ("d-porch", True)
    await road.report(lamp, on=False)
    await road.until_seen(there, lambda it: value(it, "on") is False)
    later = await road.bind("d-kitchen")
    await road.until_there(2)
    assert await road.until_here(later)


async def test_whether_a_device_is_there_is_told(road: Street) -> None:
    link = road.link()
    lamp, other = await road.bind("d-porch"), await road.bind("d-cellar")
    await road.report(other, on=True)
    link.up(lamp)
    await road.attach()
    await road.until_there(2)
    await road.until_seen(await road.until_here(lamp), lambda it: it["online"] is True)
    # It has values, and they are told of one that is not there as well.
    seen = await road.until_seen(await road.until_here(other), lambda it: value(it, "on") is True)
    there = await road.until_here(lamp)
    road.hub.node.services.devices.presence.lost(lamp)
    await road.until_seen(there, lambda it: it["online"] is False)
    await road.until_seen(seen["id"], lambda it: it["online"] is False)


async def test_what_the_platform_will_not_have_is_shown(road: Street) -> None:
    await road.bind("d-porch")
    bridge = await road.bind("d-bridge", product="gateway")
    await road.attach()
    shown = await road.until(lambda it: it["devices"]["there"] == 1 and it["devices"]["refused"] == 1)
    (apart,) = shown["apart"]
    assert (apart["device_id"], apart["stage"]) == (bridge, "refused")
    assert apart["why"].startswith("IOTDA.014037 ")


# down


async def test_properties_are_set_through(road: Street) -> None:
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    there = await road.until_here(lamp)
    asked = road.asking(there, **DIM)
    command = await link.next()
    assert (command.kind, command.body.values, command.account_id) == (Kind.SET, {"brightness": 300}, road.owner)
    await link.answer(command)
    assert (await asked)["state"] == "answered"
    await road.until_seen(there, lambda it: value(it, "brightness") == 300)


async def test_commands_are_called_and_values_read_through(road: Street) -> None:
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    there = await road.until_here(lamp)
    asked = road.asking(there, service="light", kind="call", name="blink", params={"times": 3})
    command = await link.next()
    assert (command.kind, command.body.name, command.body.params) == (Kind.CALL, "blink", {"times": 3})
    await link.answer(command, values={})
    assert (await asked)["state"] == "answered"
    asked = road.asking(there, service="light", kind="get")
    command = await link.next()
    await link.answer(command, values={"brightness": 12, "on": True})
    ended = await asked
    assert ended["outcome"]["values"] == {"brightness": 12, "on": True}


async def test_what_a_device_answers_while_the_platform_is_away_is_told_later(road: Street) -> None:
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    asked = road.asking(await road.until_here(lamp), **DIM)
    command = await link.next()
    await road.attach(secret="not-the-secret")
    await road.until(lambda it: it["cause"] == "credentials")
    await link.answer(command)
    await road.attach()
    assert (await asked)["state"] == "answered"


async def test_one_connection_carries_more_than_its_window(road: Street) -> None:
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    there = await road.until_here(lamp)
    for some in range(8):
        asked = [road.asking(there, service="light", values={"brightness": 100 + 10 * some + n}) for n in range(10)]
        for _ in asked:
            await link.answer(await link.next())
        assert {(await each)["state"] for each in asked} == {"answered"}


async def test_what_a_device_refuses_is_told(road: Street) -> None:
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    asked = road.asking(await road.until_here(lamp), **DIM)
    await link.answer(await link.next(), ok=False, values={}, error="too_hot")
    ended = await asked
    assert (ended["state"], ended["outcome"]["error"]) == ("failed", "too_hot")


async def test_what_the_hub_refuses_is_told(road: Street) -> None:
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    there = await road.until_here(lamp)
    await road.until_seen(there, lambda it: it["online"] is True)
    link.kinds = {Kind.GET}
    ended = await road.asking(there, **DIM)
    assert (ended["state"], ended["outcome"]["error"].partition(":")[0]) == ("failed", "link_cannot")


async def test_a_device_that_does_not_answer_is_told_of_in_time(road: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "EXPIRES_AFTER_S", 0.1)
    link = road.link()
    lamp = await road.bind("d-porch")
    link.up(lamp)
    await road.attach()
    ended = await road.asking(await road.until_here(lamp), **DIM)
    assert (ended["state"], ended["outcome"]["error"].partition(":")[0]) == ("failed", "expired")


async def test_a_wish_of_the_platform_is_taken_over_once(road: Street) -> None:
    lamp = await road.bind("d-porch")
    await road.attach()
    await road.until_there(1)
    there = await road.until_here(lamp)
    await road.attach(secret="not-the-secret")
    await road.until(lambda it: it["cause"] == "credentials")
    await road.desire(road.platform, there, brightness=300)
    await road.attach()
    here = f"/api/devices/{lamp}"
    await until(lambda: got(road.hub, here), lambda it: wanted(it) == 300)
    await road.desire(road.hub, lamp, brightness=500)
    before = (await road.shown())["last_contact_at"]
    await road.attach()
    await road.until(lambda it: it["state"] == "connected" and it["last_contact_at"] > before)
    other = await road.bind("d-cellar")
    await road.until_there(2)
    assert await road.until_here(other)
    assert wanted(await got(road.hub, here)) == 500


def wanted(shown: Any) -> Any:
    return shown["services"].get("light", {"desired": {}})["desired"].get("brightness", {}).get("value")


# coming and going


async def test_what_leaves_the_home_is_deleted_there(road: Street) -> None:
    lamp, other = await road.bind("d-porch"), await road.bind("d-cellar")
    await road.attach()
    await road.until_there(2)
    assert (await road.hub.owner.delete(f"/api/devices/{lamp}")).status_code == 204
    shown = await road.until_there(1)
    assert shown["devices"]["removed"] == 0
    assert road.there(lamp) is None
    assert road.there(other) is not None


async def test_what_the_platform_lets_go_stays_away_until_it_is_paired_anew(road: Street) -> None:
    lamp, other = await road.bind("d-porch"), await road.bind("d-cellar")
    await road.attach()
    await road.until_there(2)
    there = await road.until_here(lamp)
    assert (await road.platform.owner.delete(f"/api/devices/{there}")).status_code == 204
    shown = await road.until(lambda it: it["devices"]["removed"] == 1)
    assert [(each["device_id"], each["stage"]) for each in shown["apart"]] == [(lamp, "removed")]
    await road.attach()
    await road.report(other, brightness=321)
    await road.until_seen(await road.until_here(other), lambda it: value(it, "brightness") == 321)
    assert (await road.shown())["devices"]["removed"] == 1
    assert road.there(lamp) is None
    assert await road.bind("d-porch") == lamp
    await road.until_there(2)
    assert road.there(lamp) is not None


async def test_after_detaching_nothing_is_told(road: Street) -> None:
    lamp = await road.bind("d-porch")
    await road.attach()
    await road.until_there(1)
    there = await road.until_here(lamp)
    assert (await road.hub.owner.delete(road.path)).status_code == 204
    assert (await road.hub.owner.get(road.path)).status_code == 404
    assert (await road.hub.owner.delete(road.path)).status_code == 404
    await road.report(lamp, brightness=50)
    await road.until_gateway(online=False)
    assert value(await road.seen(there), "brightness") is None
    await road.attach()
    await road.until_there(1)
    await road.until_seen(there, lambda it: value(it, "brightness") == 50)


async def test_a_home_that_ends_is_shown_no_more(road: Street) -> None:
    await road.attach()
    await road.until(lambda it: it["state"] == "connected")
    body = {"name": "Lindenweg", "members": "remove", "devices": "remove"}
    ended = await road.hub.owner.post(f"/api/homes/{road.hub.home_id}/dissolve", json=body)
    assert ended.is_success, ended.text
    await road.until_gateway(online=False)


# connections


async def test_a_wrong_secret_is_said_so_and_a_right_one_connects(road: Street) -> None:
    made = await road.attach(secret="not-the-secret")
    assert made["device_id"] == road.gateway
    shown = await road.until(lambda it: it["cause"] == "credentials")
    assert "secret" in shown["hint"]
    await road.attach()
    await road.until(lambda it: it["state"] == "connected")


async def test_nobody_there_is_said_so(road: Street) -> None:
    await road.attach(url="mqtt://127.0.0.1:9")
    shown = await road.until(lambda it: it["cause"] == "unreachable")
    assert shown["state"] in ("waiting", "connecting")


async def test_what_speaks_no_tls_is_said_so(road: Street) -> None:
    await road.attach(url=road.url.replace("mqtt:", "mqtts:"))
    await road.until(lambda it: it["cause"] == "tls")


async def test_the_platform_has_to_prove_itself(tmp_path: Path) -> None:
    more: dict[str, Any] = {"role": "cloud", "mqtt": True, "tls": True}
    async with living(tmp_path / "platform", **more) as platform, living(tmp_path / "hub") as hub:
        await platform.claim()
        await hub.claim()
        road = Street(platform, hub)
        await road.register()
        assert platform.node.mqtt is not None
        url = f"mqtts://127.0.0.1:{platform.node.mqtt.ports['tls']}"
        await road.attach(url=url)
        await road.until(lambda it: it["cause"] == "untrusted")
        await road.attach(url=url, ca=await asyncio.to_thread(certificate_of, platform))
        await road.until(lambda it: it["state"] == "connected")


def certificate_of(node: Living) -> str:
    """PEM."""
    return (node.node.settings.data / TLS_CERTIFICATE).read_text()


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://127.0.0.1:1883"},
        {"url": "mqtt://"},
        {"url": "mqtt://somebody:secret@host"},
        {"url": "mqtt://host/path"},
        {"url": "mqtt://host:99999"},
        {"device_id": "a/b"},
        {"secret": "short"},
        {"ca": "no certificate"},
        {"more": 1},
    ],
)
async def test_what_cannot_be_attached_is_refused(road: Street, fields: dict[str, Any]) -> None:
    body = {"url": road.url, "device_id": road.gateway, "secret": SECRET, **fields}
    answer = await road.hub.owner.put(road.path, json=body)
    assert answer.status_code == 400, answer.text
    assert (await road.hub.owner.get(road.path)).status_code == 404


async def test_a_cloud_is_no_gateway(road: Street) -> None:
    body = {"url": road.url, "device_id": road.gateway, "secret": SECRET}
    answer = await road.platform.owner.put(f"/api/homes/{road.platform.home_id}/iotda-upstream", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "upstream_at_a_cloud")


async def test_who_owns_the_home_no_more_has_it_shown_no_more(road: Street) -> None:
    lamp = await road.bind("d-porch")
    await road.attach()
    await road.until_there(1)
    there = await road.until_here(lamp)
    bob = await road.hand_over()
    shown = await until(lambda: got(bob, road.path), lambda it: it["state"] == "paused")
    assert shown["cause"] == "right_lost"
    await road.report(lamp, brightness=50)
    await road.until_gateway(online=False)
    assert value(await road.seen(there), "brightness") is None
    body = {"url": road.url, "device_id": road.gateway, "secret": SECRET}
    assert (await road.hub.owner.put(road.path, json=body)).status_code == 403
    assert (await bob.owner.put(road.path, json=body)).status_code == 200
    await road.until_seen(there, lambda it: value(it, "brightness") == 50)


async def test_a_platform_that_comes_back_hears_of_what_happened_meanwhile(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        async with living(tmp_path / "platform", role="cloud", mqtt=True) as platform:
            await platform.claim()
            road = Street(platform, hub)
            await road.register()
            kept, left = await road.bind("d-porch"), await road.bind("d-cellar")
            await road.report(kept, brightness=1)
            await road.attach()
            await road.until_there(2)
            there = await road.until_here(kept)
            token, port = platform.owner.headers["authorization"], road.port
            home_id = platform.home_id
        await road.until(lambda it: it["state"] == "waiting")
        assert (await hub.owner.delete(f"/api/devices/{left}")).status_code == 204
        for brightness in range(2, 40):
            await road.report(kept, brightness=brightness)
        new = await road.bind("d-attic")
        settings = structs.replace(patient(tmp_path / "platform"), role="cloud", mqtt=True, mqtt_port=port)
        node = Node(settings)
        await node.start()
        try:
            road.platform = again = Living(node)
            again.owner, again.home_id = again.client(token.removeprefix("Bearer ")), home_id
            await road.until_there(2)
            await road.until_seen(there, lambda it: value(it, "brightness") == 39)
            assert road.there(left) is None
            assert road.there(new) is not None
        finally:
            await again.owner.aclose()
            node.end_streams()
            await node.stop()
