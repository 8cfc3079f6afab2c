"""What of MQTT is on disk: sessions that outlive connections, what they are owed, and retained messages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec
import structlog
from msgspec import Struct

from app.links.mqtt.packets import Subscription
from app.links.mqtt.ports import Properties
from app.links.mqtt.session import NONE, OVERHEAD, PACKET_IDS, Outgoing, Session
from app.store.errors import StoreClosed, StoreError
from app.store.store import Store
from app.store.tx import Reader, Row, Tx

_OWED = "SELECT seq,packet_id,topic,payload,qos,retain,released,expires_at,more FROM mqtt_owed WHERE session_id=?"
# Rows of one statement that deletes what was acknowledged.
AT_ONCE = 500
_log = structlog.get_logger("doorstep.mqtt")
_encode = msgspec.json.Encoder().encode
_subscriptions = msgspec.json.Decoder(dict[str, Subscription]).decode


Change = Callable[[Tx], object]
"""What is to be written, with others in one act."""


def together(changes: Sequence[Change]) -> Callable[[Tx], None]:
    """All of them as one act."""
    return partial(_together, changes)


def _together(changes: Sequence[Change], tx: Tx) -> None:
    for change in changes:
        change(tx)


class More(Struct, frozen=True, omit_defaults=True):
    """Of a message, what MQTT 5 says beside it."""

    properties: Properties | None = None
    ids: tuple[int, ...] = ()


_more = msgspec.json.Decoder(More).decode


class Retained(Struct, frozen=True):
    """The last message of a topic that was to be kept for who subscribes later."""

    topic: str
    payload: bytes
    qos: int
    properties: Properties | None = None
    expires: int | None = None


class Keeping:
    """`open` it once the store is. Rows are numbered here, so that a message has its number before it is written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions = 0
        self._seq = 0
        self._finished: list[int] = []

    async def open(self) -> tuple[list[Session], list[tuple[str, Retained]]]:
        """Everything but the messages that are owed, whose number and size alone are read."""
        sessions, retained = await self._store.read(lambda reader: (list(_sessions(reader)), list(_retained(reader))))
        self._sessions, self._seq = await self._store.read(_highest)
        return sessions, retained

    async def write(self, changes: Sequence[Change]) -> None:
        """All of it in one act; raises StoreError."""
        await self._store.write(together(changes))

    def number(self, session: Session) -> None:
        """Give it a row's number; `save` writes the row."""
        self._sessions += 1
        session.row = self._sessions

    def next_seq(self) -> int:
        """For a message; they are sent in this order."""
        self._seq += 1
        return self._seq

    def finish(self, seqs: list[int]) -> None:
        """These are acknowledged: have their rows deleted before any later write."""
        self._finished += seqs
        self.flush()

    def flush(self) -> None:
        """Hand over what is finished to the writer. With a disk that fails it waits for the next time."""
        seqs = self._finished
        if not seqs:
            return
        self._finished = []
        try:
            self._store.submit(partial(_delete_owed, seqs), partial(self._flushed, seqs), None)
        except StoreClosed:
            _log.info("acknowledged messages are sent once more after the restart", messages=len(seqs))
        except StoreError:
            self._finished += seqs

    def _flushed(self, seqs: list[int], result: bytes | None, error: Exception | None) -> None:
        if error is not None:
            self._finished += seqs


def saved(session: Session) -> Callable[[Tx], None]:
    """What writes its row as it is at this moment."""
    subscriptions = _encode(session.subscriptions)
    row = (session.row, session.device_id, session.name, session.life, session.ends_at, subscriptions)
    return partial(_save, row)


def _save(row: tuple[object, ...], tx: Tx) -> None:
    tx.run(
        "INSERT INTO mqtt_sessions(id,device_id,name,life,ends_at,subscriptions) VALUES(?,?,?,?,?,?)"
        " ON CONFLICT(id) DO UPDATE SET life=excluded.life, ends_at=excluded.ends_at,"
        " subscriptions=excluded.subscriptions",
        row,
    )


def erase(tx: Tx, row: int) -> None:
    """Its row and all that hangs on it."""
    tx.run("DELETE FROM mqtt_sessions WHERE id=?", (row,))


def received(row: int, packet_id: int, tx: Tx) -> None:
    """A QoS 2 message of this id is taken."""
    tx.run(
        "INSERT OR IGNORE INTO mqtt_received(session_id,packet_id) SELECT id,? FROM mqtt_sessions WHERE id=?",
        (packet_id, row),
    )


