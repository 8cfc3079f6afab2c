"""The same endpoint behind TLS and WebSocket, and as a hub's settings open it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.links.mqtt import trust
from app.links.mqtt.faces import MqttFaces, PortUnusable, Speakers, limits_of
from app.links.mqtt.limits import Limits as Own
from app.links.mqtt.ports import MqttLink
from app.node import Node
from app.settings import Limits, Settings
from app.store.prepare import open_store
from app.store.store import Store
from tests.links.mqtt.certificates import certificate
from tests.links.mqtt.house import SECRET, TABLE, Keeper, Porter, house
from tests.links.mqtt.mosquitto import mosquitto
from tests.links.mqtt.wire import PING, Wire, connect, publish, wire

WAIT = 20.0
CONNACK = b"\x20\x02\x00\x00"


class Device:
    """A device's key and certificate, signed by an authority of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.file = folder / "device.pem"
        authority, signing = certificate(f"authority of {folder.name}", None)
        signed, key = certificate("device", (authority, signing))
        pem = serialization.Encoding.PEM
        self.authorities = authority.public_bytes(pem).decode()
        self.der = signed.public_bytes(serialization.Encoding.DER)
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.file.write_bytes(private + signed.public_bytes(pem))


class Hub:
    """Faces over a store, as `Node` holds them."""

    def __init__(self, store: Store, settings: Settings, authorities: str = "") -> None:
        self.porter, self.keeper = Porter(), Keeper(store)
        self.links: list[MqttLink] = []
        self.authorities = authorities
        speakers = Speakers(self.porter, self.keeper, self.porter, self.links.append, lambda: self.authorities)
        self.faces = MqttFaces(store, settings, speakers, "h-1")


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "hub", mqtt_port=0, mqtt_tls_port=0, mqtt_websocket_port=0)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = await open_store(settings.data)
    await opened.write(lambda tx: tx.run(TABLE))
    yield opened
    await opened.close()


@pytest.fixture
async def hub(store: Store, settings: Settings, device: Device) -> AsyncIterator[Hub]:
    made = Hub(store, settings, device.authorities)
    await made.faces.open()
    yield made
    await made.faces.close()


