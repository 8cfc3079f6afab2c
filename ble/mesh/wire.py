"""Messages declared by their fields: each field names its codec, and packing and reading follow from the order.

A field is `Annotated[type, Codec]`; the short names below are the ones in use. A message class states its OPCODE and is
a frozen struct; what it reads comes from outside, so that reading raises Malformed and nothing else.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Self, TypeAlias, TypeVar, get_type_hints

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.access import Message
from ble.mesh.octets import Octets

T = TypeVar("T")


class Codec(Struct, Generic[T], frozen=True):
    """One field on the wire. `read` takes it from the octets, `pack` gives its octets."""

    pack: Callable[[T], bytes]
    read: Callable[[Octets], T]


def _fixed(size: int, *, signed: bool = False) -> Codec[int]:
    return Codec(
        pack=lambda value: value.to_bytes(size, "little", signed=signed),
        read=lambda octets: int.from_bytes(octets.take(size), "little", signed=signed),
    )


def raw(size: int) -> Codec[bytes]:
    """Exactly that many octets."""

    def pack(value: bytes) -> bytes:
        if len(value) != size:
            raise Malformed(f"{len(value)} octets where {size} belong")
        return value

    return Codec(pack=pack, read=lambda octets: octets.take(size))


def limited(size: int, most: int) -> Codec[int]:
    """A number of `size` octets that is at most `most`."""

    def checked(value: int) -> int:
        if value > most:
            raise Malformed(f"{value} is more than {most}")
        return value

    return Codec(
        pack=lambda value: checked(value).to_bytes(size, "little"), read=lambda octets: checked(octets.number(size))
    )


def optional(codec: Codec[T]) -> Codec[T | None]:
    """A field that may be missing at the end of a message."""
    return Codec(
        pack=lambda value: b"" if value is None else codec.pack(value),
        read=lambda octets: codec.read(octets) if octets.left else None,
    )


def repeated(codec: Codec[T]) -> Codec[tuple[T, ...]]:
    """As many as there are, to the end of the message."""

    def read(octets: Octets) -> tuple[T, ...]:
        found = []
        while octets.left:
            found.append(codec.read(octets))
        return tuple(found)

    return Codec(pack=lambda values: b"".join(map(codec.pack, values)), read=read)


U8: TypeAlias = Annotated[int, _fixed(1)]
U16: TypeAlias = Annotated[int, _fixed(2)]
U24: TypeAlias = Annotated[int, _fixed(3)]
U32: TypeAlias = Annotated[int, _fixed(4)]
I16: TypeAlias = Annotated[int, _fixed(2, signed=True)]
I32: TypeAlias = Annotated[int, _fixed(4, signed=True)]
Flag: TypeAlias = Annotated[int, limited(1, 1)]
Rest: TypeAlias = Annotated[bytes, Codec[bytes](pack=lambda value: value, read=lambda octets: octets.rest())]
Key: TypeAlias = Annotated[bytes, raw(16)]
U16s: TypeAlias = Annotated[tuple[int, ...], repeated(_fixed(2))]
MaybeU8: TypeAlias = Annotated[int | None, optional(_fixed(1))]
MaybeU16: TypeAlias = Annotated[int | None, optional(_fixed(2))]


class WireMessage(Struct, frozen=True):
    """An access message whose parameters are its fields, in order."""

    OPCODE: ClassVar[int] = -1

    def message(self) -> Message:
        """Raises Malformed where a value does not fit its field."""
        try:
            parts = [codec.pack(getattr(self, name)) for name, codec in _codecs(type(self))]
        except (OverflowError, ValueError) as error:  # to_bytes raises the one, bytes() the other
            raise Malformed(f"{type(self).__name__}: {error}") from error
        return Message(self.OPCODE, b"".join(parts))

    @classmethod
    def read(cls, parameters: bytes) -> Self:
        """Raises Malformed."""
        octets = Octets(parameters)
        found = cls(*(codec.read(octets) for _, codec in _codecs(cls)))
        octets.end()
        return found


@cache
def _codecs(kind: type[WireMessage]) -> tuple[tuple[str, Codec[Any]], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, _codec(hints[name])) for name in kind.__struct_fields__)


def _codec(hint: Any) -> Codec[Any]:
    return next(part for part in hint.__metadata__ if isinstance(part, Codec))


Table: TypeAlias = dict[int, type[WireMessage]]
"""Message classes by their opcode."""


def table(kinds: Iterable[type[WireMessage]]) -> Table:
    """The classes by their opcodes, each of which must be there once."""
    made: Table = {}
    for kind in kinds:
        if kind.OPCODE in made:
            raise ValueError(f"opcode {kind.OPCODE:#x} twice")
        made[kind.OPCODE] = kind
    return made


def read(message: Message, kinds: Table) -> WireMessage | None:
    """The message by its class; None where none of these has its opcode. Raises Malformed."""
    kind = kinds.get(message.opcode)
    return kind.read(message.parameters) if kind else None
