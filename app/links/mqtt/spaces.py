"""The topics of each device, a world of its own: who is subscribed in it, and what is retained there."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from app.clock import Clock
from app.links.mqtt import keeping
from app.links.mqtt.errors import Declined, Reason
from app.links.mqtt.keeping import Change, Keeping, Retained
from app.links.mqtt.limits import Limits
from app.links.mqtt.packets import Subscription
from app.links.mqtt.ports import Message
from app.links.mqtt.session import Granted, Outgoing, Session
from app.links.mqtt.topics import matches
from app.store.tx import Tx


class Speaking(Protocol):
    """Who is connected for a session."""

    implicit: Sequence[str]

    @property
    def is_welcome(self) -> bool:
        """Its CONNECT was answered."""

    def send(self, message: Outgoing) -> bool:
        """Towards the client; False when it was dropped."""


class Space:
    """One device's."""

    __slots__ = ("retained", "sessions")

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Retained] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has subscribed to anything."""
        return not any(session.subscriptions for session in self.sessions.values())

    def put(self, kept: Retained) -> None:
        """In place of what was; an empty payload only takes away."""
        if kept.payload:
            self.retained[kept.topic] = kept
        else:
            self.retained.pop(kept.topic, None)


class Delivery:
    """A message on its way to a session; `deliver` once what it takes on disk is there."""

    __slots__ = ("message", "session")

    def __init__(self, session: Session, message: Outgoing) -> None:
        self.session = session
        self.message = message

    def deliver(self) -> bool:
        """To who is connected; for who is not, it is on disk."""
        connection: Speaking | None = self.session.connection
        if connection is None:
            return bool(self.message.seq)
        if not connection.is_welcome and self.message.seq:
            # What the session is owed is still being read: this comes after it.
            self.session.waiting.append(self.message)
            return True
        return connection.send(self.message)

    def undo(self) -> None:
        """It did not come onto the disk, and is not delivered."""
        if self.message.seq:
            self.session.kept -= 1
            self.session.kept_bytes -= self.message.size


class Spaces:
    """All of them; empty ones are not kept."""

    def __init__(self, keeping: Keeping, clock: Clock, limits: Limits) -> None:
        self._keeping = keeping
        self._clock = clock
        self._limits = limits
        self._spaces: dict[str, Space] = {}

    async def open(self) -> None:
        """Read what is on disk; nobody is connected."""
        sessions, retained = await self._keeping.open()
        now = self._clock.now().ms
        for session in sessions:
            if session.ends_at is None:
                session.ends_at = now + session.life * 1000
            self.of(session.device_id).sessions[session.name] = session
        for device_id, kept in retained:
            self.of(device_id).retained[kept.topic] = kept

    def of(self, device_id: str) -> Space:
        """The device's, made where there is none."""
        space = self._spaces.get(device_id)
        if space is None:
            space = self._spaces[device_id] = Space()
        return space

    def find(self, device_id: str) -> Space | None:
        """The device's, if there is one."""
        return self._spaces.get(device_id)

    def connection(self, device_id: str, name: str) -> Any:
        """Who is connected for that session, None where nobody is."""
        space = self._spaces.get(device_id)
        session = space.sessions.get(name) if space is not None else None
        return session.connection if session is not None else None

    def all(self) -> Iterator[Session]:
        """Every session."""
        return (session for space in list(self._spaces.values()) for session in list(space.sessions.values()))

    def remove(self, session: Session) -> Change | None:
        """It has ended; what is to be written of that."""
        space = self._spaces.get(session.device_id)
        if space is not None and space.sessions.get(session.name) is session:
            del space.sessions[session.name]
            if not space.sessions and not space.retained:
                del self._spaces[session.device_id]
        session.let_go()
        row, session.row = session.row, 0
        return partial(_erase, row) if row else None

    def forget(self, device_id: str) -> Change:
        """Nothing of it is left; its connections are the caller's to end first."""
        space = self._spaces.pop(device_id, None)
        for session in space.sessions.values() if space is not None else ():
            session.row = 0
            session.let_go()
        return partial(_forget, device_id)

    def ended(self) -> list[Session]:
        """Those nobody has come back to."""
        now = self._clock.now().ms
        return [s for s in self.all() if s.connection is None and s.ends_at is not None and s.ends_at <= now]

    def route(self, origin: Session, message: Message) -> tuple[list[Change], list[Delivery]]:
        """What one of the device's own clients published: to write, and then to deliver to the others.

        Raises Declined where it is to be retained and there is no room.
        """
        space = self._spaces.get(origin.device_id)
        if space is None:
            return [], []
        changes = [self._retain(origin.device_id, space, message)] if message.retain else []
        deliveries = []
        for session in space.sessions.values():
            granted = session.granted(message.topic)
            if granted is None or (granted.no_local and session is origin):
                continue
            qos = min(granted.qos, message.qos)
            made = self._outgoing(message, qos, granted)
            made.retain = message.retain and granted.as_published
            if (change := self.placed(session, made)) is not None:
                changes.append(change)
            deliveries.append(Delivery(session, made))
        return changes, deliveries

    def downward(self, device_id: str, message: Message, *, keep: bool) -> tuple[list[Change], list[Delivery]]:
        """What the hub publishes to a device. Without `keep` only who is connected has it, and nothing is written."""
        space = self._spaces.get(device_id)
        changes, deliveries = [], []
        for session in space.sessions.values() if space is not None else ():
            connection: Speaking | None = session.connection
            granted = session.granted(message.topic, connection.implicit if connection is not None else ())
            if granted is None or (connection is None and not keep):
                continue
            made = self._outgoing(message, min(granted.qos, message.qos), granted)
            if keep and (change := self.placed(session, made)) is not None:
                changes.append(change)
            if connection is not None or made.seq:
                deliveries.append(Delivery(session, made))
        return changes, deliveries

    async def deliver(self, changes: Sequence[Change], deliveries: Sequence[Delivery]) -> int:
        """Write, then deliver; returns how many were taken. Raises StoreError, and then nothing was delivered."""
        if changes:
            try:
                await self._keeping.write(changes)
            except BaseException:
                for delivery in deliveries:
                    delivery.undo()
                raise
        return sum([delivery.deliver() for delivery in deliveries])

    def _outgoing(self, message: Message, qos: int, granted: Granted) -> Outgoing:
        expires = None
        if message.properties is not None and message.properties.expiry is not None:
            expires = self._clock.now().ms + message.properties.expiry * 1000
        return Outgoing(
            message.topic, message.payload, qos, properties=message.properties, ids=granted.ids, expires=expires
        )

    def placed(self, session: Session, message: Outgoing) -> Change | None:
        """With a row, where the session outlives its connection and has room; else it ends with the connection."""
        limits = self._limits
        if not message.qos or not session.row or session.kept >= limits.kept:
            return None
        if session.kept_bytes + message.size > limits.kept_bytes:
            return None
        message.seq, message.packet_id = self._keeping.next_seq(), session.packet_id()
        session.kept += 1
        session.kept_bytes += message.size
        return partial(_owe, session.row, message)

    def _retain(self, device_id: str, space: Space, message: Message) -> Change:
        kept, now = self._kept(message), self._clock.now().ms
        for topic in [t for t, each in space.retained.items() if each.expires is not None and each.expires <= now]:
            del space.retained[topic]
        if kept.payload:
            size = sum(len(each.payload) for topic, each in space.retained.items() if topic != kept.topic)
            others = len(space.retained.keys() - {kept.topic})
            if others >= self._limits.retained or size + len(kept.payload) > self._limits.retained_bytes:
                raise Declined(Reason.QUOTA, "no room for another retained message")
        # Ahead of the disk, so that the next of a batch counts it; who is not acknowledged says it again.
        space.put(kept)
        return partial(_retain, device_id, kept)

    def _kept(self, message: Message) -> Retained:
        expires = None
        if message.properties is not None and message.properties.expiry is not None:
            expires = self._clock.now().ms + message.properties.expiry * 1000
        return Retained(message.topic, message.payload, message.qos, message.properties, expires)

    def retained(self, device_id: str, topic_filter: str, asked: Subscription) -> Iterable[Outgoing]:
        """What a new subscription is sent first."""
        space, now = self._spaces.get(device_id), self._clock.now().ms
        for kept in list(space.retained.values()) if space is not None else ():
            if not matches(topic_filter, kept.topic) or (kept.expires is not None and kept.expires <= now):
                continue
            yield Outgoing(
                kept.topic,
                kept.payload,
                min(kept.qos, asked.qos),
                retain=True,
                properties=kept.properties,
                ids=() if asked.id is None else (asked.id,),
                expires=kept.expires,
            )


def _erase(row: int, tx: Tx) -> None:
    keeping.erase(tx, row)


def _forget(device_id: str, tx: Tx) -> None:
    keeping.forget(tx, device_id)


def _owe(row: int, message: Outgoing, tx: Tx) -> None:
    keeping.owe(tx, row, message)


def _retain(device_id: str, kept: Retained, tx: Tx) -> None:
    keeping.retain(tx, device_id, kept)
