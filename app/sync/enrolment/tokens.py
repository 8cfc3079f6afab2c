"""Challenges a hub signs and the tokens it gets for that: in memory, hashed, and bounded by the hubs there are."""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from msgspec import Struct

from app.accounts.challenges import Challenges
from app.accounts.codes import hash_token, new_token
from app.clock import Moment
from app.policy import Actor
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.model import ChallengeOver, EnrolledHub, Revoked, Superseded

LIFE_S: Final = 3_600
CHALLENGE_MS: Final = 60_000
# A hub proves itself once an hour; one that does all the time loses its own oldest token.
MAX_TOKENS: Final = 4
MAX_SPENT: Final = 100_000


def hub_challenges() -> Challenges:
    """What hubs sign: each once, within a minute."""
    crowded = "Too many hubs prove themselves."
    return Challenges(MAX_SPENT, life_ms=CHALLENGE_MS, over=ChallengeOver, crowded=crowded)


def actor_of_life(hub_id: str, node: str) -> Actor:
    """A hub that has proved itself, in one of its lives."""
    return Actor(None, f"hub/{hub_id}", frozenset(), hub_id=hub_id, node=node)


class _Entry(Struct, frozen=True, gc=False):
    """What a token's hash stands for, until a time (ms, exclusive)."""

    actor: Actor
    until: int


class HubTokens:
    """Every valid token of a hub by its SHA-256. Those of a life of a hub end with it.

    `on_ended` is told (hub id, node) of a life that may speak no more: revoked, superseded, or enrolled anew with
    other keys. Whatever connection it has is to be closed.
    """

    def __init__(self, hubs: Hubs) -> None:
        self._hubs = hubs
        self._entries: dict[bytes, _Entry] = {}
        self._of_hub: dict[str, list[bytes]] = {}
        self.on_ended: list[Callable[[str, str], None]] = []
        hubs.rows.watch(self._hub_changed)

    def give(self, hub_id: str, node: str, now_ms: int) -> str:
        """A new token of a life of a hub that has just proved itself; raises Revoked, Superseded."""
        hub = self._hubs.rows.get(hub_id)
        if hub is None or hub.revoked_at is not None:
            raise Revoked
        if hub.node != node:
            raise Superseded
        held = self._of_hub.setdefault(hub_id, [])
        while len(held) >= MAX_TOKENS:
            self._entries.pop(held.pop(0), None)
        token = new_token("dsh")
        digest = hash_token(token)
        held.append(digest)
        self._entries[digest] = _Entry(actor_of_life(hub_id, node), now_ms + LIFE_S * 1000)
        return token

    def actor_of(self, token: bytes, now: Moment) -> Actor | None:
        """Which hub's token this is, or None when it is wrong or over."""
        entry = self._entries.get(sha256(token).digest())
        return entry.actor if entry is not None and now.ms < entry.until else None

    def _hub_changed(self, hub_id: str, old: EnrolledHub | None, new: EnrolledHub | None) -> None:
        if old is None or old.revoked_at is not None:
            return
        same = new is not None and (new.node, new.public_key) == (old.node, old.public_key)
        if same and new is not None and new.revoked_at is None:
            return
        for digest in self._of_hub.pop(hub_id, ()):
            self._entries.pop(digest, None)
        for told in self.on_ended:
            told(hub_id, old.node)
