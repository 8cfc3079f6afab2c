"""AirKiss: Tuya's broadcast lane is a variant of it. It carries no token; the device answers with one random octet."""

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.frames import Credentials, Datagram, broadcasts, checked
from pairing.ez.groups import group_lengths
from pairing.talk import Entropy

GAP = 0.005
PORT = 10001
"""A listener sees no ports; this one is just not the one that answers come to."""
PREAMBLE_ROUNDS = 40
HEADERS = 4
ROUNDS = 5


def encode(credentials: Credentials, entropy: Entropy) -> list[Datagram]:
    """One attempt, to be repeated. Raises UnfitNetworkError. The octet of `entropy` is what the device answers with."""
    body = round_lengths(credentials, entropy(1))
    lengths = [*n.AIRKISS_PREAMBLE * PREAMBLE_ROUNDS, *body * ROUNDS]
    return broadcasts(lengths, port=PORT, gap=GAP)


def round_lengths(credentials: Credentials, nonce: bytes) -> list[int]:
    """The lengths of one round: preamble, both headers several times, the groups."""
    checked(credentials)
    password, ssid = credentials.password, credentials.ssid
    record = password + nonce + ssid
    header = _magic(len(record), ssid) + _prefix(len(password))
    return [*n.AIRKISS_PREAMBLE, *header * HEADERS, *group_lengths(record)]


def _magic(total: int, ssid: bytes) -> list[int]:
    check = crc8(ssid)
    return [
        total >> 4 or n.AIRKISS_NO_HIGH_NIBBLE,
        n.AIRKISS_LENGTH_LOW | total & 0xF,
        n.AIRKISS_SSID_CRC_HIGH | check >> 4,
        n.AIRKISS_SSID_CRC_LOW | check & 0xF,
    ]


def _prefix(length: int) -> list[int]:
    check = crc8([length])
    return [
        n.AIRKISS_PASSWORD_HIGH | length >> 4,
        n.AIRKISS_PASSWORD_LOW | length & 0xF,
        n.AIRKISS_PASSWORD_CRC_HIGH | check >> 4,
        n.AIRKISS_PASSWORD_CRC_LOW | check & 0xF,
    ]
