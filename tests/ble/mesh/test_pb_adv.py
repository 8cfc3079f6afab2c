"""Provisioning in advertisements: the published octets, what comes back from segments, and what is refused."""

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import Malformed
from ble.mesh.pb_adv import (
    MAX_PDU,
    Acknowledgement,
    Assembly,
    Continuation,
    LinkAck,
    LinkClose,
    LinkOpen,
    Pdu,
    Start,
    checksum,
    read,
    segments,
)
from tests.ble.mesh.vectors import octets, vector

LINK = octets("23af5850")


def test_the_published_checksums() -> None:
    """MshPRT 1.1, 8.7."""
    given_, out = vector("8.7")
    assert [f"{checksum(octets(pdu)):02x}" for pdu in given_["pdus"]] == out["fcs"]


def test_the_published_segments() -> None:
    """MshPRT 1.1, 8.7.6."""
    given_, out = vector("8.7.6")
    pdu = octets(given_["pdu"])
    made = segments(LINK, 2, pdu)
    assert [one.pack() for one in made] == [octets(text) for text in out["pb_adv"]]
    assert [read(octets(text)) for text in out["pb_adv"]] == made


def test_the_published_link_control() -> None:
    """MshPRT 1.1, 8.7.1 to 8.7.14."""
    given_, out = vector("8.7.1-14")
    assert octets(given_["link"]) == LINK
    said = {
        "link_open": Pdu(LINK, 0, LinkOpen(octets(given_["device_uuid"]))),
        "link_ack": Pdu(LINK, 0, LinkAck()),
        "link_close_success": Pdu(LINK, 0, LinkClose(0)),
        "invite": segments(LINK, 0, b"\x00\x00")[0],
        "transaction_ack_00": Pdu(LINK, 0, Acknowledgement()),
    }
    assert {name: pdu.pack() for name, pdu in said.items()} == {name: octets(text) for name, text in out.items()}
    assert {name: read(octets(text)) for name, text in out.items()} == said


@given(st.binary(min_size=1, max_size=1400), st.integers(0, 255), st.randoms(use_true_random=False))
def test_segments_come_back_in_any_order_and_twice(pdu: bytes, transaction: int, random: Random) -> None:
    packed = [one.pack() for one in segments(LINK, transaction, pdu)]
    assert all(len(one) <= MAX_PDU for one in packed)
    heard = packed + packed[:2]
    random.shuffle(heard)
    assembly, whole = Assembly(), []
    for one in heard:
        body = read(one).body
        assert isinstance(body, Start | Continuation)
        whole.append(assembly.feed(body))
    assert [each for each in whole if each is not None][-1] == pdu


def test_another_s_segment_is_found_out() -> None:
    first, second = segments(LINK, 0, bytes(30))
    assembly = Assembly()
    assert isinstance(first.body, Start)
    assert isinstance(second.body, Continuation)
    assembly.feed(first.body)
    with pytest.raises(Malformed):
        assembly.feed(Continuation(1, bytes([1]) + second.body.data[1:]))


@pytest.mark.parametrize("size", [0, 20 + 63 * 23 + 1])
def test_what_no_transaction_carries(size: int) -> None:
    with pytest.raises(Malformed):
        segments(LINK, 0, bytes(size))


@pytest.mark.parametrize("rounds", [5_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_pb_adv_fuzzed(rounds: int, capsys: pytest.CaptureFixture[str]) -> None:
    random, slowest, good = Random(3), 0.0, 0
    assembly = Assembly()
    for _ in range(rounds):
        control = random.randrange(256) if random.random() < 0.5 else random.randrange(16)
        data = LINK + bytes([random.randrange(4), control]) + random.randbytes(random.randrange(26))
        if random.random() < 0.2:
            data = random.randbytes(random.randrange(40))
        before = time.perf_counter()
        try:
            body = read(data).body
            good += 1
            if isinstance(body, Start | Continuation):
                assembly.feed(body)
        except Malformed:
            pass
        slowest = max(slowest, time.perf_counter() - before)
    assert good > rounds // 10
    with capsys.disabled():
        print(f"\npb_adv: slowest {slowest * 1000:.2f} ms, {good} of {rounds:,} read")