def let_go(tx: Tx, row: int, packet_ids: Iterable[int]) -> None:
    """The client has released them: the ids are free."""
    for packet_id in packet_ids:
        tx.run("DELETE FROM mqtt_received WHERE session_id=? AND packet_id=?", (row, packet_id))


def owe(tx: Tx, row: int, message: Outgoing) -> None:
    """Keep it until it is acknowledged; a session that has just ended is owed nothing."""
    more = _encode(More(message.properties, message.ids)) if message.properties or message.ids else None
    tx.run(
        "INSERT INTO mqtt_owed(seq,session_id,packet_id,topic,payload,qos,retain,expires_at,more)"
        " SELECT ?,id,?,?,?,?,?,?,? FROM mqtt_sessions WHERE id=?",
        (
            message.seq,
            message.packet_id,
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            message.expires,
            more,
            row,
        ),
    )


def released(tx: Tx, seq: int) -> None:
    """The client has it: only PUBREL is repeated from now on."""
    tx.run("UPDATE mqtt_owed SET released=1 WHERE seq=?", (seq,))


def owed(tx: Reader, row: int) -> list[Outgoing]:
    """All of a session's, in order."""
    return [_outgoing(each) for each in tx.all(_OWED + " ORDER BY seq", (row,))]


def _outgoing(row: Row) -> Outgoing:
    seq, packet_id, topic, payload, qos, retained, is_released, expires, more = row
    beside = _more(more) if more else More()
    made = Outgoing(
        topic, payload, qos, retain=bool(retained), properties=beside.properties, ids=beside.ids, expires=expires
    )
    made.seq, made.packet_id, made.released = seq, packet_id, bool(is_released)
    return made


def retain(tx: Tx, device_id: str, kept: Retained) -> None:
    """In place of what was; an empty payload only takes away (3.3.1.3)."""
    if not kept.payload:
        tx.run("DELETE FROM mqtt_retained WHERE device_id=? AND topic=?", (device_id, kept.topic))
        return
    more = _encode(More(kept.properties)) if kept.properties else None
    tx.run(
        "INSERT OR REPLACE INTO mqtt_retained(device_id,topic,payload,qos,expires_at,more) VALUES(?,?,?,?,?,?)",
        (device_id, kept.topic, kept.payload, kept.qos, kept.expires, more),
    )


def forget(tx: Tx, device_id: str) -> None:
    """All of a device."""
    tx.run("DELETE FROM mqtt_sessions WHERE device_id=?", (device_id,))
    tx.run("DELETE FROM mqtt_retained WHERE device_id=?", (device_id,))


def _delete_owed(seqs: list[int], tx: Tx) -> bytes:
    for begin in range(0, len(seqs), AT_ONCE):
        some = seqs[begin : begin + AT_ONCE]
        tx.run(f"DELETE FROM mqtt_owed WHERE seq IN ({','.join('?' * len(some))})", some)  # noqa: S608 - marks only
    return b""


def _sessions(reader: Reader) -> Iterator[Session]:
    ids: dict[int, set[int]] = {}
    for row, packet_id in reader.all("SELECT session_id,packet_id FROM mqtt_received"):
        ids.setdefault(row, set()).add(packet_id)
    for row, device_id, name, life, ends_at, subscriptions, count, size, last, packet_id in reader.all(
        "SELECT s.id,device_id,name,life,ends_at,subscriptions,count(seq),"
        "coalesce(sum(length(payload)+length(topic)),0),coalesce(max(seq),0),coalesce(max(packet_id),0)"
        " FROM mqtt_sessions s LEFT JOIN mqtt_owed ON session_id=s.id GROUP BY s.id"
    ):
        session = Session(device_id, name)
        session.row, session.life, session.ends_at = row, life, ends_at
        session.subscriptions = _subscriptions(subscriptions)
        session.inbound = ids.get(row, NONE)
        session.kept, session.kept_bytes = count, size + OVERHEAD * count
        # What was sent before the hub ended is not known: all of it may have been.
        session.sent_through, session.next_id = last, packet_id % PACKET_IDS + 1
        yield session


def _retained(reader: Reader) -> Iterator[tuple[str, Retained]]:
    for device_id, topic, payload, qos, expires, more in reader.all(
        "SELECT device_id,topic,payload,qos,expires_at,more FROM mqtt_retained"
    ):
        yield device_id, Retained(topic, payload, qos, _more(more).properties if more else None, expires)


def _highest(reader: Reader) -> tuple[int, int]:
    row = reader.one(
        "SELECT coalesce((SELECT max(id) FROM mqtt_sessions),0),coalesce((SELECT max(seq) FROM mqtt_owed),0)"
    )
    return (row[0] or 0, row[1] or 0) if row is not None else (0, 0)
