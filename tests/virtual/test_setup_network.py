"""A virtual device's setup network over real sockets: our client provisions it, hostile ones get nowhere."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from app.virtual import setup_http, setup_tuya
from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connected, Connecting
from pairing.ap.tuya_setup import TuyaSetup
from pairing.errors import ConnectionLostError, MalformedMessageError, PeerSilentError, ProofFailedError
from pairing.protocomm.calls import MAX_BODY, Call, EndpointRefusedError
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.wifi import Provisioned, WifiNetwork
from tests.pairing.protocomm.provisioning import POP, TOKEN, Lamp

HOST = "127.0.0.1"
HOME = WifiNetwork("Zuhause ☕", "höchst geheim")


def setup_of(carrier: HttpCarrier, pop: str = POP, patience: float = 5.0) -> ProtocommSetup:
    return ProtocommSetup(carrier.ask, Proof(pop), entropy=Random(5).randbytes, reach_patience=patience)


@pytest.mark.parametrize("scheme", [1, 2])
async def test_our_client_provisions_a_virtual_device_over_http(scheme: int) -> None:
    lamp = Lamp(scheme)
    async with setup_http.serving(lamp.device, HOST) as port, HttpCarrier(HOST, port) as carrier:
        setup = setup_of(carrier)
        assert [seen.ssid for seen in await setup.scan()] == [f"Net {n}" for n in range(9)]
        assert await setup.status() == Connecting()
        assert await setup.send(HOME, TOKEN) is True
        assert lamp.told == [Provisioned(HOME, TOKEN)]
        assert await setup.status() == Connected("192.0.2.7")


@pytest.mark.parametrize("scheme", [1, 2])
async def test_a_wrong_proof_of_possession_is_refused_over_http(scheme: int) -> None:
    lamp = Lamp(scheme)
    async with setup_http.serving(lamp.device, HOST) as port, HttpCarrier(HOST, port) as carrier:
        with pytest.raises(ProofFailedError):
            await setup_of(carrier, "wrong").send(HOME, TOKEN)
        assert lamp.told == []


async def test_nobody_there_is_said_after_the_first_calls_patience() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    async with HttpCarrier(HOST, port) as carrier:
        with pytest.raises(ConnectionLostError):
            await setup_of(carrier, patience=0.0).scan()


async def test_a_device_that_comes_late_is_waited_for() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    lamp = Lamp(1)
    async with HttpCarrier(HOST, port) as carrier:
        sending = asyncio.create_task(setup_of(carrier, patience=30.0).send(HOME, TOKEN))
        await asyncio.sleep(0)
        async with setup_http.serving(lamp.device, HOST, port):
            assert await sending is True


async def test_the_datagram_is_heard_once_however_often_it_comes() -> None:
    told: list[Provisioned] = []
    heard = asyncio.Event()

    def join(provisioned: Provisioned) -> None:
        told.append(provisioned)
        heard.set()

    async with setup_tuya.listening(join, HOST, 0) as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            stranger.sendto(b"nonsense", (HOST, port))
        setup = TuyaSetup((HOST,), port=port)
        assert await setup.scan() == ()
        assert await setup.send(HOME, TOKEN) is True
        async with asyncio.timeout(10):
            await heard.wait()
        assert await setup.status() == Connecting()
    assert told == [Provisioned(HOME, TOKEN)]


async def test_a_datagram_no_route_takes_is_said() -> None:
    with pytest.raises(ConnectionLostError):
        await TuyaSetup((HOST,), interface="no-such-if0").send(HOME, TOKEN)


async def said_to_it(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(raw)
        writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /proto-ver HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /nonsense HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
        (b"POST /prov-session HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\xff\xff\xff", 400),
        (b"POST /prov-config HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n\x00", 404),
        (b"POST /prov-scan HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + bytes(5000), 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
async def test_a_device_answers_bad_requests_as_such(raw: bytes, status: int) -> None:
    async with setup_http.serving(Lamp().device, HOST) as port:
        assert (await said_to_it(port, raw)).startswith(b"HTTP/1.1 %d " % status)
        assert (await said_to_it(port, b"POST /proto-ver HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_noise_never_takes_the_setup_network_down() -> None:
    chance = Random(9)
    starts = (b"POST /prov-session HTTP/1.1\r\nHost: x\r\n", b"POST ", b"")
    async with setup_http.serving(Lamp().device, HOST) as port:
        for _ in range(60):
            await said_to_it(port, chance.choice(starts) + chance.randbytes(chance.randrange(200)))
        assert (await said_to_it(port, b"POST /proto-ver HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_more_clients_than_a_device_holds_are_hung_up_on() -> None:
    async with setup_http.serving(Lamp().device, HOST) as port:
        held = [await asyncio.open_connection(HOST, port) for _ in range(setup_http.MAX_CONNECTIONS + 1)]
        try:
            async with asyncio.timeout(10):
                assert await hung_up(held[-1][0])
        finally:
            for _, writer in held:
                writer.close()


async def hung_up(reader: asyncio.StreamReader) -> bool:
    try:
        return not await reader.read(1)
    except ConnectionResetError:
        return True


@asynccontextmanager
async def impostor(answer: bytes) -> AsyncIterator[HttpCarrier]:
    """A carrier to a device that answers so, and hangs up."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(accept, HOST, 0)
    async with server, HttpCarrier(HOST, server.sockets[0].getsockname()[1]) as carrier:
        yield carrier


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", ConnectionLostError),
        (b"nonsense\r\n\r\n", ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", ConnectionLostError),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", EndpointRefusedError),
        (b"HTTP/1.1 302 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", EndpointRefusedError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(MAX_BODY + 1), MalformedMessageError),
    ],
)
async def test_a_devices_bad_answers_are_our_errors(answer: bytes, expected: type[Exception]) -> None:
    async with impostor(answer) as carrier:
        with pytest.raises(expected):
            await carrier.ask(Call("proto-ver", b"", "reaching"))


async def test_what_a_device_compressed_is_not_unpacked() -> None:
    packed = b"\x1f\x8b\x08\x00" + bytes(16)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with impostor(head + packed) as carrier:
        assert await carrier.ask(Call("proto-ver", b"", "reaching")) == packed


async def test_a_silent_device_is_told_from_a_lost_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairing.protocomm.http.TIMEOUT", 0.2)
    with socket.create_server((HOST, 0)) as silent:
        async with HttpCarrier(HOST, silent.getsockname()[1]) as carrier:
            with pytest.raises(PeerSilentError):
                await carrier.ask(Call("proto-ver", b"", "reaching"))
