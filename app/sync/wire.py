"""What hubs and their cloud say to each other (PROTOCOL.md 2, 7, 9): MessagePack, told apart by a tag."""

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from app.sync.model import Op, Result

# A whole page of rows, or a push of large operations, fits; nobody says more at once.
MAX_MESSAGE: Final = 16 << 20


class _Message(Struct, frozen=True, array_like=True, tag_field="t"):
    """Arrays: the tag, the id that an answer repeats, the rest in order."""

    id: int


# what a hub asks


class Hello(_Message, frozen=True, tag="hello"):
    """First on a connection. `homes`: (home, epoch, cursor) of each log it has.

    `again`: the connection stands, and goes on; which homes there are is asked anew.
    """

    now: int
    homes: list[tuple[str, str, int]]
    again: bool = False


class Found(_Message, frozen=True, tag="found"):
    """Its owner gives a home to this cloud, which it restates next."""

    home: str
    name: str


class Push(_Message, frozen=True, tag="push"):
    """Operations of one home, in order, at most MAX_OPS. `now`: the node's clock, ms."""

    home: str
    epoch: str
    now: int
    ops: list[Op]


class Pull(_Message, frozen=True, tag="pull"):
    """Rows after `since`."""

    home: str
    epoch: str
    since: int
    limit: int = 1_000


class Snapshot(_Message, frozen=True, tag="snapshot"):
    """Rows after a place, a kind and an id."""

    home: str
    after: tuple[str, str] = ("", "")


class Restate(_Message, frozen=True, tag="restate"):
    """Rows of the hub's base as they are, to be joined; `last`: there are no more.

    `counters`, with the last: (node, number) of the last operation of each node that an earlier life has answered.
    """

    home: str
    epoch: str
    rows: list[msgspec.Raw]
    last: bool
    counters: list[tuple[str, int]] = []


class Wait(_Message, frozen=True, tag="wait"):
    """Answer when one of these logs is beyond what the hub has, or after `seconds`: a long poll."""

    homes: list[tuple[str, str, int]]
    seconds: float


class DeviceState(Struct, frozen=True, array_like=True):
    """What a device is: `services` are (name, version, reported, desired), each value with its time in ms."""

    device_id: str
    owner_epoch: int
    online: bool
    seen_at: int | None
    services: list[tuple[str, int, dict[str, tuple[Any, int]], dict[str, tuple[Any, int]]]]


class Reports(_Message, frozen=True, tag="reports"):
    """The newest of some devices."""

    home: str
    devices: list[DeviceState]


class JournalPart(_Message, frozen=True, tag="journal"):
    """Entries (seq, device, at, type, code, value as JSON, source) of the hub's journal.

    `lost` more had made room; entries of type gap stand where they were.
    """

    home: str
    node: str
    lost: int
    entries: list[tuple[int, str, int, str, str, str, str]]


class CommandEnd(Struct, frozen=True, array_like=True):
    """A command that came along the connection has moved: its state and outcome (JSON)."""

    command_id: str
    state: str
    outcome: str | None


class Ended(_Message, frozen=True, tag="ended"):
    """What became of commands; each is told until it is acknowledged."""

    ends: list[CommandEnd]


class Order(Struct, frozen=True, array_like=True):
    """A command for a device that the other end holds; `life_ms` is what it has left, `actor` the person's key."""

    command_id: str
    home: str
    device_id: str
    actor: str
    kind: str
    body: str
    life_ms: int


class Relay(_Message, frozen=True, tag="relay"):
    """Commands that another hub of the home is to do."""

    orders: list[Order]


class Mirror(_Message, frozen=True, tag="mirror"):
    """What other hubs have said of their devices, after `since`, a place in the log's life `epoch`.

    `turn`: how far it has heard on this connection whether they are there; ("", 0): nothing yet.
    """

    home: str
    epoch: str
    since: int
    turn: tuple[str, int]


Request: TypeAlias = (
    Hello | Found | Push | Pull | Snapshot | Restate | Wait | Reports | JournalPart | Ended | Relay | Mirror
)

