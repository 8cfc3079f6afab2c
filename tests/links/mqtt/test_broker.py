"""The hub as a broker's client: what it acknowledges, and what it does when the broker goes away."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from app.errors import DoorstepError
from app.links.mqtt.broker import BrokerAt, BrokerLink
from app.links.mqtt.errors import BrokerUnusable
from app.store.errors import StoreSaturated
from app.store.prepare import open_store
from tests.links.mqtt.certificates import certificate
from tests.links.mqtt.house import TABLE, Keeper, Porter
from tests.links.mqtt.mosquitto import free_port, mosquitto
from tests.links.mqtt.test_clients import WAIT, Way, broker_way
from tests.links.mqtt.wire import publish, wire


async def test_a_report_the_disk_did_not_take_comes_again(tmp_path: Path) -> None:
    async with broker_way(tmp_path) as way, wire(way.port) as it:
        published, failing = way.keeper.published, [StoreSaturated(), StoreSaturated()]

        async def failing_twice(principal, messages):  # type: ignore[no-untyped-def]
            if failing:
                raise failing.pop()
            return await published(principal, messages)

        way.keeper.published = failing_twice  # type: ignore[method-assign]
        await it.enter()
        await it.ask(publish("dev/report", b"x", 1, 1))
        await way.until(lambda: way.published() == ["dev/report"])
        assert failing == list[DoorstepError]()


async def test_what_is_published_while_the_hub_is_down_is_heard_after(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "house")
    await store.write(lambda tx: tx.run(TABLE))
    keeper = Keeper(store)
    async with mosquitto(tmp_path / "broker") as port, wire(port) as it:
        at = BrokerAt(url=f"mqtt://127.0.0.1:{port}", client_id="hub")
        await it.enter()
        for turn in range(2):
            link = BrokerLink(at, Porter(), keeper)
            way = Way(link, keeper, port, own=False)
            link.start()
            async with asyncio.timeout(WAIT):
                await link.connected.wait()
            await way.until(lambda n=turn, way=way: len(way.published()) == 3 * n)  # type: ignore[misc]
            await link.close()
            for n in range(3):
                await it.ask(publish("dev/report", b"%d" % n, 1, n + 1))
    await store.close()


async def test_it_comes_back_to_a_broker_that_was_away(tmp_path: Path) -> None:
    port = free_port()
    store = await open_store(tmp_path / "house")
    await store.write(lambda tx: tx.run(TABLE))
    keeper = Keeper(store)
    link = BrokerLink(BrokerAt(url=f"mqtt://127.0.0.1:{port}", client_id="hub"), Porter(), keeper)
    way = Way(link, keeper, port, own=False)
    link.start()
    for turn in range(2):
        async with mosquitto(tmp_path / f"broker{turn}", port), wire(port) as it:
            async with asyncio.timeout(WAIT):
                await link.connected.wait()
            await it.enter()
            await it.ask(publish("dev/report", b"x", 1, 1))
            await way.until(lambda n=turn: len(way.published()) == n + 1)  # type: ignore[misc]
            assert link.is_online("dev")
        await way.until(lambda n=turn: keeper.log.count(("lost", "dev")) == n + 1)  # type: ignore[misc]
        assert not link.is_online("dev")
        assert not link.publish("dev", "dev/down", b"x")
        assert await link.keep("dev", "dev/down", b"x") == 0
    await link.close()
    await store.close()


async def test_what_is_retained_is_no_report(tmp_path: Path) -> None:
    async with broker_way(tmp_path) as way, wire(way.port) as it:
        await it.enter()
        await it.ask(publish("dev/report", b"x", 1, 1, retain=True))
        await way.until(lambda: len(way.published()) == 1)
        other = BrokerLink(BrokerAt(url=f"mqtt://127.0.0.1:{way.port}", client_id="another"), Porter(), way.keeper)
        other.start()
        async with asyncio.timeout(WAIT):
            await other.connected.wait()
        await it.ask(publish("dev/report", b"y", 1, 2))
        await way.until(lambda: len(way.published()) == 3)
        await other.close()


async def test_silence_is_taken_for_gone(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "house")
    await store.write(lambda tx: tx.run(TABLE))
    keeper = Keeper(store)
    async with mosquitto(tmp_path / "broker") as port, wire(port) as it:
        link = BrokerLink(BrokerAt(url=f"mqtt://127.0.0.1:{port}", client_id="hub"), Porter(), keeper, silence=0.2)
        way = Way(link, keeper, port, own=False)
        link.start()
        async with asyncio.timeout(WAIT):
            await link.connected.wait()
        await it.enter()
        await it.ask(publish("dev/report", b"x", 1, 1))
        await way.until(lambda: ("silent", "dev") in keeper.log)
        assert not link.is_online("dev")
        await link.close()
    await store.close()


def furnish(folder: Path) -> tuple[str, list[str]]:
    """A broker's certificate and its one user: the authority to trust, and the lines that name both."""
    folder.mkdir()
    authority, signing = certificate("authority", None)
    leaf, key = certificate("broker", (authority, signing))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, content in (("ca", authority.public_bytes(pem)), ("cert", leaf.public_bytes(pem)), ("key", private)):
        (folder / name).write_bytes(content)
    subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "users", "hub", "its password"], check=True)
    named = [f"{what} {folder / name}" for what, name in (("certfile", "cert"), ("keyfile", "key"))]
    return str(folder / "ca"), [*named, f"password_file {folder / 'users'}", "allow_anonymous false"]


@pytest.mark.parametrize(("password", "gets_in"), [("its password", True), ("another", False)])
async def test_over_tls_with_a_password(tmp_path: Path, password: str, gets_in: bool) -> None:
    ca, lines = await asyncio.to_thread(furnish, tmp_path / "secrets")
    store = await open_store(tmp_path / "house")
    async with mosquitto(tmp_path / "broker", more=lines) as port:
        at = BrokerAt(url=f"mqtts://localhost:{port}", client_id="hub", username="hub", password=password, ca=ca)
        link = BrokerLink(at, Porter(), Keeper(store))
        link.start()
        async with asyncio.timeout(WAIT):
            while not link.connected.is_set() and not link.failures:
                await asyncio.sleep(0.01)
        assert link.connected.is_set() is gets_in
        await link.close()
    await store.close()


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "broker:1883"])
async def test_an_url_that_is_none_is_said(url: str) -> None:
    link = BrokerLink(BrokerAt(url=url, client_id="hub"), Porter(), None)  # type: ignore[arg-type]
    with pytest.raises(BrokerUnusable):
        link.start()
