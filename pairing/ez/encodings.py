"""The encodings, by name."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from pairing.ez import airkiss, esptouch1, esptouch2, tuya
from pairing.ez.frames import Credentials, Datagram
from pairing.talk import Entropy

Encode: TypeAlias = Callable[[Credentials, Entropy], Sequence[Datagram]]
"""One attempt, which is repeated as it is. Raises UnsendableError, UnfitNetworkError."""


class Encoding(Struct, frozen=True):
    """`token`: whether it has a place for the session's token."""

    name: str
    encode: Encode
    token: bool


ENCODINGS: dict[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding("tuya", tuya.encode, token=True),
        Encoding("esptouch1", esptouch1.encode, token=False),
        Encoding("esptouch2", esptouch2.encode, token=True),
        Encoding("airkiss", airkiss.encode, token=False),
    )
}
