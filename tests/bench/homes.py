"""Data folders of a hub with a full home, of a cloud and of a second hub, whose owner is one person at all three."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from app.accounts import queries
from app.accounts.codes import hash_token
from app.accounts.model import Session
from app.caller import Caller
from app.devices.model import NewDevice
from app.policy import Actor
from app.services import Services
from app.store.prepare import open_store
from app.store.tx import Reader, Tx
from tests.bench.folder import AT_ONCE, NEVER, TOKEN, identity_of

ROOMS = 20
FOLDERS = ("hub", "cloud", "second")
DOCUMENTS = "documents.json"


class Prepared(Struct, frozen=True):
    """What is in the folders below `folder`; `documents` counts the facts of the home, whose text is in DOCUMENTS."""

    folder: Path
    home_id: str
    device_ids: list[str]
    documents: int


async def prepare(folder: Path, devices: int) -> Prepared:
    """Fill `folder`; each round copies what it needs."""
    async with _founded(folder / FOLDERS[0], b"") as (services, account_id):
        key = await services.store.read(lambda reader: queries.keys_naming(reader, account_id)[0])
        prepared = await _home(folder, services, Caller(Actor(account_id)), devices)
    for name in FOLDERS[1:]:
        async with _founded(folder / name, key):
            pass
    return prepared


@asynccontextmanager
async def _founded(folder: Path, key: bytes) -> AsyncIterator[tuple[Services, str]]:
    store = await open_store(folder)
    services = Services(store)
    await services.start(folder.name)
    try:
        yield services, await store.write(lambda tx: _owner(tx, services, key))
    finally:
        await services.stop()
        await store.close()


def _owner(tx: Tx, services: Services, key: bytes) -> str:
    """Who owns the node, is signed in by TOKEN, and is named by `key` as well."""
    account = services.accounts.create_in(tx, login="bench", name="Bench", verifier="no password").account
    crowned = msgspec.structs.replace(account, hub_owner=True)
    queries.update_account(tx, crowned)
    services.credentials.accounts.put(tx, account.id, crowned)
    refresh = hash_token("no refresh")
    session = (tx.new_id(), account.id, "load", hash_token(TOKEN), NEVER, refresh, NEVER, "", tx.now, tx.now)
    queries.insert_session(tx, Session(*session))
    if key:
        queries.link_key(tx, key, account.id)
    return account.id


async def _home(folder: Path, services: Services, owner: Caller, devices: int) -> Prepared:
    store, home = services.store, await services.homes.create(owner, name="Bench", time_zone="UTC")
    rooms = [(await services.rooms.create(owner, home.id, name=f"Room {n}", icon="door")).id for n in range(ROOMS)]

    def bind(tx: Tx, numbers: range) -> list[str]:
        return [_bind(tx, services, owner, home.id, rooms[n % ROOMS], n) for n in numbers]

    ids: list[str] = []
    for first in range(0, devices, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, devices))
        ids += await store.write(lambda tx, numbers=numbers: bind(tx, numbers))  # type: ignore[misc]
    documents = await store.read(lambda reader: _documents(reader, services, home.id))
    await asyncio.to_thread((folder / DOCUMENTS).write_bytes, msgspec.json.encode(documents))
    return Prepared(folder, home.id, ids, len(documents))


def _bind(tx: Tx, services: Services, owner: Caller, home_id: str, room_id: str, n: int) -> str:
    identity = identity_of(n)
    new = NewDevice(
        home_id=home_id,
        hardware_id=identity.device_id,
        product_id="lamp",
        name=f"Lamp {n}",
        room_id=room_id,
        public_key=identity.public,
        firmware="1.0.0",
        serial=f"SN{n:06}",
    )
    device = services.devices.bind_in(tx, owner, new)
    tx.run("UPDATE devices SET icon='bulb', position=? WHERE id=?", (n, device.id))
    return device.id


def _documents(reader: Reader, services: Services, home_id: str) -> list[dict[str, Any]]:
    """The same facts, as another database has them: a document each, its id the kind and the fact's own."""
    kinds, capture = {kind.name: kind for kind in services.facts}, services.sync.capture
    found = []
    for kind, entity_id in capture.everything_in(reader, home_id):
        fields = kinds[kind].read_in(reader, home_id, entity_id, None)
        found.append({"_id": f"{kind}/{entity_id}", **(fields or {})})
    return found
