"""Matter's codes: the pair matter.js prints, round trips with a writer of the tests' own, and what must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.errors import UnsupportedVersionError
from pairing.qr import UnreadableCodeError, parse, verhoeff
from tests.pairing.qr import matter_writer

# specs/pairing, 6: what matter.js printed for vendor FFF1, product 8000, discriminator 3840, passcode 20202021.
QR = "MT:Y.K90AFN00KA0648G00"
MANUAL = "34970112332"

TRIVIAL = {*(11_111_111 * n for n in range(10)), 12_345_678, 87_654_321}
passcodes = st.integers(1, 99_999_998).filter(lambda passcode: passcode not in TRIVIAL)
words = st.integers(0, 0xFFFF)
discriminators = st.integers(0, 0xFFF)


def test_the_pair_of_matter_js() -> None:
    code = parse(QR)
    assert (code.kind, code.method, code.transports, code.flow) == ("matter", "matter", ("wired",), 0)
    assert (code.vendor_id, code.product_id) == (0xFFF1, 0x8000)
    assert (code.discriminator, code.short_discriminator, code.passcode) == (3840, 15, 20202021)
    short = parse(MANUAL)
    assert (short.vendor_id, short.product_id, short.discriminator) == (None, None, None)
    assert (short.short_discriminator, short.passcode) == (15, 20202021)
    assert parse("3497-011-2332") == parse("3497 011 2332") == short
    assert matter_writer.qr(matter_writer.packed(0xFFF1, 0x8000, 3840, 20202021)) == QR
    assert matter_writer.manual(3840, 20202021) == MANUAL


@given(words, words, discriminators, passcodes, st.integers(0, 2), st.integers(0, 255))
def test_a_qr_code_is_read(vendor: int, product: int, discriminator: int, passcode: int, flow: int, ways: int) -> None:
    octets = matter_writer.packed(vendor, product, discriminator, passcode, flow=flow, discovery=ways)
    code = parse(matter_writer.qr(octets))
    assert (code.vendor_id, code.product_id, code.flow) == (vendor, product, flow)
    assert (code.discriminator, code.passcode) == (discriminator, passcode)
    assert code.transports == tuple(name for bit, name in ((1, "ap"), (2, "ble"), (4, "wired")) if ways & bit)


@given(discriminators, passcodes, st.one_of(st.none(), st.tuples(words, words)))
def test_a_manual_code_is_read(discriminator: int, passcode: int, ids: tuple[int, int] | None) -> None:
    code = parse(matter_writer.manual(discriminator, passcode, *(ids or ())))
    assert (code.short_discriminator, code.passcode) == (discriminator >> 8, passcode)
    assert (code.vendor_id, code.product_id) == (ids or (None, None))


def test_further_data_behind_the_payload_is_passed_by() -> None:
    octets = matter_writer.packed(0xFFF1, 0x8000, 3840, 20202021)
    assert parse(matter_writer.qr(octets + b"\x15\x18")) == parse(QR)


@pytest.mark.parametrize("passcode", [0, 11_111_111, 99_999_999, 12_345_678, 87_654_321, 100_000_000])
def test_a_passcode_no_device_may_have_is_refused(passcode: int) -> None:
    for text in (
        matter_writer.qr(matter_writer.packed(1, 1, 1, passcode)),
        matter_writer.manual(1, passcode),
    ):
        with pytest.raises(UnreadableCodeError):
            parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "MT:",
        "MT:Y.K90AFN00KA0648G0",
        QR.lower(),
        QR.replace("K", "k"),
        QR[:-1] + ".",
        "MT:.....AFN00KA0648G00",
        QR + "*" + QR[3:],
        matter_writer.qr(matter_writer.packed(1, 1, 1, 1, padding=1)),
        matter_writer.qr(matter_writer.packed(1, 1, 1, 1, flow=3)),
        MANUAL[:-1] + "3",
        "34970112323",
        "749701123" + "32",
        "3497011233",
    ],
)
def test_a_faulty_code_is_refused(text: str) -> None:
    with pytest.raises(UnreadableCodeError):
        parse(text)


def test_another_version_is_told_as_such() -> None:
    with pytest.raises(UnsupportedVersionError):
        parse(matter_writer.qr(matter_writer.packed(1, 1, 1, 1, version=1)))
    with pytest.raises(UnsupportedVersionError):
        parse("8497011233" + matter_writer.verhoeff("8497011233"))


@given(st.text("0123456789", min_size=1, max_size=24))
def test_the_check_digit_is_that_of_the_printed_tables(digits: str) -> None:
    assert verhoeff.check_digit(digits) == matter_writer.verhoeff(digits)
    assert [d for d in "0123456789" if verhoeff.checks(digits + d)] == [verhoeff.check_digit(digits)]
