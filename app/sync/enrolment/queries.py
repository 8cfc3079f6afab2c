"""The SQL of a cloud's hubs, of their homes, and of the codes they enrol by."""

import msgspec

from app.store.tx import Reader, Row, Tx
from app.sync.enrolment.model import EnrolledHub, Enrolment, EnrolmentState, Introduction

_HUB = "SELECT id,public_key,seal_key,name,owner_id,node,incarnation,version,enrolled_at,heard_at,revoked_at FROM hubs"
_ENROLMENT = "SELECT id,code_hash,account_id,state,hub,created_at,expires_at FROM enrolments"
_encode = msgspec.msgpack.Encoder().encode
_introduction = msgspec.msgpack.Decoder(Introduction).decode


def all_hubs(reader: Reader) -> list[EnrolledHub]:
    """Every hub, revoked ones too."""
    return [EnrolledHub(*row) for row in reader.all(_HUB)]


def hub(reader: Reader, hub_id: str) -> EnrolledHub | None:
    """One hub."""
    row = reader.one(f"{_HUB} WHERE id=?", (hub_id,))
    return None if row is None else EnrolledHub(*row)


def hubs_of(reader: Reader, owner_id: str) -> list[EnrolledHub]:
    """Somebody's hubs, revoked ones too."""
    return [EnrolledHub(*row) for row in reader.all(f"{_HUB} WHERE owner_id=? ORDER BY id", (owner_id,))]


def put_hub(tx: Tx, hub: EnrolledHub) -> None:
    """Store a hub, new or enrolled anew or changed. When it was heard is kept apart (`heard_hub`)."""
    tx.run(
        "INSERT INTO hubs(id,public_key,seal_key,name,owner_id,node,incarnation,version,enrolled_at,revoked_at)"
        " VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET public_key=excluded.public_key,"
        "seal_key=excluded.seal_key,name=excluded.name,owner_id=excluded.owner_id,node=excluded.node,"
        "incarnation=excluded.incarnation,version=excluded.version,enrolled_at=excluded.enrolled_at,"
        "revoked_at=excluded.revoked_at",
        (
            hub.id,
            hub.public_key,
            hub.seal_key,
            hub.name,
            hub.owner_id,
            hub.node,
            hub.incarnation,
            hub.version,
            hub.enrolled_at,
            hub.revoked_at,
        ),
    )


def heard_hub(tx: Tx, hub_id: str, at: int) -> None:
    """It spoke at `at` (ms)."""
    tx.run("UPDATE hubs SET heard_at=max(coalesce(heard_at,0),?) WHERE id=?", (at, hub_id))


def delete_hub(tx: Tx, hub_id: str) -> None:
    """There is no such hub any more; its homes go with it."""
    tx.run("DELETE FROM hubs WHERE id=?", (hub_id,))


def all_hub_homes(reader: Reader) -> list[tuple[tuple[str, str], int]]:
    """Which hub serves which home, and since when (ms)."""
    return [((row[0], row[1]), row[2]) for row in reader.all("SELECT hub_id,home_id,since FROM hub_homes")]


def homes_of_hub(reader: Reader, hub_id: str) -> list[str]:
    """The homes a hub serves."""
    return [row[0] for row in reader.all("SELECT home_id FROM hub_homes WHERE hub_id=? ORDER BY home_id", (hub_id,))]


def serves(reader: Reader, hub_id: str, home_id: str) -> bool:
    """Whether a hub that is not revoked serves a home."""
    found = reader.one(
        "SELECT 1 FROM hub_homes JOIN hubs ON hubs.id=hub_homes.hub_id"
        " WHERE hub_id=? AND home_id=? AND revoked_at IS NULL",
        (hub_id, home_id),
    )
    return found is not None


def attach(tx: Tx, hub_id: str, home_id: str) -> None:
    """A hub serves a home from now on, which it did not."""
    tx.run("INSERT INTO hub_homes(hub_id,home_id,since) VALUES(?,?,?)", (hub_id, home_id, tx.now))


def restated(reader: Reader, hub_id: str, home_id: str) -> str | None:
    """The epoch of the log in which a hub has said what it had of a home."""
    row = reader.one("SELECT restated FROM hub_homes WHERE hub_id=? AND home_id=?", (hub_id, home_id))
    return None if row is None else row[0]


def set_restated(tx: Tx, hub_id: str, home_id: str, epoch: str) -> None:
    """It has, in this one."""
    tx.run("UPDATE hub_homes SET restated=? WHERE hub_id=? AND home_id=?", (epoch, hub_id, home_id))


def detach(tx: Tx, hub_id: str, home_id: str) -> bool:
    """A hub serves a home no longer; whether it did."""
    return tx.run("DELETE FROM hub_homes WHERE hub_id=? AND home_id=?", (hub_id, home_id)) > 0


def insert_enrolment(tx: Tx, enrolment: Enrolment) -> None:
    """Store a new code."""
    tx.run(
        "INSERT INTO enrolments(id,code_hash,account_id,state,created_at,expires_at) VALUES(?,?,?,?,?,?)",
        (
            enrolment.id,
            enrolment.code_hash,
            enrolment.account_id,
            enrolment.state.value,
            enrolment.created_at,
            enrolment.expires_at,
        ),
    )


def update_enrolment(tx: Tx, enrolment: Enrolment) -> None:
    """Store what became of it."""
    said = None if enrolment.hub is None else _encode(enrolment.hub)
    tx.run(
        "UPDATE enrolments SET state=?,hub=?,expires_at=? WHERE id=?",
        (enrolment.state.value, said, enrolment.expires_at, enrolment.id),
    )


def enrolment(reader: Reader, enrolment_id: str) -> Enrolment | None:
    """One code."""
    return _enrolment(reader.one(f"{_ENROLMENT} WHERE id=?", (enrolment_id,)))


def enrolment_of_code(reader: Reader, code_hash: bytes) -> Enrolment | None:
    """By its code."""
    return _enrolment(reader.one(f"{_ENROLMENT} WHERE code_hash=?", (code_hash,)))


def count_enrolments(reader: Reader, account_id: str) -> int:
    """How many codes somebody has, ended ones too."""
    row = reader.one("SELECT count(*) FROM enrolments WHERE account_id=?", (account_id,))
    return 0 if row is None else int(row[0])


def forget_oldest_ended(tx: Tx, account_id: str) -> None:
    """Make room for one: forget somebody's oldest code that nobody can use any more."""
    tx.run(
        "DELETE FROM enrolments WHERE id=(SELECT id FROM enrolments WHERE account_id=?"
        " AND (state IN ('confirmed','refused') OR expires_at<=?) ORDER BY created_at LIMIT 1)",
        (account_id, tx.now),
    )


def forget_enrolments(tx: Tx, before: int, most: int) -> int:
    """Forget at most `most` codes whose time was over before `before` (ms); returns how many."""
    return tx.run(
        "DELETE FROM enrolments WHERE id IN (SELECT id FROM enrolments WHERE expires_at<? LIMIT ?)", (before, most)
    )


def _enrolment(row: Row | None) -> Enrolment | None:
    if row is None:
        return None
    fields = list(row)
    fields[3] = EnrolmentState(row[3])
    fields[4] = None if row[4] is None else _introduction(row[4])
    return Enrolment(*fields)
