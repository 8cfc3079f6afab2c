"""Two nodes side by side, and what is carried from one to the other without a network between them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2

from app.caller import BY_SYSTEM, Caller
from app.homes import queries
from app.sharing import queries as share_queries
from app.store.tx import Reader, Tx
from app.sync.kinds import RANK, Item, Kind
from tests.api.harness import Api

OURS = ("home", "member", "room", "share", "invitation")
# Of each kind what there is: fields by id.
Facts = dict[str, dict[str, dict[str, Any]]]


def kinds_of(api: Api) -> dict[str, Kind]:
    """By name, in the order in which they are put."""
    kinds = (kind for kind in api.services.facts if kind.name in OURS)
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: RANK[kind.name])}


async def facts_of(api: Api, home_id: str) -> Facts:
    """Everything of a home."""

    def ask(reader: Reader) -> Facts:
        return {name: dict(_all_of(reader, kind, home_id)) for name, kind in kinds_of(api).items()}

    return await api.store.read(ask)


def _all_of(reader: Reader, kind: Kind, home_id: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(entity_id, kind.read_in(reader, home_id, entity_id, None)) for entity_id in kind.ids_in(reader, home_id)]
    assert all(fields is not None for _, fields in found)
    return [(entity_id, fields) for entity_id, fields in found if fields is not None]


async def put(
    api: Api, home_id: str, changes: Mapping[str, Mapping[str, Mapping[str, Any] | None]], by: Caller = BY_SYSTEM
) -> None:
    """Have it so, in one act: what goes goes first, the last kind first."""

    def act(tx: Tx) -> None:
        kinds = kinds_of(api)
        for name in reversed(kinds):
            gone = [Item(i, None, by) for i, fields in changes.get(name, {}).items() if fields is None]
            kinds[name].put_in(tx, home_id, gone)
        for name, kind in kinds.items():
            there = [Item(i, fields, by) for i, fields in changes.get(name, {}).items() if fields is not None]
            kind.put_in(tx, home_id, there)

    await api.store.write(act)


async def carry(source: Api, target: Api, home_id: str, by: Caller = BY_SYSTEM) -> None:
    """What `source` has and `target` does not, or otherwise; and then both have the same."""
    wanted, there = await facts_of(source, home_id), await facts_of(target, home_id)
    changes: dict[str, dict[str, Any]] = {}
    for name, of_kind in wanted.items():
        old = there[name]
        changed = {i: fields for i, fields in of_kind.items() if fields != old.get(i)}
        changes[name] = changed | dict.fromkeys(old.keys() - of_kind.keys())
    await put(target, home_id, changes, by)
    assert await facts_of(target, home_id) == wanted


async def carry_things(source: Api, target: Api) -> None:
    """Devices and groups, as rows: they have kinds of their own."""
    tables = ("devices", "groups", "group_devices")
    rows = await source.store.read(lambda r: {table: r.all(f"SELECT * FROM {table}") for table in tables})

    def act(tx: Tx) -> None:
        for table in tables:
            for row in rows[table]:
                tx.run(f"INSERT INTO {table} VALUES({','.join('?' * len(row))})", row)

    await target.store.write(act)


async def key_of(api: Api, account_id: str) -> str:
    """How other nodes name somebody."""
    key = await api.store.read(lambda r: api.services.people.key_of_in(r, account_id))
    assert key is not None
    return key


async def known_at(api: Api, key: str) -> str:
    """The account a key names there."""
    account_id = await api.store.read(lambda r: api.services.people.account_of_in(r, key))
    assert account_id is not None
    return account_id


async def client_of(api: Api, key: str) -> httpx2.AsyncClient:
    """Somebody who is known there by a key, with a session; their token is the account's id."""
    account_id = await known_at(api, key)
    await api.store.write(lambda tx: api.phone_in(tx, account_id, account_id, "a phone"))
    return api.client(account_id)


async def last_event(api: Api) -> int:
    """The number of the newest event."""
    return int((await api.store.read(lambda r: r.all("SELECT coalesce(max(seq),0) FROM events")))[0][0])


async def events_since(api: Api, seq: int) -> list[str]:
    """The types of what was told since, in order."""
    return [row[0] for row in await api.store.read(lambda r: r.all("SELECT type FROM events WHERE seq>?", (seq,)))]


async def rows_of(api: Api) -> list[list[tuple[Any, ...]]]:
    """Every row that facts of these kinds stand in, versions and all."""
    tables = ("accounts", "account_keys", "homes", "members", "rooms", "invitations", "shares")
    return await api.store.read(lambda r: [sorted(r.all(f"SELECT * FROM {t}"), key=repr) for t in tables])


async def memory_is_disk(api: Api) -> None:
    """What is read from memory is what is on disk."""
    services = api.services

    def both(reader: Reader) -> Sequence[tuple[object, object]]:
        def by(rows: Sequence[Any], key: Callable[[Any], object]) -> dict[object, object]:
            return {key(row): row for row in rows}

        return (
            (_items(services.standings.homes), by(queries.all_homes(reader), lambda it: it.id)),
            (
                _items(services.standings.members),
                by(queries.all_members(reader), lambda it: (it.home_id, it.account_id)),
            ),
            (_items(services.rooms.rooms), by(queries.all_rooms(reader), lambda it: it.id)),
            (_items(services.shares.accepted), by(share_queries.all_accepted(reader), lambda it: it.id)),
        )

    for memory, disk in await api.store.read(both):
        assert memory == disk


def _items(resident: Any) -> dict[object, object]:
    return dict(resident._items)