def trusting(device: Device | None = None) -> ssl.SSLContext:
    """A client's context; whom it trusts is not what is tested here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if device is not None:
        context.load_cert_chain(device.file)
    return context


async def entered(hub: Hub, context: ssl.SSLContext, name: str = "device") -> Wire:
    it = Wire(*await asyncio.open_connection("127.0.0.1", hub.faces.ports["tls"], ssl=context))
    try:
        await it.enter(name)
    except BaseException:
        it.cut()
        raise
    return it


async def test_over_tls_a_certificate_is_handed_to_admission_or_not_needed(hub: Hub, device: Device) -> None:
    for shown, expected in ((None, None), (device, device.der)):
        context = await asyncio.to_thread(trusting, shown)
        it = await entered(hub, context)
        assert await it.silent()
        assert hub.porter.offered[-1].certificate == expected
        await it.leave()


async def test_a_certificate_nobody_vouches_for_does_not_come_in(hub: Hub, tmp_path: Path) -> None:
    context = await asyncio.to_thread(lambda: trusting(Device(tmp_path / "other")))
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await entered(hub, context)
    assert hub.porter.offered == []


async def test_who_does_not_finish_the_handshake_counts(store: Store, settings: Settings) -> None:
    few = replace(settings, limits=Limits(mqtt_connections_per_address=2))
    hub = Hub(store, few)
    await hub.faces.open()
    assert hub.faces.endpoint is not None
    port = hub.faces.ports["tls"]
    silent = [Wire(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(3)]
    assert await silent[2].closed() == b""
    for it in silent:
        it.cut()
    context = await asyncio.to_thread(trusting)
    async with asyncio.timeout(WAIT):
        while hub.faces.endpoint._clients:
            await asyncio.sleep(0.01)
    it = await entered(hub, context)
    assert (await it.ask(publish("dev/a", b"x", 1, 1))) == b"\x40\x00\x01"
    await it.leave()
    await hub.faces.close()


def shown(hub: Hub) -> bytes | None:
    """The certificate of who came last."""
    return hub.porter.offered[-1].certificate


async def looked(hub: Hub, authorities: str) -> None:
    """Whom it trusts has changed, and was looked at."""
    hub.authorities = authorities
    assert hub.faces.trust is not None
    await hub.faces.trust.look()


async def test_an_authority_is_trusted_while_it_is_named(hub: Hub, device: Device, tmp_path: Path) -> None:
    later = await asyncio.to_thread(Device, tmp_path / "later")
    context, former = await asyncio.to_thread(lambda: (trusting(later), trusting(device)))
    # A TLS session is kept by the context: one that began under an authority does not outlive it.
    before = await entered(hub, former, "before")
    await looked(hub, later.authorities)
    it = await entered(hub, context)
    assert shown(hub) == later.der
    await it.leave()
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await entered(hub, former)
    assert await before.ask(PING) == b"\xd0"
    await before.leave()
    await looked(hub, "")
    it = await entered(hub, context)
    assert shown(hub) is None
    await it.leave()


async def test_authorities_that_cannot_be_read_change_nothing(hub: Hub, device: Device) -> None:
    context = await asyncio.to_thread(trusting, device)
    for nonsense in ("no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\xe4"):
        await looked(hub, nonsense)
        it = await entered(hub, context)
        assert shown(hub) == device.der
        await it.leave()


async def test_they_are_looked_at_again_and_again(
    store: Store, settings: Settings, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "LOOK_EVERY_S", 0.02)
    hub = Hub(store, settings)
    await hub.faces.open()
    context = await asyncio.to_thread(trusting, device)
    hub.authorities = device.authorities
    async with asyncio.timeout(WAIT):
        while not hub.porter.offered or hub.porter.offered[-1].certificate is None:
            it = await entered(hub, context)
            await it.leave()
    await hub.faces.close()


async def test_over_websocket_packets_are_cut_anywhere(hub: Hub) -> None:
    context = await asyncio.to_thread(trusting)
    url = f"wss://127.0.0.1:{hub.faces.ports['wss']}/mqtt"
    async with asyncio.timeout(WAIT), websocket(url, ssl=context, subprotocols=["mqtt"]) as it:  # type: ignore[list-item]
        assert it.subprotocol == "mqtt"
        said = connect() + publish("dev/a", b"x", 1, 7)
        for at in range(0, len(said), 5):
            await it.send(said[at : at + 5])
        got = b""
        while len(got) < 8:
            got += bytes(await it.recv(decode=False))
        assert got == CONNACK + b"\x40\x02\x00\x07"
        await it.send(PING)
        assert await it.recv() == b"\xd0\x00"


async def test_websocket_without_the_subprotocol_or_with_text_is_refused(hub: Hub) -> None:
    context = await asyncio.to_thread(trusting)
    url = f"wss://127.0.0.1:{hub.faces.ports['wss']}/mqtt"
    with pytest.raises(InvalidStatus):
        await websocket(url, ssl=context)
    async with asyncio.timeout(WAIT), websocket(url, ssl=context, subprotocols=["mqtt"]) as it:  # type: ignore[list-item]
        await it.send("text")
        with pytest.raises(ConnectionClosed) as closed:
            await it.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


HOSTILE = (
    b"\x00" * 100,
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 1000 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x" * 100_000,
)
GREETING = (
    b"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
# Not masked, reserved bits, a control frame that is too long, a frame of 2^63 octets.
FRAMES = (b"\x82\x01x", b"\xf2\x80\0\0\0\0", b"\x89\xfe\x01\x00", b"\x82\xff\x7f" + b"\xff" * 7 + b"\0" * 4)


async def test_what_is_no_websocket_is_closed(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Own(handshake=0.2)) as made:
        port = await made.endpoint.listen("127.0.0.1", 0, websocket=True)
        for said in (*HOSTILE, *(GREETING + frame for frame in FRAMES)):
            async with wire(port) as it:
                it.say(said)
                assert b"HTTP/1.1 101" in await it.closed() or not said.startswith(GREETING)
        async with asyncio.timeout(WAIT):
            while made.endpoint._clients:
                await asyncio.sleep(0.01)


async def test_paho_over_tls_and_websocket(hub: Hub) -> None:
    context = await asyncio.to_thread(trusting)
    for transport, face in (("tcp", "tls"), ("websockets", "wss")):
        chosen: Any = transport
        client = paho.Client(CallbackAPIVersion.VERSION2, "paho", transport=chosen)
        client.username_pw_set("dev", SECRET.decode())
        client.tls_set_context(context)
        client.tls_insecure_set(True)
        await asyncio.to_thread(client.connect, "127.0.0.1", hub.faces.ports[face])
        await asyncio.to_thread(client.loop_start)
        sent = client.publish("dev/a", b"x" * 100_000, 1)
        await asyncio.to_thread(sent.wait_for_publish, WAIT)
        assert sent.is_published()
        await asyncio.to_thread(client.disconnect)
        await asyncio.to_thread(client.loop_stop)


async def test_a_port_that_is_taken_is_named(hub: Hub, store: Store, settings: Settings) -> None:
    taken = Settings(data=settings.data, mqtt_port=hub.faces.ports["tcp"], tls=False)
    other = Hub(store, taken)
    with pytest.raises(PortUnusable, match=str(hub.faces.ports["tcp"])):
        await other.faces.open()
    await other.faces.close()


async def test_a_hub_opens_them_where_mqtt_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path / "hub", port=0, link_port=0, mqtt_port=0, tls=False)
    silent = Node(replace(settings, mqtt=False))
    await silent.start()
    assert silent.mqtt is None
    await silent.stop()
    node, reach = Node(settings), Node._reach_devices

    async def with_speakers(self: Node) -> None:
        await self.store.write(lambda tx: tx.run(TABLE))
        porter, keeper = Porter(), Keeper(self.store)
        self.services.mqtt = Speakers(porter, keeper, porter, lambda _: None)
        await reach(self)

    monkeypatch.setattr(Node, "_reach_devices", with_speakers)
    await node.start()
    try:
        assert node.mqtt is not None
        assert list(node.mqtt.ports) == ["tcp"]
        it = Wire(*await asyncio.open_connection("127.0.0.1", node.mqtt.ports["tcp"]))
        await it.enter()
        counted = await asyncio.to_thread(node.metrics.render)
        assert b"doorstep_mqtt_clients 1.0" in counted
        assert b"doorstep_mqtt_connections_connected 1.0" in counted
        await it.leave()
    finally:
        await node.stop()


async def test_with_a_broker_it_is_a_client_and_listens_nowhere(tmp_path: Path, store: Store) -> None:
    async with mosquitto(tmp_path / "broker") as port:
        made = Hub(store, Settings(data=tmp_path / "hub", mqtt_broker=f"mqtt://127.0.0.1:{port}"))
        await made.faces.open()
        try:
            assert made.faces.ports == {}
            assert made.links == [made.faces.broker]
            assert made.faces.broker is not None
            async with asyncio.timeout(WAIT):
                await made.faces.broker.connected.wait()
        finally:
            await made.faces.close()


def test_limits_are_the_hubs(tmp_path: Path) -> None:
    chosen = Settings(data=tmp_path, limits=Limits(mqtt_packet_bytes=2048, mqtt_window=3))
    assert (limits_of(chosen).packet, limits_of(chosen).window) == (2048, 3)
