"""What is between a client and the hub beyond one connection: subscriptions, and messages not yet acknowledged."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from app.links.mqtt.packets import Subscription
from app.links.mqtt.ports import Fate, Properties
from app.links.mqtt.topics import has_wildcard, matches

PACKET_IDS = 65535
# Most sessions are idle: an empty set of their own, or a deque, would be a quarter of what such a one takes.
NONE: frozenset[int] = frozenset()
# Of what a message takes in memory and on disk beside its payload and topic.
OVERHEAD = 64


class Outgoing:
    """A message on its way to one client. `seq` is its row, 0: none. `expires` in ms since the epoch."""

    __slots__ = (
        "expires",
        "ids",
        "on_fate",
        "packet_id",
        "payload",
        "properties",
        "qos",
        "released",
        "retain",
        "sent",
        "seq",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        *,
        retain: bool = False,
        properties: Properties | None = None,
        ids: tuple[int, ...] = (),
        expires: int | None = None,
        on_fate: Callable[[Fate], None] | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.ids = ids
        self.expires = expires
        self.on_fate = on_fate
        self.packet_id = 0
        self.seq = 0
        # Given to a connection before: a repeat says so. QoS 2: the client has it, and PUBREL is what is repeated.
        self.sent = False
        self.released = False

    @property
    def size(self) -> int:
        """What it counts for against the limits."""
        return len(self.payload) + len(self.topic) + OVERHEAD

    def end(self, fate: Fate) -> None:
        """Tell who waits for it, once."""
        tell, self.on_fate = self.on_fate, None
        if tell is not None:
            tell(fate)


class Granted(Struct, frozen=True):
    """As what a topic reaches a client: the highest QoS of its filters, and the ids of those (3.3.4)."""

    qos: int
    ids: tuple[int, ...] = ()
    as_published: bool = False
    no_local: bool = False


class Session:
    """One client's. `row` is its number in the store, 0: it ends with its connection; `life` in seconds.

    `connection` is whoever speaks for it now, None while nobody does; then `ends_at` (ms) is when it is forgotten.
    `kept` and `kept_bytes` count its messages on disk, `sent_through` the last of them a connection was given.
    """

    __slots__ = (
        "connection",
        "device_id",
        "ends_at",
        "flight",
        "inbound",
        "kept",
        "kept_bytes",
        "life",
        "name",
        "next_id",
        "row",
        "sent_through",
        "subscriptions",
        "waiting",
    )

    def __init__(self, device_id: str, name: str) -> None:
        self.device_id = device_id
        self.name = name
        self.row = 0
        self.life = 0
        self.ends_at: int | None = None
        self.connection: Any = None
        self.subscriptions: dict[str, Subscription] = {}
        # QoS 2 messages that were taken and not yet released (4.3.3).
        self.inbound: set[int] | frozenset[int] = NONE
        self.flight: dict[int, Outgoing] = {}
        self.waiting: list[Outgoing] = []
        self.next_id = 1
        self.kept = 0
        self.kept_bytes = 0
        self.sent_through = 0

    def granted(self, topic: str, implicit: Iterable[str] = ()) -> Granted | None:
        """As what it has subscribed to `topic`; None where it has not."""
        exact = self.subscriptions.get(topic)
        found = [exact] if exact is not None else []
        found += [s for f, s in self.subscriptions.items() if has_wildcard(f) and f != topic and matches(f, topic)]
        if found:
            return Granted(
                max(each.qos for each in found),
                tuple(each.id for each in found if each.id is not None),
                any(each.as_published for each in found),
                all(each.no_local for each in found),
            )
        return Granted(0) if any(matches(each, topic) for each in implicit) else None

    def packet_id(self) -> int:
        """One that is free; there are more of them than messages may wait."""
        while self.next_id in self.flight:
            self.next_id = self.next_id % PACKET_IDS + 1
        taken, self.next_id = self.next_id, self.next_id % PACKET_IDS + 1
        return taken

    def let_go(self) -> None:
        """Nobody is connected: what is on disk is read from there again, what is not is lost."""
        gone = [*self.flight.values(), *self.waiting]
        self.flight.clear()
        self.waiting.clear()
        for each in gone:
            if each.seq and each.sent:
                self.sent_through = max(self.sent_through, each.seq)
            each.end("lost")

    def take_up(self, stored: Iterable[Outgoing]) -> None:
        """Read from disk: these come first, in their order, before what came while they were read."""
        known = {each.seq for each in self.waiting if each.seq}
        first = [each for each in stored if each.seq not in known]
        for each in first:
            each.sent = each.seq <= self.sent_through
        self.waiting[:0] = first

    def received(self, packet_id: int) -> None:
        """A QoS 2 message of this id is taken."""
        if isinstance(self.inbound, frozenset):
            self.inbound = set()
        self.inbound.add(packet_id)

    def let_free(self, packet_id: int) -> None:
        """The client has released it."""
        if isinstance(self.inbound, set):
            self.inbound.discard(packet_id)
            self.inbound = self.inbound or NONE
