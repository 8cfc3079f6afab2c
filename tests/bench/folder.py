"""A data folder with 10,000 devices, made through the services themselves."""

import hashlib
from pathlib import Path

from msgspec import Struct

from app.accounts import queries
from app.accounts.codes import hash_token
from app.accounts.model import Session
from app.caller import Caller
from app.devices.model import NewDevice
from app.policy import Actor
from app.services import Services
from app.store.prepare import open_store
from app.store.tx import Tx
from pairing.identity import Identity

TOKEN = "bench-token-of-the-owner"
REPORT = {"on": True, "mode": "white", "brightness": 700, "temperature": 300}
NEVER = 221_845_392_000_000
AT_ONCE = 500


class Made(Struct):
    """What the load needs to know of the folder."""

    home_id: str
    device_ids: list[str]
    hub_private: bytes


def identity_of(n: int) -> Identity:
    """The nth device's own key."""
    return Identity(hashlib.sha256(f"device {n}".encode()).digest())


def credential_of(n: int) -> bytes:
    """What the nth device's binding is proved by."""
    return hashlib.sha256(f"credential {n}".encode()).digest()


async def make(folder: Path, devices: int) -> Made:
    """Fill `folder`: one owner, one home, `devices` lamps that have reported."""
    store = await open_store(folder)
    services = Services(store)
    await services.start("Bench")
    owner, home_id = await _owner_and_home(services)
    ids: list[str] = []
    for first in range(0, devices, AT_ONCE):
        some = range(first, min(first + AT_ONCE, devices))
        ids += await store.write(lambda tx, some=some: [_bind(tx, services, owner, home_id, n) for n in some])  # type: ignore[misc]
    identity = await services.hub.identity()
    await services.stop()
    await store.close()
    return Made(home_id, ids, identity.private)


async def _owner_and_home(services: Services) -> tuple[Caller, str]:
    def act(tx: Tx) -> str:
        account = services.accounts.create_in(tx, login="bench", name="Bench", verifier="no password").account
        refresh = hash_token("no refresh")
        queries.insert_session(
            tx, Session(tx.new_id(), account.id, "load", hash_token(TOKEN), NEVER, refresh, NEVER, "", tx.now, tx.now)
        )
        return account.id

    owner = Caller(Actor(await services.store.write(act)))
    home = await services.homes.create(owner, name="Bench", time_zone="UTC")
    return owner, home.id


def _bind(tx: Tx, services: Services, owner: Caller, home_id: str, n: int) -> str:
    identity = identity_of(n)
    new = NewDevice(
        home_id=home_id,
        hardware_id=identity.device_id,
        product_id="lamp",
        name=f"Lamp {n}",
        public_key=identity.public,
        credential=credential_of(n),
        firmware="1.0.0",
        serial=f"SN{n:06}",
    )
    device = services.devices.bind_in(tx, owner, new)
    services.devices.reported_in(tx, device.id, "light", REPORT)
    return device.id
