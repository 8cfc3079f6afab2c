"""Whatever changes a fact is watched: a trigger made of each kind's watches names it, and its home."""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar

import pytest

from app.caller import BY_SYSTEM
from app.store.tx import Reader, Tx
from app.sync.kinds import Kind, Watch
from tests.api.households import account_of, new_home
from tests.sync.household import Household
from tests.sync.sides import key_of, kinds_of, put

T = TypeVar("T")
Facts: TypeAlias = dict[tuple[str, str], dict[str, Any] | None]

TABLES = ("homes", "members", "rooms", "invitations", "shares", "accounts")
# What a column can be, where it is not just a longer text or a larger number.
OTHERWISE: dict[tuple[str, str], tuple[Any, ...]] = {
    ("homes", "time_zone"): ("Asia/Tokyo",),
    ("invitations", "code_hash"): (bytes(32),),
    ("shares", "code_hash"): (bytes(32),),
    ("members", "role"): ("member", "guest"),
    ("members", "hours"): ('[{"days":[1],"start":1,"end":2}]',),
    ("members", "only"): ('["x"]',),
    ("invitations", "role"): ("member", "admin"),
    ("invitations", "hours"): ('[{"days":[1],"start":1,"end":2}]',),
    ("invitations", "only"): ('["x"]',),
    ("invitations", "state"): ("refused",),
    ("invitations", "anonymous"): (1, 0),
    ("shares", "kind"): ("device", "group"),
    ("shares", "level"): ("view", "control"),
    ("shares", "hours"): ('[{"days":[1],"start":1,"end":2}]',),
    ("shares", "state"): ("refused",),
    ("accounts", "login"): (None, "another"),
    ("accounts", "elsewhere"): (1, 0),
}
# Names of the row rather than what it says; they never change.
FIXED = {
    "homes": {"id"},
    "members": {"home_id", "account_id"},
    "rooms": {"id", "home_id"},
    "invitations": {"id", "home_id"},
    "shares": {"id", "home_id"},
    "accounts": {"id", "public_key"},
}


def _triggers(kind: Kind) -> list[str]:
    """SQL that notes, in `seen`, what each change of a watched row is about."""
    made = []
    for n, watch in enumerate(kind.watches):
        for event, row in (("INSERT", "new"), ("DELETE", "old"), ("UPDATE", "new")):
            of = f" OF {','.join(watch.columns)}" if watch.columns is not None and event == "UPDATE" else ""
            made.append(
                f"CREATE TEMP TRIGGER {kind.name}_{n}_{event} AFTER {event}{of} ON main.{watch.table} BEGIN"
                f" INSERT INTO seen SELECT '{kind.name}',* FROM ({_about(watch, row)}); END"
            )
    return made


def _about(watch: Watch, row: str) -> str:
    about = watch.many if watch.many is not None else f"SELECT {watch.id},{watch.home_id}"
    return about.replace("$.", f"{row}.")


# Where a person stands, by their account.
PEOPLE = {"giver_id", "receiver_id", "created_by", "taken_by"}


class Undo(Exception):
    """Nothing of it is to stay."""


def _facts(reader: Reader, kinds: dict[str, Kind], home_id: str, known: Facts) -> Facts:
    return {
        (name, entity_id): kind.read_in(reader, home_id, entity_id, known.get((name, entity_id)))
        for name, kind in kinds.items()
        for entity_id in kind.ids_in(reader, home_id)
    }


class Watched:
    """Tries changes of rows, one at a time, and takes each back."""

    def __init__(self, tx: Tx, kinds: dict[str, Kind], home_id: str) -> None:
        self.tx, self._kinds, self._home_id = tx, kinds, home_id
        tx.run("CREATE TEMP TABLE seen(kind,id,home_id)")
        for kind in kinds.values():
            for sql in _triggers(kind):
                tx.run(sql)
        self.before = _facts(tx, kinds, home_id, {})

    def changed_by(self, act: Callable[[Tx], object]) -> set[tuple[str, str]]:
        """Which facts are others after it. Each of them has been seen, and nothing of another home."""
        self.tx.run("SAVEPOINT one")
        self.tx.run("DELETE FROM seen")
        # What the schema does not have need not be seen either.
        with suppress(sqlite3.IntegrityError):
            act(self.tx)
        after = _facts(self.tx, self._kinds, self._home_id, self.before)
        seen = self.tx.all("SELECT kind,id,home_id FROM seen WHERE id IS NOT NULL AND home_id IS NOT NULL")
        self.tx.run("ROLLBACK TO one")
        self.tx.run("RELEASE one")
        changed = {key for key in self.before.keys() | after.keys() if self.before.get(key) != after.get(key)}
        assert changed <= {(kind, entity_id) for kind, entity_id, _ in seen}
        assert {home_id for *_, home_id in seen} <= {self._home_id}
        return changed


async def _watched(house: Household, act: Callable[[Watched], T]) -> T:
    """`act(Watched)` inside a transaction that leaves nothing behind."""
    result: list[T] = []

    def run(tx: Tx) -> None:
        result.append(act(Watched(tx, kinds_of(house.hub), house.id)))
        raise Undo

    with pytest.raises(Undo):
        await house.hub.store.write(run)
    return result[0]


def _columns(tx: Tx, table: str) -> list[str]:
    return [row[1] for row in tx.all(f"PRAGMA table_info({table})") if row[1] not in FIXED[table]]


