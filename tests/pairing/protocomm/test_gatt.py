"""ESP-IDF's provisioning over GATT: the same device and client as over HTTP, told apart by nothing but the carrier."""

from collections.abc import Callable
from random import Random

import pytest

from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connected
from pairing.errors import MalformedMessageError, ProofFailedError
from pairing.protocomm import calls
from pairing.protocomm.calls import Call, EndpointRefusedError
from pairing.protocomm.client import Proof
from pairing.protocomm.gatt import NAMED_BY, SERVICE, GattCarrier
from pairing.wifi import Provisioned, WifiNetwork
from tests.pairing.gatt.table import Characteristic, TableConnection
from tests.pairing.protocomm.provisioning import POP, TOKEN, Lamp

ENDPOINTS = (calls.SESSION, calls.CONFIG, calls.VERSION, calls.SCAN, calls.HANDOVER)


def table_of(lamp: Lamp) -> dict[str, Characteristic]:
    """What the lamp offers: each endpoint written to keeps its answer until it is read."""
    answers: dict[str, bytes] = {}

    def writing(endpoint: str) -> Callable[[bytes], None]:
        def write(body: bytes) -> None:
            try:
                answers[endpoint] = lamp.answer(Call(endpoint, body, ""))
            except EndpointRefusedError:
                connection_lost(lamp)
                answers[endpoint] = b""

        return write

    return {
        f"021aff{50 + n:02x}-0382-4aea-bff4-6b3f1c5adfb4": Characteristic(
            SERVICE,
            read=lambda endpoint=endpoint: answers.get(endpoint, b""),  # type: ignore[misc]
            write=writing(endpoint),
            descriptors={NAMED_BY: endpoint.encode()},
        )
        for n, endpoint in enumerate(ENDPOINTS)
    }


def connection_lost(lamp: Lamp) -> None:
    lamp.device.forget_session()


@pytest.mark.parametrize("scheme", [1, 2])
async def test_a_device_is_told_its_network(scheme: int) -> None:
    lamp = Lamp(scheme=scheme)
    carrier = GattCarrier(TableConnection(table_of(lamp), 512))
    await carrier.open()
    setup = ProtocommSetup(carrier.ask, Proof(POP), entropy=Random(5).randbytes)
    assert len(await setup.scan()) == len(lamp.networks)
    network = WifiNetwork("home", "right-password")
    assert await setup.send(network, TOKEN)
    assert await setup.status() == Connected("192.0.2.7")
    assert lamp.told == [Provisioned(network, TOKEN)]


@pytest.mark.parametrize("scheme", [1, 2])
async def test_a_wrong_proof_is_refused(scheme: int) -> None:
    lamp = Lamp(scheme=scheme)
    carrier = GattCarrier(TableConnection(table_of(lamp), 512))
    await carrier.open()
    setup = ProtocommSetup(carrier.ask, Proof("wrong"), entropy=Random(5).randbytes)
    with pytest.raises((ProofFailedError, MalformedMessageError)):
        await setup.send(WifiNetwork("home", "right-password"), TOKEN)
    assert lamp.told == []


async def test_an_endpoint_that_is_not_there() -> None:
    carrier = GattCarrier(TableConnection({}))
    await carrier.open()
    with pytest.raises(EndpointRefusedError):
        await carrier.ask(Call(calls.VERSION, b"ESP", "reaching"))
