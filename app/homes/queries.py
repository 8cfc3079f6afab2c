"""The SQL of homes; rows become structs by position."""

import msgspec

from app.homes.model import Home, Member, Person, Room
from app.hours import Window
from app.policy import Role
from app.store.tx import Reader, Row, Tx

_HOME = "SELECT id,name,time_zone,latitude,longitude,address,epoch,version,created_at,offline_alert_after FROM homes"
_MEMBER = "SELECT home_id,account_id,role,remark,until,hours,only,version,joined_at FROM members"
_ROOM = "SELECT id,home_id,name,icon,position,version FROM rooms"
# `Account.anonymous`, of an account `a`.
_ANONYMOUS = "a.login IS NULL AND (NOT a.elsewhere OR a.expires_at IS NOT NULL)"

_windows = msgspec.json.Decoder(tuple[Window, ...])
_ids = msgspec.json.Decoder(frozenset[str])


def insert_home(tx: Tx, home: Home) -> None:
    """Store a new home."""
    tx.run(
        "INSERT INTO homes(id,name,time_zone,latitude,longitude,address,epoch,version,created_at,offline_alert_after)"
        " VALUES(?,?,?,?,?,?,?,?,?,?)",
        msgspec.structs.astuple(home),
    )


def update_home(tx: Tx, home: Home) -> None:
    """Store what may change of a home."""
    tx.run(
        "UPDATE homes SET name=?,time_zone=?,latitude=?,longitude=?,address=?,epoch=?,version=?,offline_alert_after=?"
        " WHERE id=?",
        (
            home.name,
            home.time_zone,
            home.latitude,
            home.longitude,
            home.address,
            home.epoch,
            home.version,
            home.offline_alert_after,
            home.id,
        ),
    )


def home(reader: Reader, home_id: str) -> Home | None:
    """One home."""
    row = reader.one(f"{_HOME} WHERE id=?", (home_id,))
    return None if row is None else Home(*row)


def has_home(reader: Reader, home_id: str) -> bool:
    """Whether there is such a home."""
    return reader.one("SELECT 1 FROM homes WHERE id=?", (home_id,)) is not None


def delete_home(tx: Tx, home_id: str) -> None:
    """Forget a home; its rooms, members and invitations go with it."""
    tx.run("DELETE FROM homes WHERE id=?", (home_id,))


def raise_epoch(tx: Tx, home_id: str) -> Home | None:
    """Count a taking away of rights; the home as it is then."""
    tx.run("UPDATE homes SET epoch=epoch+1 WHERE id=?", (home_id,))
    return home(tx, home_id)


def all_homes(reader: Reader) -> list[Home]:
    """Every home."""
    return [Home(*row) for row in reader.all(_HOME)]


def all_contacts(reader: Reader) -> list[tuple[str, int]]:
    """(home, when its cloud was last heard from, ms) of homes that have a cloud."""
    return reader.all("SELECT home_id,coalesce(contact_at,0) FROM sync_homes WHERE cloud_id IS NOT NULL")


def contact(reader: Reader, home_id: str) -> int | None:
    """When a home's cloud was last heard from, ms; None: it has none."""
    sql = "SELECT coalesce(contact_at,0) FROM sync_homes WHERE home_id=? AND cloud_id IS NOT NULL"
    row = reader.one(sql, (home_id,))
    return None if row is None else int(row[0])


def insert_member(tx: Tx, member: Member) -> None:
    """Store a new member."""
    tx.run(
        "INSERT INTO members(home_id,account_id,role,remark,until,hours,only,version,joined_at)"
        " VALUES(?,?,?,?,?,?,?,?,?)",
        _member_row(member),
    )


def member(reader: Reader, home_id: str, account_id: str) -> Member | None:
    """One member of one home."""
    row = reader.one(f"{_MEMBER} WHERE home_id=? AND account_id=?", (home_id, account_id))
    return None if row is None else _to_member(row)


def update_member(tx: Tx, member: Member) -> None:
    """Store what may change of a member."""
    tx.run(
        "UPDATE members SET role=?,remark=?,until=?,hours=?,only=?,version=?,joined_at=? WHERE home_id=?"
        " AND account_id=?",
        (*_member_row(member)[2:], member.home_id, member.account_id),
    )


def hand_membership_on(tx: Tx, old: Member, new: Member) -> None:
    """One account's membership is another's."""
    tx.run(
        "UPDATE members SET account_id=?,version=? WHERE home_id=? AND account_id=?",
        (new.account_id, new.version, old.home_id, old.account_id),
    )


def homes_naming(reader: Reader, account_id: str, key: str) -> list[str]:
    """The names of the account's homes whose logs know it by this key (hexadecimal)."""
    rows = reader.all(
        "SELECT h.name FROM members m JOIN homes h ON h.id=m.home_id JOIN sync_entities e"
        " ON e.home_id=m.home_id AND e.kind='member' AND e.id=? AND e.dead_at IS NULL WHERE m.account_id=?",
        (key, account_id),
    )
    return [row[0] for row in rows]


