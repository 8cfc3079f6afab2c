"""The access layer's messages: an opcode of one, two or three octets, and its parameters (MshPRT 1.1, 3.7.3).

An opcode is the number its octets spell on the wire, so that 0x8202 is Generic OnOff Set, and 0xD50A00 is opcode 0x15
of company 0x000A (whose id travels little-endian).
"""

from msgspec import Struct

from ble.errors import Malformed

MAX_ACCESS = 380
"""The octets of opcode and parameters that 32 segments carry with a 32-bit MIC (3.7.3.1)."""

_RESERVED = 0x7F


class Message(Struct, frozen=True):
    """One access message, with no word of who sent it."""

    opcode: int
    parameters: bytes = b""

    def pack(self) -> bytes:
        """The access payload. Raises Malformed where no opcode is of that form, or the whole is too long to be sent."""
        payload = self.opcode.to_bytes(_opcode_size(self.opcode), "big") + self.parameters
        if len(payload) > MAX_ACCESS:
            raise Malformed(f"an access payload of {len(payload)} octets")
        return payload


def unpack(payload: bytes) -> Message:
    """The message in an access payload. Raises Malformed."""
    if not payload or len(payload) > MAX_ACCESS:
        raise Malformed(f"an access payload of {len(payload)} octets")
    size = _size_by_first(payload[0])
    if len(payload) < size:
        raise Malformed("the opcode is cut short")
    return Message(int.from_bytes(payload[:size], "big"), payload[size:])


def vendor_opcode(number: int, company: int) -> int:
    """The opcode of a company: `number` 0 to 0x3F. Raises Malformed where either is out of range."""
    if not (0 <= number <= 0x3F and 0 <= company <= 0xFFFF):
        raise Malformed(f"vendor opcode {number} of company {company}")
    return (0xC0 | number) << 16 | int.from_bytes(company.to_bytes(2, "little"), "big")


def company_of(opcode: int) -> int | None:
    """The company a three-octet opcode belongs to; None where it is the Bluetooth SIG's."""
    return (opcode & 0xFF) << 8 | opcode >> 8 & 0xFF if opcode > 0xFFFF else None


def _size_by_first(first: int) -> int:
    if first == _RESERVED:
        raise Malformed("opcode 0x7F is reserved")
    return 1 if first < 0x80 else 2 if first < 0xC0 else 3


def _opcode_size(opcode: int) -> int:
    size = 1 if opcode <= 0xFF else 2 if opcode <= 0xFFFF else 3
    if not 0 <= opcode <= 0xFFFFFF or _size_by_first(opcode >> 8 * (size - 1)) != size:
        raise Malformed(f"no opcode is 0x{opcode:X}")
    return size