def _others(tx: Tx, table: str, column: str, value: Any) -> tuple[Any, ...]:
    """Values it could have instead."""
    if (table, column) in OTHERWISE:
        return OTHERWISE[table, column]
    if column in PEOPLE:
        return tuple(tx.all("SELECT id FROM accounts WHERE id IS NOT ? LIMIT 1", (value,))[0])
    if isinstance(value, bytes):
        return (value[::-1],)
    if isinstance(value, str):
        return (f"{value}x",)
    return (1 if value is None else value + 1,)


def _rows(tx: Tx, table: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Each row of a table, as a condition."""
    key = "account_id" if table == "members" else "id"
    return [(f"{key}=?", row) for row in tx.all(f"SELECT {key} FROM {table}")]


def _try_each_column(watched: Watched) -> set[tuple[str, str]]:
    """The columns that made any fact another."""
    tx, telling = watched.tx, set()
    for table in TABLES:
        for where, key in _rows(tx, table):
            for column in _columns(tx, table):
                (value,) = tx.all(f"SELECT {column} FROM {table} WHERE {where}", key)[0]
                for other in _others(tx, table, column, value):
                    sql = f"UPDATE {table} SET {column}=? WHERE {where}"
                    if watched.changed_by(partial(Tx.run, sql=sql, args=(other, *key))):
                        telling.add((table, column))
    return telling


async def test_each_column_that_makes_a_fact_another_is_watched(house: Household) -> None:
    # Somebody from elsewhere besides: of them other columns matter.
    await put(house.hub, house.id, {"member": {hashlib.sha256(b"max").hexdigest(): house.member()}})
    telling = await _watched(house, _try_each_column)
    # Every field of every kind was made another by some column.
    assert telling == {
        *(("homes", c) for c in ("name", "time_zone", "latitude", "longitude", "address", "offline_alert_after")),
        *(("members", c) for c in ("role", "remark", "until", "hours", "only", "joined_at")),
        *(("rooms", c) for c in ("name", "icon", "position")),
        *(
            ("invitations", c)
            for c in (
                "code_hash", "role", "until", "hours", "only", "anonymous", "state", "created_by", "taken_by",
                "created_at", "expires_at",
            )
        ),
        *(
            ("shares", c)
            for c in (
                "kind", "thing_id", "giver_id", "receiver_id", "code_hash", "level", "until", "hours", "state",
                "remark", "created_at", "expires_at", "accepted_at", "ended_at",
            )
        ),
        *(("accounts", c) for c in ("name", "login", "elsewhere", "expires_at")),
    }  # fmt: skip


async def test_what_comes_and_goes_is_watched(house: Household) -> None:
    def act(watched: Watched) -> int:
        gone = 0
        for table in TABLES:
            for where, key in _rows(watched.tx, table) if table != "accounts" else ():
                sql = f"DELETE FROM {table} WHERE {where}"
                gone += len(watched.changed_by(partial(Tx.run, sql=sql, args=key)))
        room = "INSERT INTO rooms(id,home_id,name,position) VALUES('r-1',?,'Attic',9)"
        assert watched.changed_by(lambda tx: tx.run(room, (house.id,))) == {("room", "r-1")}
        return gone

    assert await _watched(house, act) >= 14


async def test_an_account_that_goes_is_watched(house: Household) -> None:
    accounts = house.hub.services.accounts
    keys = {name: await house.key(name) for name in ("anna", "ben")}

    def go(tx: Tx, name: str) -> None:
        accounts.remove_in(tx, BY_SYSTEM, accounts.get_in(tx, account_of(house.people[name])))

    def act(watched: Watched) -> set[tuple[str, str]]:
        # Who made invitations is gone, and still who made them.
        assert watched.changed_by(lambda tx: go(tx, "anna")) == {
            ("member", keys["anna"]), ("invitation", house.invitations["open"])
        }  # fmt: skip
        return watched.changed_by(lambda tx: go(tx, "ben"))

    lent = {("share", house.shares[name]) for name in ("rosa", "ida", "code")}
    assert await _watched(house, act) == {("member", keys["ben"]), *lent}


async def test_a_name_is_a_fact_of_each_home(house: Household) -> None:
    anna = house.people["anna"]
    other = (await new_home(anna)).rpartition("/")[2]
    key = await key_of(house.hub, account_of(anna))

    def act(watched: Watched) -> set[tuple[str, str]]:
        watched.tx.run("UPDATE accounts SET name='Anne' WHERE id=?", (account_of(anna),))
        return {(row[0], row[1]) for row in watched.tx.all("SELECT id,home_id FROM seen")}

    assert await _watched(house, act) == {(key, house.id), (key, other)}


async def test_what_is_only_this_nodes_matter_is_not_watched(house: Household) -> None:
    def act(watched: Watched) -> list[Any]:
        for table, row_id in (
            ("shares", house.shares["offered"]),
            ("invitations", house.invitations["addressed"]),
            ("homes", house.id),
        ):
            what = "epoch=epoch+1" if table == "homes" else "state='refused'"
            assert watched.tx.run(f"UPDATE {table} SET {what} WHERE id=?", (row_id,)) == 1
        return watched.tx.all("SELECT id FROM seen WHERE id IS NOT NULL")

    assert await _watched(house, act) == []
