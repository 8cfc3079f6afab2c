"""What sync is about: entities, their stamps, and operations on them (PROTOCOL.md 2). Arrays in MessagePack."""

from enum import StrEnum
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

COUNTER_BITS: Final = 16
MAX_OPS: Final = 500
# Of one operation: a whole home that is dissolved is one part, so this is a group of everything.
MAX_PARTS: Final = 2_000
# Numbers a lost life of a log may have given out (PROTOCOL.md 2c).
JUMP: Final = 1 << 40
# Of operations and incarnations: what JSON readers keep exact.
MAX_NUMBER: Final = 1 << 53
# The person of what nobody did: the hub itself.
NOBODY: Final = ""
F = TypeVar("F")


class Stamp(Struct, frozen=True, array_like=True, gc=False):
    """Who wrote a field, and when: `at` is hybrid time, `seq` the log's; `n` counts the node's operations."""

    at: int
    node: str
    n: int
    actor: str
    seq: int

    def order(self) -> tuple[int, str, int]:
        """What stamps are compared by (section 2a, 5)."""
        return self.at, self.node, self.n

    def later_than(self, other: "Stamp") -> bool:
        """Whether it wins over `other`."""
        return self.order() > other.order()


class Entity(Struct, frozen=True, array_like=True):
    """One fact. `stamp` is of every field that has none of its own in `stamps`; `dead`: a tombstone, without fields.

    `inc` counts its incarnations. It has one form on every node (`app.sync.merge.compact`).
    """

    kind: str
    id: str
    seq: int
    inc: int
    stamp: Stamp
    fields: dict[str, Any]
    stamps: dict[str, Stamp]
    dead: Stamp | None = None

    def stamp_of(self, field: str) -> Stamp:
        """Who wrote it."""
        return self.stamps.get(field, self.stamp)

    @property
    def last(self) -> Stamp:
        """Of its last change."""
        if self.dead is not None:
            return self.dead
        return max((self.stamp, *self.stamps.values()), key=Stamp.order) if self.stamps else self.stamp


class Beginning(Struct, Generic[F], array_like=True):
    """What an `Entity` begins with: of its fields no more is decoded than `F` has, for a home may have thousands."""

    kind: str
    id: str
    seq: int
    inc: int
    stamp: msgspec.Raw
    fields: F


What = Literal["new", "put", "del"]


class Part(Struct, frozen=True, array_like=True):
    """What an operation does to one entity."""

    kind: str
    id: str
    what: What
    fields: dict[str, Any] = {}


class Op(Struct, frozen=True, array_like=True):
    """One act of one person at one node. `at` is the node's hybrid time, `seen` how far in the log it was.

    `not_after` in ms of the node's clock; None: it does not expire.
    """

    node: str
    n: int
    actor: str
    at: int
    seen: int
    parts: list[Part]
    not_after: int | None = None

    def had_seen(self, stamp: Stamp) -> bool:
        """Whether who did it knew of what `stamp` is of: by the log, or because it was done there before."""
        return stamp.seq <= self.seen or (stamp.node == self.node and stamp.n < self.n)


class Status(StrEnum):
    """What became of an operation. `ok` also where some of its fields lost: conflict records say so."""

    OK = "ok"
    DENIED = "denied"
    MOVED = "moved"
    GONE = "gone"
    EXPIRED = "expired"


class Result(Struct, frozen=True, array_like=True, gc=False):
    """`seq`: the log's last when it was taken; `at`: the hybrid time it was given; `why`: of a refusal."""

    status: Status
    seq: int
    at: int
    why: str = ""


class Loss(Struct, frozen=True):
    """A value that was lost: what becomes a conflict record. `field` empty: a whole operation on the entity.

    `kept_by` None: nothing is there instead.
    """

    kind: str
    id: str
    field: str
    why: str
    lost: Any
    lost_by: Stamp
    kept: Any
    kept_by: Stamp | None


encode: Final = msgspec.msgpack.Encoder().encode
decode_entity: Final = msgspec.msgpack.Decoder(Entity).decode
decode_op: Final = msgspec.msgpack.Decoder(Op).decode
decode_result: Final = msgspec.msgpack.Decoder(Result).decode
