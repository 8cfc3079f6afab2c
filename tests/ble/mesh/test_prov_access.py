"""Access messages: opcodes of three sizes, there and back, and whatever else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import Malformed
from ble.mesh.access import MAX_ACCESS, Message, company_of, unpack, vendor_opcode

ONE = st.integers(0, 0x7E)
TWO = st.integers(0x8000, 0xBFFF)
THREE = st.integers(0xC00000, 0xFFFFFF)


@given(st.builds(Message, ONE | TWO | THREE, st.binary(max_size=MAX_ACCESS - 3)))
def test_what_is_packed_is_unpacked(message: Message) -> None:
    assert unpack(message.pack()) == message


def test_the_published_messages_have_these_opcodes() -> None:
    """MshPRT 1.1, 8.3.6, 8.3.16 and 8.3.21."""
    assert unpack(bytes.fromhex("0056341263964771734fbd76e3b40519d1d94a48")).opcode == 0x00
    assert unpack(bytes.fromhex("800300563412")) == Message(0x8003, bytes.fromhex("00563412"))
    hello = unpack(bytes.fromhex("d50a0048656c6c6f"))
    assert hello == Message(vendor_opcode(0x15, 0x000A), b"Hello")
    assert company_of(hello.opcode) == 0x000A
    assert company_of(0x8202) is None


@given(st.integers(0, 0x3F), st.integers(0, 0xFFFF))
def test_a_company_is_read_back_from_its_opcode(number: int, company: int) -> None:
    opcode = vendor_opcode(number, company)
    assert company_of(opcode) == company
    assert Message(opcode).pack() == bytes([0xC0 | number]) + company.to_bytes(2, "little")


@pytest.mark.parametrize("payload", [b"", b"\x7f", b"\x80", b"\xc0\x00", bytes(MAX_ACCESS + 1)])
def test_no_message_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(payload)


@pytest.mark.parametrize("opcode", [-1, 0x7F, 0x80, 0xFF, 0x100, 0xC000, 0x10000, 0x800000, 0x1000000])
def test_an_opcode_of_no_form_is_refused(opcode: int) -> None:
    with pytest.raises(Malformed):
        Message(opcode).pack()


def test_a_message_too_long_to_be_sent_is_refused() -> None:
    with pytest.raises(Malformed):
        Message(0x04, bytes(MAX_ACCESS)).pack()


@pytest.mark.parametrize(("number", "company"), [(-1, 0), (0x40, 0), (0, -1), (0, 0x10000)])
def test_a_vendor_opcode_out_of_range_is_refused(number: int, company: int) -> None:
    with pytest.raises(Malformed):
        vendor_opcode(number, company)
