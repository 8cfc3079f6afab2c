"""The SQL of shares; rows become structs by position."""

from collections.abc import Sequence

import msgspec

from app.hours import Window
from app.policy import Level
from app.sharing.model import Share, ShareState
from app.store.tx import Reader, Row, Tx, json_of

_COLUMNS = (
    "id,home_id,kind,thing_id,giver_id,receiver_id,login,code_hash,level,until,hours,state,remark,version,created_at,"
    "expires_at,accepted_at,ended_at"
)
_SHARE = f"SELECT {_COLUMNS} FROM shares"  # noqa: S608 - our own names
_INSERT = f"INSERT INTO shares({_COLUMNS}) VALUES({','.join('?' * len(Share.__struct_fields__))})"
_AS_NEW = ",".join(f"{name}=excluded.{name}" for name in _COLUMNS.split(",") if name not in ("id", "home_id"))
_STORE = f"{_INSERT} ON CONFLICT(id) DO UPDATE SET {_AS_NEW}"
_LIVE = "(state='accepted' OR (state='pending' AND expires_at>?))"

_windows = msgspec.json.Decoder(tuple[Window, ...])


def insert_share(tx: Tx, share: Share) -> None:
    """Store a new share."""
    tx.run(_INSERT, _row(share))


def store_share(tx: Tx, share: Share) -> None:
    """Store a share, whether or not there was one of its id, together with others; who asks for it settles first."""
    tx.put(_STORE, _row(share))


def delete_share(tx: Tx, share_id: str) -> None:
    """Forget a share."""
    tx.run("DELETE FROM shares WHERE id=?", (share_id,))


def update_share(tx: Tx, share: Share) -> None:
    """Store what may change of a share."""
    tx.run(
        "UPDATE shares SET receiver_id=?,level=?,until=?,hours=?,state=?,remark=?,version=?,accepted_at=?,ended_at=?"
        " WHERE id=?",
        (
            share.receiver_id,
            share.level.value,
            share.until,
            _encoded(share.hours),
            share.state.value,
            share.remark,
            share.version,
            share.accepted_at,
            share.ended_at,
            share.id,
        ),
    )


def hand_given_on(tx: Tx, account_id: str, to: str) -> None:
    """What one account gave, another gave."""
    tx.run("UPDATE shares SET giver_id=? WHERE giver_id=?", (to, account_id))


def hand_received_on(tx: Tx, account_id: str, to: str) -> None:
    """What one account had, another had."""
    tx.run("UPDATE shares SET receiver_id=? WHERE receiver_id=?", (to, account_id))


def forget_ended(tx: Tx, home_id: str, most: int) -> list[str]:
    """Make room: forget the oldest shares of a home that give nothing any more; returns their ids."""
    rows = tx.all(
        "DELETE FROM shares WHERE id IN (SELECT id FROM shares WHERE home_id=? AND (state IN ('refused','ended')"
        " OR (state='pending' AND expires_at<=?) OR until<=?) ORDER BY created_at LIMIT ?) RETURNING id",
        (home_id, tx.now, tx.now, most),
    )
    return [row[0] for row in rows]


