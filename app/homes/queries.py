"""The SQL of homes; rows become structs by position."""

import msgspec

from app.homes.model import Home, Member
from app.policy import Role, Window
from app.store.tx import Reader, Row, Tx

_HOME = "SELECT id,name,time_zone,latitude,longitude,address,epoch,version,created_at FROM homes"
_MEMBER = "SELECT home_id,account_id,role,remark,until,hours,only,version,joined_at FROM members"

_windows = msgspec.json.Decoder(tuple[Window, ...])
_ids = msgspec.json.Decoder(frozenset[str])


def insert_home(tx: Tx, home: Home) -> None:
    """Store a new home."""
    tx.run(
        "INSERT INTO homes(id,name,time_zone,latitude,longitude,address,epoch,version,created_at)"
        " VALUES(?,?,?,?,?,?,?,?,?)",
        msgspec.structs.astuple(home),
    )


def update_home(tx: Tx, home: Home) -> None:
    """Store what may change of a home."""
    tx.run(
        "UPDATE homes SET name=?,time_zone=?,latitude=?,longitude=?,address=?,epoch=?,version=? WHERE id=?",
        (
            home.name,
            home.time_zone,
            home.latitude,
            home.longitude,
            home.address,
            home.epoch,
            home.version,
            home.id,
        ),
    )


def home(reader: Reader, home_id: str) -> Home | None:
    """One home."""
    row = reader.one(f"{_HOME} WHERE id=?", (home_id,))
    return None if row is None else Home(*row)


def all_homes(reader: Reader) -> list[Home]:
    """Every home."""
    return [Home(*row) for row in reader.all(_HOME)]


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
