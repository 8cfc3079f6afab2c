"""A hub and a cloud with people known at both, as tests of linking need them."""

from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.accounts import proofs
from app.caller import BY_SYSTEM
from app.homes.model import Member
from app.policy import Role
from app.store.tx import Tx
from tests.api.harness import Api
from tests.api.households import new_home

# What a wrong proof is told, and one that answers no challenge that is open.
REFUSED = (403, "proof_wrong")
OVER = (403, "challenge_over")


# Somebody signed in at the hub that keeps their key; or the key itself, where what that hub does is not the matter.
Person = httpx2.AsyncClient | Ed25519PrivateKey


async def key_of(person: Person) -> str:
    """The key their account was made with."""
    if isinstance(person, Ed25519PrivateKey):
        return person.public_key().public_bytes_raw().hex()
    return str((await person.get("/api/me")).json()["public_key"])


def told(answer: httpx2.Response) -> tuple[int, str]:
    """A refusal."""
    return answer.status_code, str(answer.json().get("code", ""))


def id_of(home: str) -> str:
    """The home of a path."""
    return home.rpartition("/")[2]


async def challenge(at: Api) -> dict[str, Any]:
    """What a hub wants answered."""
    asked = await at.client().post("/api/sign-in/key-challenges")
    assert asked.status_code == 201, asked.text
    return dict(asked.json())


async def prove(person: Person, asked: dict[str, Any], purpose: str = "sign-in") -> dict[str, str]:
    """Their proof, made where they have an account."""
    if isinstance(person, Ed25519PrivateKey):
        what, nonce = proofs.Purpose(purpose), bytes.fromhex(asked["nonce"])
        proof = proofs.prove(person.private_bytes_raw(), purpose=what, audience=asked["audience"], nonce=nonce)
        return {"public_key": await key_of(person), "proof": proof}
    body = {"audience": asked["audience"], "nonce": asked["nonce"], "purpose": purpose}
    proven = await person.post("/api/me/proofs", json=body)
    assert proven.status_code == 201, proven.text
    return dict(proven.json())


async def sign_in(at: Api, proven: dict[str, str]) -> httpx2.Response:
    """What a hub answers who comes with a proof."""
    return await at.client().post("/api/sign-in/key", json=proven | {"phone": "Anna's phone"})


async def signed_in(at: Api, person: Person) -> httpx2.AsyncClient:
    """They at a hub, by the key of their account at another."""
    answer = await sign_in(at, await prove(person, await challenge(at)))
    assert answer.status_code == 200, answer.text
    return at.client(answer.json()["access_token"])


async def link(
    at: Api, there: httpx2.AsyncClient, person: Person, headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Link the key of `person`, who has an account elsewhere, to the one they are signed in to at `at`."""
    proven = await prove(person, await challenge(at), "link")
    return await there.post("/api/me/public-keys", json=proven, headers=headers)


async def known(at: Api, key: str, name: str, **known: bool) -> str:
    """Somebody another hub has told of; returns their account's id here."""
    return await at.store.write(lambda tx: at.services.people.known_in(tx, key, name, **known))


async def known_in_home(at: Api, home_id: str, key: str, name: str, role: Role, **limits: Any) -> str:
    """The same as a member of a home; returns their account's id."""
    people, members = at.services.people, at.services.members
    fields: dict[str, Any] = {"until": None, "hours": (), "only": None} | limits

    def act(tx: Tx) -> str:
        account_id = people.known_in(tx, key, name)
        members.add_in(tx, BY_SYSTEM, Member(home_id, account_id, role, "", version=1, joined_at=tx.now, **fields))
        return account_id

    return await at.store.write(act)


async def home_with(host: httpx2.AsyncClient, at: Api, key: str, role: Role = Role.ADMIN) -> tuple[str, str]:
    """A home of the host's with a member of whom that key is known; its path, and the member's account."""
    home = await new_home(host)
    return home, await known_in_home(at, id_of(home), key, "Anna", role)