def delete_member(tx: Tx, home_id: str, account_id: str) -> None:
    """Forget a member."""
    tx.run("DELETE FROM members WHERE home_id=? AND account_id=?", (home_id, account_id))


def owner(reader: Reader, home_id: str) -> Member | None:
    """Who owns a home."""
    row = reader.one(f"{_MEMBER} WHERE home_id=? AND role='owner'", (home_id,))
    return None if row is None else _to_member(row)


def members_of(reader: Reader, home_id: str) -> list[Member]:
    """The members of one home, in order of account id."""
    return [_to_member(row) for row in reader.all(f"{_MEMBER} WHERE home_id=? ORDER BY account_id", (home_id,))]


def memberships_of(reader: Reader, account_id: str) -> list[Member]:
    """What one account is in all its homes."""
    return [_to_member(row) for row in reader.all(f"{_MEMBER} WHERE account_id=?", (account_id,))]


def guests_with(reader: Reader, home_id: str, thing_id: str) -> list[Member]:
    """The guests whose grant names this device or group."""
    like = f'%"{thing_id}"%'
    return [_to_member(row) for row in reader.all(f"{_MEMBER} WHERE home_id=? AND only LIKE ?", (home_id, like))]


def count_members(reader: Reader, home_id: str) -> int:
    """How many members a home has."""
    return _count(reader, "SELECT count(*) FROM members WHERE home_id=?", home_id)


def count_memberships(reader: Reader, account_id: str) -> int:
    """How many homes an account is in."""
    return _count(reader, "SELECT count(*) FROM members WHERE account_id=?", account_id)


def people(reader: Reader, home_id: str, after: str, limit: int) -> list[tuple[Member, Person]]:
    """At most `limit` members of a home with their names, in order of account id, after the id `after`."""
    rows = reader.all(
        "SELECT m.home_id,m.account_id,m.role,m.remark,m.until,m.hours,m.only,m.version,m.joined_at,a.name,"  # noqa: S608 - our own names
        f"{_ANONYMOUS} FROM members m JOIN accounts a ON a.id=m.account_id"
        " WHERE m.home_id=? AND m.account_id>? ORDER BY m.account_id LIMIT ?",
        (home_id, after, limit),
    )
    return [(_to_member(row[:9]), Person(row[1], row[9], bool(row[10]))) for row in rows]


def person(reader: Reader, account_id: str) -> Person | None:
    """An account as others know it."""
    row = reader.one(f"SELECT a.id,a.name,{_ANONYMOUS} FROM accounts a WHERE a.id=?", (account_id,))  # noqa: S608 - our own names
    return None if row is None else Person(row[0], row[1], bool(row[2]))


def insert_room(tx: Tx, room: Room) -> None:
    """Store a new room."""
    tx.run(
        "INSERT INTO rooms(id,home_id,name,icon,position,version) VALUES(?,?,?,?,?,?)", msgspec.structs.astuple(room)
    )


def update_room(tx: Tx, room: Room) -> None:
    """Store what may change of a room."""
    tx.run(
        "UPDATE rooms SET name=?,icon=?,position=?,version=? WHERE id=?",
        (room.name, room.icon, room.position, room.version, room.id),
    )


def delete_room(tx: Tx, room_id: str) -> None:
    """Forget a room; devices in it are in none then."""
    tx.run("DELETE FROM rooms WHERE id=?", (room_id,))


def room(reader: Reader, home_id: str, room_id: str) -> Room | None:
    """One room of one home."""
    row = reader.one(f"{_ROOM} WHERE id=? AND home_id=?", (room_id, home_id))
    return None if row is None else Room(*row)


def rooms_of(reader: Reader, home_id: str) -> list[Room]:
    """The rooms of one home, in their order."""
    return [Room(*row) for row in reader.all(f"{_ROOM} WHERE home_id=? ORDER BY position,id", (home_id,))]


def home_of_room(reader: Reader, room_id: str) -> str | None:
    """The home a room is in."""
    row = reader.one("SELECT home_id FROM rooms WHERE id=?", (room_id,))
    return None if row is None else str(row[0])


def all_rooms(reader: Reader) -> list[Room]:
    """Every room of every home."""
    return [Room(*row) for row in reader.all(_ROOM)]


def _count(reader: Reader, sql: str, key: str) -> int:
    row = reader.one(sql, (key,))
    return 0 if row is None else int(row[0])


def all_members(reader: Reader) -> list[Member]:
    """Every member of every home."""
    return [_to_member(row) for row in reader.all(_MEMBER)]


def _member_row(member: Member) -> Row:
    return (
        member.home_id,
        member.account_id,
        member.role.value,
        member.remark,
        member.until,
        msgspec.json.encode(member.hours).decode(),
        None if member.only is None else msgspec.json.encode(sorted(member.only)).decode(),
        member.version,
        member.joined_at,
    )


def _to_member(row: Row) -> Member:
    home_id, account_id, role, remark, until, hours, only, version, joined_at = row
    return Member(
        home_id,
        account_id,
        Role(role),
        remark,
        until,
        _windows.decode(hours),
        None if only is None else _ids.decode(only),
        version,
        joined_at,
    )
