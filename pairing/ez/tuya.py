"""Tuya EZ: one lane of broadcast lengths and one of multicast addresses, sent interleaved.

A switch that snoops IGMP eats the multicast lane, loss the broadcast lane (six frames in a row must arrive); a device
takes whichever completes first.
"""

import zlib
from collections.abc import Iterable, Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec.structs import replace

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.frames import Credentials, Datagram, UnsendableError, broadcasts, checked, interleaved
from pairing.ez.groups import group_lengths
from pairing.talk import Entropy

GAP = 0.005
PREAMBLE_ROUNDS = 14
PREAMBLE_REST = 0.02
"""Between two preambles. A device that hops from channel to channel has to come by meanwhile: 14 take 0.7 s."""
BODY_ROUNDS = 6
"""Rounds before the next attempt: preambles come back often, since not every device stops at the first."""


def encode(credentials: Credentials, entropy: Entropy) -> list[Datagram]:
    """One attempt, to be repeated. Raises UnsendableError, UnfitNetworkError. Nothing in it is random."""
    lock = _multicasts(n.TUYA_LOCK)
    preamble = interleaved(broadcasts(n.TUYA_PREAMBLE, port=n.TUYA_BROADCAST_PORT, gap=GAP), lock)
    body = broadcasts(broadcast_lane(credentials), port=n.TUYA_BROADCAST_PORT, gap=GAP)
    rested = [*preamble[:-1], replace(preamble[-1], gap=PREAMBLE_REST)]
    return rested * PREAMBLE_ROUNDS + (preamble + interleaved(multicast_lane(credentials), body)) * BODY_ROUNDS


def broadcast_lane(credentials: Credentials) -> list[int]:
    """The lengths of one round of the broadcast lane's body."""
    record = _record(credentials)
    check = crc8([len(record)])
    header = [
        n.TUYA_LENGTH_HIGH | len(record) >> 4,
        n.TUYA_LENGTH_LOW | len(record) & 0xF,
        n.TUYA_CRC_HIGH | check >> 4,
        n.TUYA_CRC_LOW | check & 0xF,
    ]
    return header + group_lengths(record + bytes(-len(record) % n.GROUP_SIZE))


def multicast_lane(credentials: Credentials) -> list[Datagram]:
    """One round of the multicast lane's body; empty where the password is longer than its place there."""
    _check(credentials)
    password = _encrypted(credentials.password)
    if n.TUYA_FIELD_HEAD + len(password) // 2 > n.TUYA_FIELD_SPAN:
        return []
    return _multicasts(
        [
            *_field(n.TUYA_SSID_AT, credentials.ssid, credentials.ssid),
            *_field(n.TUYA_PASSWORD_AT, credentials.password, password),
            *_field(n.TUYA_TOKEN_AT, credentials.token, credentials.token),
        ]
    )


def _check(credentials: Credentials) -> None:
    checked(credentials)
    if len(credentials.token) != n.TUYA_TOKEN_SIZE:
        raise UnsendableError("token")


def _record(credentials: Credentials) -> bytes:
    _check(credentials)
    password, token = credentials.password, credentials.token
    return bytes([len(password)]) + password + bytes([len(token)]) + token + credentials.ssid


def _encrypted(password: bytes) -> bytes:
    # ECB under a key everybody knows is what devices expect; it is a spelling, not a protection.
    cipher = Cipher(algorithms.AES(n.TUYA_KEY), modes.ECB()).encryptor()  # noqa: S305
    return cipher.update(password + bytes(-len(password) % 16)) + cipher.finalize()


def _field(at: int, plain: bytes, sent: bytes) -> Iterator[tuple[int, bytes]]:
    octets = bytes([len(plain)] * 2) + zlib.crc32(plain).to_bytes(4, "little") + sent + bytes(len(sent) % 2)
    return ((at + i // 2, octets[i : i + 2]) for i in range(0, len(octets), 2))


def _multicasts(pairs: Iterable[tuple[int, bytes]]) -> list[Datagram]:
    addresses = (f"{n.TUYA_MULTICAST_NET}.{at}.{pair[1]}.{pair[0]}" for at, pair in pairs)
    return [Datagram(address, n.TUYA_MULTICAST_PORT, 1, GAP) for address in addresses]