def count(reader: Reader, home_id: str) -> int:
    """How many shares of a home there are, ended ones too."""
    row = reader.one("SELECT count(*) FROM shares WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def count_received(reader: Reader, account_id: str) -> int:
    """How many accepted shares an account has."""
    row = reader.one("SELECT count(*) FROM shares WHERE receiver_id=? AND state='accepted'", (account_id,))
    return 0 if row is None else int(row[0])


def by_code(reader: Reader, code_hash: bytes) -> Share | None:
    """The share of a code."""
    return _one(reader.one(f"{_SHARE} WHERE code_hash=?", (code_hash,)))


def of_home(reader: Reader, home_id: str, share_id: str) -> Share | None:
    """One share a home gives."""
    return _one(reader.one(f"{_SHARE} WHERE id=? AND home_id=?", (share_id, home_id)))


def any_of(reader: Reader, ids: Sequence[str]) -> dict[str, Share]:
    """Those of `ids` that are shares, of whatever home."""
    sql = f"{_SHARE} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
    rows = reader.all(sql, (json_of(ids),))
    return {row[0]: _to_share(row) for row in rows}


def ids_of_home(reader: Reader, home_id: str) -> list[str]:
    """The shares of a home that other nodes know: not what was only ever offered to a login of this one."""
    sql = "SELECT id FROM shares WHERE home_id=? AND (code_hash IS NOT NULL OR accepted_at IS NOT NULL) ORDER BY id"
    return [row[0] for row in reader.all(sql, (home_id,))]


def for_account(reader: Reader, account_id: str, share_id: str) -> Share | None:
    """One share offered to an account, or accepted by it."""
    return _one(reader.one(f"{_SHARE} WHERE id=? AND receiver_id=?", (share_id, account_id)))


def listed(reader: Reader, home_id: str, after: str, limit: int) -> list[Share]:
    """At most `limit` shares of a home in the order they were made, after the id `after`."""
    return _all(reader.all(f"{_SHARE} WHERE home_id=? AND id>? ORDER BY id LIMIT ?", (home_id, after, limit)))


def listed_of_thing(reader: Reader, home_id: str, thing_id: str, after: str, limit: int) -> list[Share]:
    """At most `limit` shares of a device or group in the order they were made, after the id `after`."""
    return _all(
        reader.all(
            f"{_SHARE} WHERE thing_id=? AND home_id=? AND id>? ORDER BY id LIMIT ?", (thing_id, home_id, after, limit)
        )
    )


def received(reader: Reader, account_id: str, after: str, now: int, limit: int) -> list[Share]:
    """At most `limit` shares an account has or can accept at `now` (ms), after the id `after`."""
    rows = reader.all(
        f"{_SHARE} WHERE receiver_id=? AND {_LIVE} AND (until IS NULL OR until>?) AND id>? ORDER BY id LIMIT ?",
        (account_id, now, now, after, limit),
    )
    return _all(rows)


def live_to_login(reader: Reader, thing_id: str, login: str, now: int) -> Share | None:
    """A share of this thing that this login has, or can accept at `now` (ms)."""
    row = reader.one(
        f"{_SHARE} WHERE thing_id=? AND login=? AND {_LIVE} AND (until IS NULL OR until>?)",
        (thing_id, login, now, now),
    )
    return _one(row)


def open_of_thing(reader: Reader, thing_id: str) -> list[Share]:
    """What a device or group is lent by, offers too."""
    return _all(reader.all(f"{_SHARE} WHERE thing_id=? AND state IN ('pending','accepted')", (thing_id,)))


def open_of_home(reader: Reader, home_id: str) -> list[Share]:
    """What a home lends, offers too."""
    return _all(reader.all(f"{_SHARE} WHERE home_id=? AND state IN ('pending','accepted')", (home_id,)))


def open_to(reader: Reader, account_id: str) -> list[Share]:
    """What an account is lent, offers too."""
    return _all(reader.all(f"{_SHARE} WHERE receiver_id=? AND state IN ('pending','accepted')", (account_id,)))


def accepted(reader: Reader, account_id: str, things: tuple[str, ...]) -> list[tuple[Share, str]]:
    """The accepted shares of any of these things with an account, each with its home's time zone."""
    columns = ",".join(f"s.{name}" for name in _COLUMNS.split(","))
    rows = reader.all(
        f"SELECT {columns},h.time_zone FROM shares s JOIN homes h ON h.id=s.home_id"  # noqa: S608 - our own names
        f" WHERE s.receiver_id=? AND s.state='accepted' AND s.thing_id IN ({','.join('?' * len(things))})",
        (account_id, *things),
    )
    return [(_to_share(row[:-1]), row[-1]) for row in rows]


def accepted_from(reader: Reader, account_id: str) -> list[Share]:
    """What somebody has by a share of this account's."""
    return _all(reader.all(f"{_SHARE} WHERE giver_id=? AND state='accepted'", (account_id,)))


def all_accepted(reader: Reader) -> list[Share]:
    """Every accepted share."""
    return _all(reader.all(f"{_SHARE} WHERE state='accepted'"))


def _encoded(hours: tuple[Window, ...]) -> str:
    return msgspec.json.encode(hours).decode()


def _row(share: Share) -> Row:
    fields = msgspec.structs.asdict(share)
    coded = {"level": share.level.value, "hours": _encoded(share.hours), "state": share.state.value}
    return tuple((fields | coded).values())


def _one(row: Row | None) -> Share | None:
    return None if row is None else _to_share(row)


def _all(rows: list[Row]) -> list[Share]:
    return [_to_share(row) for row in rows]


def _to_share(row: Row) -> Share:
    fields = list(row)
    fields[8] = Level(row[8])
    fields[10] = _windows.decode(row[10])
    fields[11] = ShareState(row[11])
    return Share(*fields)