# what a cloud answers


class Welcome(_Message, frozen=True, tag="welcome"):
    """(home, epoch, head, founding) of each home the hub serves; `now`: the cloud's clock, ms.

    `founding`: the hub has brought it, and not said all of it yet. Of those it said it has, `gone` are not its to serve
    any more; what is in neither this cloud does not know (it may be back from a backup), and is brought again.
    """

    now: int
    homes: list[tuple[str, str, int, bool]]
    gone: list[str] = []


class Pushed(_Message, frozen=True, tag="pushed"):
    """A result an operation. `plain`: nothing but these operations was written from `before` to `head`.

    `expected`: the number that should have come, where one is missing; what came after it was not taken.
    """

    home: str
    epoch: str
    before: int
    head: int
    results: list[Result]
    plain: bool
    expected: int | None = None

    def is_whole(self, count: int) -> bool:
        """Whether it answers all of `count` operations."""
        return self.expected is None and len(self.results) == count


class Changes(_Message, frozen=True, tag="changes"):
    """Rows in order; `head`: what the replica has with them; `more`: there are others already."""

    home: str
    epoch: str
    head: int
    more: bool
    rows: list[msgspec.Raw]


class SnapshotPage(_Message, frozen=True, tag="page"):
    """Rows in order of kinds, then of ids. `head` is the log's when this page was read; `next` None: it was the last.

    `after`: the place that was asked for.
    """

    home: str
    epoch: str
    head: int
    rows: list[msgspec.Raw]
    next: tuple[str, str] | None
    total: int
    after: tuple[str, str] = ("", "")


class Reset(_Message, frozen=True, tag="reset"):
    """The cursor is of no use: take a snapshot. `restate`: first say what there is, for the log began a new life."""

    home: str
    epoch: str
    restate: bool


class Wiped(_Message, frozen=True, tag="wiped"):
    """The hub serves that home no more (or its end was pulled): nothing of it stays."""

    home: str


class Done(_Message, frozen=True, tag="done"):
    """Taken, and on disk. `refused`: devices whose reports were not, for another hub holds them.

    Of a Wait: `heads`, and `notices`, what the cloud would have said of itself.
    """

    refused: list[str] = []
    heads: list[tuple[str, str, int]] = []
    notices: list[msgspec.Raw] = []


class Failed(_Message, frozen=True, tag="failed"):
    """Not done: a code, a sentence, and whether the same can succeed later."""

    code: str
    detail: str
    retryable: bool


class Mirrored(_Message, frozen=True, tag="mirrored"):
    """Devices that other hubs hold, as the cloud shows them; of each `services` alone that have changed.

    `facts`: how far the log was: who has less of it may not know all of these. `more`: there are others already.
    """

    home: str
    epoch: str
    facts: int
    devices: list[DeviceState]
    since: int
    turn: tuple[str, int]
    more: bool


# what a cloud says of itself


class Head(_Message, frozen=True, tag="head"):
    """A log has come so far; `id` 0."""

    home: str
    epoch: str
    head: int


class Orders(_Message, frozen=True, tag="orders"):
    """Commands for devices the hub holds; `id` 0. They are answered by `Ended`."""

    orders: list[Order]


class EndsTold(_Message, frozen=True, tag="ends"):
    """What became of commands that this hub gave, and another did; `id` 0."""

    ends: list[CommandEnd]


class MirrorGrown(_Message, frozen=True, tag="grown"):
    """Another hub has said something of its devices; not said again until the hub has asked. `id` 0."""

    home: str


class Attached(_Message, frozen=True, tag="attached"):
    """The hub serves another home from now on, or one less: say Hello again; `id` 0."""


Answer: TypeAlias = (
    Welcome
    | Pushed
    | Changes
    | SnapshotPage
    | Reset
    | Wiped
    | Done
    | Mirrored
    | Failed
    | Head
    | Orders
    | EndsTold
    | MirrorGrown
    | Attached
)

encode: Final = msgspec.msgpack.Encoder().encode
decode_request: Final = msgspec.msgpack.Decoder(Request).decode
decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode
