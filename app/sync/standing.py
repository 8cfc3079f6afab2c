"""What somebody is to a home, as its entities have it, and what takes that away (PROTOCOL.md 4). Pure."""

from typing import Final, Protocol

from app.hours import Window
from app.policy import NOBODY, RANK, Role, Standing, Terms
from app.sync.merge import RIGHTS
from app.sync.model import Entity, Part

# What limits a guest.
TERMS: Final = ("until", "hours", "only")


class Facts(Protocol):
    """The entities of a home as they are now."""

    @property
    def home_id(self) -> str:
        """Whose."""

    def get(self, kind: str, entity_id: str) -> Entity | None:
        """One, a tombstone too."""

    def live(self, kind: str, entity_id: str) -> Entity | None:
        """One that is there."""


def standing_of(facts: Facts, key: str) -> Standing:
    """What somebody is to the home."""
    member = facts.live("member", key)
    if member is None:
        return NOBODY
    fields = member.fields
    home = facts.live("home", facts.home_id)
    zone = "UTC" if home is None else home.fields.get("time_zone", "UTC")
    hours = tuple(Window(**window) for window in fields.get("hours") or ())
    only = fields.get("only")
    return Standing(
        Role(fields["role"]), Terms(fields.get("until"), hours, zone), None if only is None else frozenset(only)
    )


def takes_away(part: Part, entity: Entity | None) -> bool:
    """Whether it takes a right of somebody's away."""
    if part.kind not in RIGHTS or entity is None:
        return False
    if part.what == "del":
        return True
    was, now = entity.fields, part.fields
    if part.kind == "member":
        lower = "role" in now and RANK[Role(now["role"])] < RANK[Role(was["role"])]
        return lower or terms_differ(part, entity)
    return now.get("state") in ("ended", "refused", "revoked", "expired")


def terms_differ(part: Part, entity: Entity) -> bool:
    """Whether it limits a guest otherwise than now."""
    return any(name in part.fields and part.fields[name] != entity.fields.get(name) for name in TERMS)
