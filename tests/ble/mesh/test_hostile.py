"""Whatever the octets, a parser says what they are or raises the package's own error; and soon."""

import time
from collections.abc import Callable
from random import Random

import pytest

from ble.errors import BleError
from ble.mesh import beacons, keys, lower, network, proxy, proxy_filter, upper
from ble.mesh.advert_proof import is_of
from ble.mesh.exchange import ByApp, ByDevice
from ble.mesh.network import MAX_SEQ, NetworkPdu
from ble.mesh.proxy import Kind, Whole
from ble.mesh.stack import Stack
from tests.ble.mesh.pairs import APP, DEVICE, HUB, NET, NODE, WALL, node_state, pair, stack_of

MATERIAL = keys.flooding(NET)
ENVELOPE = upper.Envelope(application=True, szmic=False, seq=1, src=1, dst=2, iv_index=0)


def _proxy() -> Callable[[bytes], object]:
    reassembly = proxy.Reassembly()
    return lambda data: reassembly.feed(data, 0.0)


def _network() -> Callable[[bytes], object]:
    return lambda data: network.unseal(data, [MATERIAL], 0)


def _lower() -> Callable[[bytes], object]:
    return lambda data: lower.read(bool(len(data) & 1), data)


def _upper() -> Callable[[bytes], object]:
    return lambda data: upper.unseal(data, [DEVICE, APP], ENVELOPE)


def _beacon() -> Callable[[bytes], object]:
    return lambda data: beacons.read_unprovisioned(data) if data[:1] == b"\0" else beacons.read_network(data, NET)


def _advert() -> Callable[[bytes], object]:
    return lambda data: is_of(data, NET, (NODE,))


def _filter() -> Callable[[bytes], object]:
    return proxy_filter.read


def _stack() -> Callable[[bytes], object]:
    """Octets under the right network key, by a node gone wrong: what the layers above the network make of them."""
    state = node_state()
    stack, seqs = stack_of(state), iter(range(MAX_SEQ))

    def parse(data: bytes) -> None:
        seq, ctl = next(seqs), bool(len(data) & 1)
        src, dst = 1 + len(data) % 7, NODE if data[-1:] < b"\xc0" else 0xFFFF
        payload = data[: 12 if ctl else 16] or b"\0"
        sealed = network.seal(NetworkPdu(ctl=ctl, ttl=5, seq=seq, src=src, dst=dst, payload=payload), MATERIAL, 0)
        try:
            stack.receive(Whole(Kind.NETWORK, sealed), seq * 0.01, WALL)
        finally:
            stack.tick(seq * 0.01)
            stack.take_out()
            stack.take_events()

    return parse


def _samples() -> list[bytes]:
    """Valid octets of every layer, to be changed a little: far more gets past the first check than of noise."""
    hub, _ = pair()
    hub.send(NODE, bytes(40), ByDevice(NODE), 0.0)
    hub.send(NODE, bytes(8), ByApp(0), 0.0)
    hub.configure(proxy_filter.Add((1, 2)))
    said = beacons.NetworkBeacon(False, True, 1)
    wholes = [whole.data for whole in hub.take_out()]
    parts = [part for data in wholes for part in proxy.segments(Kind.NETWORK, data, 20)]
    lowers = [lower.pack(pdu) for pdu in lower.cut(bytes(60), ctl=False, head=0x66, szmic=True, seq=77)]
    return [
        *wholes,
        *parts,
        *lowers,
        upper.seal(bytes(30), APP, ENVELOPE),
        lower.pack(lower.Ack(True, 77, 5)),
        said.secure(NET),
        said.private(NET, bytes(13)),
        beacons.Unprovisioned(bytes(16), 1, b"1234").pack(),
        b"\x00" + keys.network_id(NET),
        proxy_filter.pack(proxy_filter.Status(proxy_filter.FilterType.ACCEPT, 2)),
    ]


PARSERS = [_proxy, _network, _lower, _upper, _beacon, _advert, _filter, _stack]


def fuzz(make: Callable[[], Callable[[bytes], object]], count: int, seed: int) -> tuple[float, int]:
    """The slowest input's time in seconds, and how many inputs were of the format."""
    parse, random, samples = make(), Random(seed), _samples()
    slowest, good = 0.0, 0
    for _ in range(count):
        data = _input(random, samples)
        before = time.perf_counter()
        try:
            parse(data)
            good += 1
        except BleError:
            pass
        slowest = max(slowest, time.perf_counter() - before)
    return slowest, good


def _input(random: Random, samples: list[bytes]) -> bytes:
    if random.random() < 0.3:
        return random.randbytes(random.randrange(70))
    data = bytearray(random.choice(samples))
    for _ in range(random.randrange(3)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data[: random.randrange(len(data)) + 1]) if random.random() < 0.2 else bytes(data)


@pytest.mark.parametrize("make", PARSERS, ids=lambda make: make.__name__[1:])
def test_octets_of_any_kind(make: Callable[[], Callable[[bytes], object]]) -> None:
    _, good = fuzz(make, 3000, seed=1)
    assert good, "nothing got through: this tries the first check only"


@pytest.mark.full
@pytest.mark.parametrize("make", PARSERS, ids=lambda make: make.__name__[1:])
def test_a_million_octets_of_any_kind(
    make: Callable[[], Callable[[bytes], object]], capsys: pytest.CaptureFixture[str]
) -> None:
    slowest, good = fuzz(make, 1_000_000, seed=2)
    with capsys.disabled():
        print(f"\n{make.__name__[1:]}: slowest {slowest * 1000:.2f} ms, {good} of 1,000,000 read")
    assert good


def test_what_a_stack_keeps_of_strangers_is_bounded() -> None:
    stack: Stack = stack_of(node_state())
    for seq in range(3000):
        segment = lower.Segment(ctl=False, head=0, szmic=False, seq_zero=seq & 0x1FFF, number=0, last=9, data=bytes(12))
        pdu = NetworkPdu(ctl=False, ttl=5, seq=seq, src=HUB + seq % 900, dst=NODE, payload=lower.pack(segment))
        stack.receive(Whole(Kind.NETWORK, network.seal(pdu, MATERIAL, 0)), 0.0, WALL)
        stack.take_out()
    assert len(stack._incoming) <= 64
    assert stack.take_events() == []
    assert stack.take_marks() == {}
