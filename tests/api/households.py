"""Homes with people in them, as tests of several nouns need them."""

from typing import Any

import httpx2

from app.caller import BY_SYSTEM
from app.homes.model import Member
from app.policy import Role
from app.services import Services
from app.store.tx import Tx
from tests.api.harness import Api

HOME = {"name": "Lindenweg", "time_zone": "Europe/Berlin"}


def account_of(client: httpx2.AsyncClient) -> str:
    """The account a harness client speaks for."""
    return str(client.headers["authorization"]).removeprefix("Bearer ")


async def new_home(owner: httpx2.AsyncClient, **fields: str) -> str:
    """A home of theirs; returns its path."""
    made = await owner.post("/api/homes", json=HOME | fields)
    assert made.status_code == 201, made.text
    return f"/api/homes/{made.json()['id']}"


async def join(api: Api, home: str, client: httpx2.AsyncClient, role: str, **limits: Any) -> str:
    """Make them a member without an invitation; returns their path."""
    services: Services = api.services
    account_id = api.actor(account_of(client)).account_id or ""

    def act(tx: Tx) -> None:
        fields: dict[str, Any] = {"until": None, "hours": (), "only": None} | limits
        member = Member(home.rpartition("/")[2], account_id, Role(role), "", version=1, joined_at=tx.now, **fields)
        services.members.add_in(tx, BY_SYSTEM, member)

    await api.store.write(act)
    return f"{home}/members/{account_id}"
