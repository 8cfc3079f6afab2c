"""Whether an operation is taken, as of the entities there are at acceptance (PROTOCOL.md 4). Pure.

Every question of rights is `app.policy.allowed`; here stands only which question an operation asks.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from app.clock import Moment
from app.policy import Action, Actor, Resource, Role, allowed
from app.sync.merge import RIGHTS
from app.sync.model import NOBODY, Entity, Op, Part
from app.sync.standing import TERMS, Facts, standing_of, takes_away, terms_differ

# What devices and their hubs say; people do so through a hub alone, by pairing. The rest is the home's people's.
OF_THE_HUB: Final = frozenset(
    {
        "firmware",
        "serial",
        "link",
        "trust",
        "product_id",
        "hardware_id",
        "public_key",
        "gateway_id",
        "owner_epoch",
        "holder",
        "standby",
        "bound_at",
        "unbound_at",
    }
)
_HUBS_WORD: Final = OF_THE_HUB - {"unbound_at"}
# What a share is of stays what it is.
_AS_GIVEN: Final = frozenset({"kind", "thing_id", "giver", "code_hash", "created_at", "expires_at"})


class By(Struct, frozen=True):
    """Through whom an operation came: a hub that serves the home (its id), or a phone (None)."""

    hub_id: str | None


def judge(op: Op, facts: Facts, now: Moment, by: By) -> str:
    """Empty: taken. Else why not, as a word for programs."""
    if (home := facts.get("home", facts.home_id)) is None or home.dead is not None:
        return "home_dissolved"
    if op.actor == NOBODY and by.hub_id is None:
        return "not_a_hub"
    if op.actor != NOBODY and facts.live("member", op.actor) is None and not _enters(op) and not _receives(op, facts):
        return "not_a_member"
    try:
        asked = _Asked(op, facts, now, by)
        return next((why for part in op.parts if (why := asked.part(part))), "")
    except (KeyError, TypeError, ValueError):
        return "malformed"


def _enters(op: Op) -> bool:
    """Whether it is about somebody's own becoming a member."""
    return any(part.kind == "member" and part.what == "new" and part.id == op.actor for part in op.parts)


def _receives(op: Op, facts: Facts) -> bool:
    """Whether it is about shares and invitations alone, which people outside the home take up, refuse and give back."""
    return all(
        part.kind in ("share", "invitation")
        and (facts.live(part.kind, part.id) is not None or part.fields.get("receiver") == op.actor)
        for part in op.parts
    )


class _Asked:
    """One operation, part by part."""

    def __init__(self, op: Op, facts: Facts, now: Moment, by: By) -> None:
        self.op = op
        self.facts = facts
        self.now = now
        self.by = by
        self.actor = Actor(op.actor)
        self.standing = standing_of(facts, op.actor)

    def part(self, part: Part) -> str:
        """Why not; empty: yes."""
        rule = _RULES.get(part.kind)
        return "kind_unknown" if rule is None else rule(self, part)

    def may(self, action: Action, **about: Any) -> str:
        """Policy's word."""
        resource = Resource(self.standing, self.facts.home_id, **about)
        return "" if allowed(self.actor, action, resource, self.now).yes else "not_allowed"

    @property
    def is_hub(self) -> bool:
        """The hub itself did it, and nobody."""
        return self.op.actor == NOBODY

    # kinds

    def home(self, part: Part) -> str:
        """Its entry, or its end."""
        if part.id != self.facts.home_id:
            return "malformed"
        if part.what == "new":
            return "exists"
        return self.may(Action.HOME_DISSOLVE if part.what == "del" else Action.HOME_UPDATE)

    def room(self, part: Part) -> str:
        """Rooms are the admins'."""
        return self.may(Action.ROOM_MANAGE)

    def device(self, part: Part) -> str:
        """People name and place it; its hub says what it is."""
        entity = self.facts.live("device", part.id)
        if self.is_hub:
            return self._of_its_hub(part, entity)
        if self.by.hub_id is None and (part.what == "new" or part.fields.keys() & _HUBS_WORD):
            return "not_a_hub"  # a phone has spoken with no device
        if part.what == "new":
            return self.may(Action.PAIR)
        if part.what == "del":
            return self.may(Action.DEVICE_REMOVE, things=(part.id,))
        actions = {_action_on(name) for name in part.fields}
        return next((why for it in sorted(actions) if (why := self.may(it, things=(part.id,)))), "")

    def _of_its_hub(self, part: Part, entity: Entity | None) -> str:
        holder = part.fields.get("holder") if entity is None else entity.fields.get("holder")
        rooms_only = part.what == "put" and set(part.fields) <= {"room_id"} and part.fields.get("room_id") is None
        if holder == self.by.hub_id or rooms_only or (entity is not None and self._takes_over(part, entity)):
            return ""
        return "not_its_holder"

    def _takes_over(self, part: Part, entity: Entity) -> bool:
        """Whoever stands by may; and what is behind a gateway is of who holds that, or stands by for it."""
        gateway = self.facts.live("device", entity.fields.get("gateway_id") or "")
        by = [entity.fields.get("standby")]
        if gateway is not None:
            by += gateway.fields.get("holder"), gateway.fields.get("standby")
        return part.fields.get("holder") == self.by.hub_id and self.by.hub_id in by

    def names(self, part: Part) -> str:
        """What people call parts of a device."""
        return "" if self.is_hub and part.what == "del" else self.may(Action.DEVICE_UPDATE, things=(part.id,))

    def device_user(self, part: Part) -> str:
        """Whom a device tells apart."""
        return "" if self.is_hub and part.what == "del" else self.may(Action.DEVICE_USER_MANAGE)

    def group(self, part: Part) -> str:
        """Groups are the admins'; a device that leaves its home leaves them by itself."""
        leaving = part.what == "put" and all(
            name.startswith("device/") and value is None for name, value in part.fields.items()
        )
        if leaving and (self.is_hub or any(it.kind == "device" for it in self.op.parts)):
            return ""
        return self.may(Action.GROUP_MANAGE)

    def wifi_network(self, part: Part) -> str:
        """What its devices were told; when one last joined with it, the hub knows."""
        return "" if self.is_hub else self.may(Action.PAIR)

    def share(self, part: Part) -> str:
        """Given by who manages shares, taken up, refused and given back by its receiver; it ends by itself, too."""
        entity = self.facts.live("share", part.id)
        if entity is None and part.fields.get("state") == "accepted" and self._is_told_by_a_hub(part):
            # Offered to a login, which only the node knows that it comes from; whose right it is, is asked as ever.
            return self._takes_up_share(part, part.fields | {"state": "pending"})
        if entity is None:
            return self.may(Action.SHARE_MANAGE) or ("" if part.fields.get("giver") == self.op.actor else "not_yours")
        if entity.fields.get("state") in ("ended", "refused") and part.what == "put":
            return "share_over"
        if not part.fields.keys().isdisjoint(_AS_GIVEN):
            return "not_as_given"
        is_ending = part.what == "del" or part.fields.keys() <= {"state", "ended_at"}
        if takes_away(part, entity) and is_ending and (self.is_hub or entity.fields.get("receiver") == self.op.actor):
            return ""
        if part.fields.get("state") == "accepted":
            if not part.fields.keys() <= {"state", "receiver", "accepted_at"}:
                return "not_as_given"
            return self._takes_up_share(part, entity.fields)
        if not takes_away(part, entity) and not _had_seen(self.op, entity):
            return "changed_meanwhile"
        return self.may(Action.SHARE_MANAGE)

    def _takes_up_share(self, part: Part, offer: Mapping[str, Any]) -> str:
        receiver = offer.get("receiver") or part.fields.get("receiver")
        if offer.get("state") != "pending" or receiver != self.op.actor:
            return "share_over"
        if part.fields.get("receiver", receiver) != receiver:
            return "not_as_given"
        if (offer.get("expires_at") or 0) <= self.now.ms:
            return "share_over"
        return self._still(offer.get("giver", ""), Action.SHARE_MANAGE)

    def invitation(self, part: Part) -> str:
        """Made and revoked by who may invite as such, taken up or refused by who is invited."""
        entity = self.facts.live("invitation", part.id)
        state = part.fields.get("state")
        if entity is None and state == "accepted" and self._is_told_by_a_hub(part):
            return "" if _enters(self.op) else "not_yours"
        if entity is None and part.what != "new" and state != "accepted":
            return ""  # what is gone stays gone: merging says so
        if entity is None:
            made = "" if part.fields.get("created_by") == self.op.actor else "not_yours"
            return self.may(Action.MEMBER_INVITE, role=_role(part.fields)) or made
        if part.what != "del":
            if not part.fields.keys() <= {"state", "taken_by"} or state not in ("accepted", "refused", "revoked"):
                return "not_as_invited"
            if entity.fields.get("state") != "pending":
                return "invitation_over"
        if state == "accepted":
            return "" if _enters(self.op) else "not_yours"
        if state == "refused" or (takes_away(part, entity) and self.is_hub):
            return ""
        return self.may(Action.MEMBER_INVITE, role=_role(entity.fields))

    def member(self, part: Part) -> str:
        """Who is in the home: section 4."""
        entity = self.facts.live("member", part.id)
        if part.what == "new":
            return self._enters(part)
        if entity is None:
            return ""  # what is gone stays gone: merging says so
        own = part.id == self.op.actor
        if part.what == "del":
            return self._leaves(entity, own=own)
        if set(part.fields) <= {"name", "anonymous"}:
            return "" if own or self.is_hub else self.may(Action.MEMBER_MANAGE, role=_role(entity.fields))
        if _only_shrinks(part, entity) and self._are_gone(set(entity.fields["only"]) - set(part.fields["only"])):
            return ""
        if "owner" in (part.fields.get("role"), entity.fields.get("role")):
            return self._hands_over()
        if (not takes_away(part, entity) or terms_differ(part, entity)) and not _had_seen(self.op, entity):
            return "changed_meanwhile"
        asks = [
            self.may(Action.MEMBER_MANAGE, role=_role(it)) for it in (entity.fields, {**entity.fields, **part.fields})
        ]
        return next((why for why in asks if why), "")

    def _are_gone(self, things: set[str]) -> bool:
        going = {part.id for part in self.op.parts if part.what == "del" and part.kind in ("device", "group")}
        here = (thing for thing in things - going if any(self.facts.live(kind, thing) for kind in ("device", "group")))
        return next(here, None) is None

    def _leaves(self, entity: Entity, *, own: bool) -> str:
        role = _role(entity.fields)
        if role is Role.OWNER:
            return "owner_stays"
        # An account that was deleted or has run out leaves by itself.
        return "" if own or self.is_hub else self.may(Action.MEMBER_MANAGE, role=role)

    def _enters(self, part: Part) -> str:
        """Only by an invitation that is open now, of somebody who could make it now."""
        if _role(part.fields) is Role.OWNER:
            return "owner_stays"
        gone = self.facts.get("member", part.id)
        if gone is not None and gone.dead is None:
            return "already_member"
        if gone is not None and gone.dead is not None and not self.op.had_seen(gone.dead):
            return "taken_away"
        used = [it for it in self.op.parts if it.kind == "invitation" and it.fields.get("state") == "accepted"]
        if not used:
            return self.may(Action.MEMBER_MANAGE, role=_role(part.fields))
        invitation = self.facts.live("invitation", used[0].id)
        if len(used) > 1:
            return "invitation_over"
        if invitation is None and (gone is not None or not self._is_told_by_a_hub(used[0])):
            return "invitation_over"
        if invitation is None:
            # To a login, which only the node knows that it comes from; whose right it was, is asked as ever.
            return self._by_invitation(part, used[0].fields | {"state": "pending"})
        if gone is not None and gone.dead is not None and invitation.stamp_of("created_by").seq < gone.dead.seq:
            return "taken_away"  # what was open before somebody was put out is no way back in
        return self._by_invitation(part, invitation.fields)

    def _by_invitation(self, part: Part, invitation: Mapping[str, Any]) -> str:
        terms = ("role", *TERMS)
        given = {name: invitation.get(name) or None for name in terms}
        if invitation.get("state") != "pending" or (invitation.get("expires_at") or 0) <= self.now.ms:
            return "invitation_over"
        if part.id != self.op.actor or any((part.fields.get(name) or None) != given[name] for name in terms):
            return "not_as_invited"
        return self._still(invitation.get("created_by", ""), Action.MEMBER_INVITE, role=_role(invitation))

    def _is_told_by_a_hub(self, part: Part) -> bool:
        """Whether a hub says of it what nobody has heard before: not a phone, and not what has ended."""
        return self.by.hub_id is not None and part.what == "new" and self.facts.get(part.kind, part.id) is None

    def _still(self, key: str, action: Action, **about: Any) -> str:
        """Whether who gave it still could."""
        resource = Resource(standing_of(self.facts, key), self.facts.home_id, **about)
        return "" if key and allowed(Actor(key), action, resource, self.now).yes else "giver_lost_the_right"

    def _hands_over(self) -> str:
        """Exactly two parts about members: the owner's own, to admin; the heir's, to owner."""
        parts = {part.id: part for part in self.op.parts if part.kind == "member" and "role" in part.fields}
        heirs = [key for key, part in parts.items() if part.fields["role"] == "owner"]
        if len(parts) != 2 or len(heirs) != 1 or self.op.actor not in parts or heirs[0] == self.op.actor:
            return "owner_stays"
        heir = self.facts.live("member", heirs[0])
        fit = heir is not None and heir.fields["role"] in ("admin", "member") and not heir.fields.get("anonymous")
        if not fit or parts[self.op.actor].fields["role"] != "admin":
            return "not_full_member"
        return self.may(Action.HOME_HAND_OVER)

    def hub(self, part: Part) -> str:
        """A hub says what it is called and sealed for; the owner removes one."""
        if self.is_hub and part.id == self.by.hub_id:
            return ""
        return self.may(Action.HOME_DISSOLVE)

    def secret(self, part: Part) -> str:
        """Sealed at a hub; what people did there for it to be another is what who pairs may do."""
        if self.by.hub_id is None:
            return "not_a_hub"
        return "" if self.is_hub else self.may(Action.PAIR)

    def home_key(self, part: Part) -> str:
        """The keys that secrets are sealed with are hubs' alone."""
        return "" if self.is_hub else "not_a_hub"

    def conflict(self, part: Part) -> str:
        """Made by the authority; settled by who manages the home."""
        fit = part.what == "put" and set(part.fields) <= {"state"}
        entity = self.facts.live("conflict", part.id)
        if fit and self.is_hub and entity is not None and entity.fields.get("kind") == "secret":
            return ""  # what only a hub can read
        return self.may(Action.HOME_UPDATE) if fit else "not_yours"


_RULES: Mapping[str, Callable[[_Asked, Part], str]] = {
    "home": _Asked.home,
    "room": _Asked.room,
    "device": _Asked.device,
    "names": _Asked.names,
    "device_user": _Asked.device_user,
    "group": _Asked.group,
    "wifi_network": _Asked.wifi_network,
    "share": _Asked.share,
    "invitation": _Asked.invitation,
    "member": _Asked.member,
    "hub": _Asked.hub,
    "home_key": _Asked.home_key,
    "secret": _Asked.secret,
    "conflict": _Asked.conflict,
}


def _action_on(field: str) -> Action:
    if field == "frozen_at":
        return Action.DEVICE_FREEZE
    if field == "unbound_at":
        return Action.DEVICE_REMOVE
    return Action.PAIR if field in OF_THE_HUB else Action.DEVICE_UPDATE


def _role(fields: Mapping[str, Any]) -> Role:
    return Role(fields.get("role", "guest"))


def _rights_stamps(entity: Entity) -> Iterator[Any]:
    return (entity.stamp_of(name) for name in RIGHTS[entity.kind] if name in entity.fields)


def _had_seen(op: Op, entity: Entity) -> bool:
    """Whether it knew the rights it changes as they are."""
    return all(op.had_seen(stamp) for stamp in _rights_stamps(entity))


def _only_shrinks(part: Part, entity: Entity) -> bool:
    """A device or group that is gone leaves a guest's limits, whoever did it."""
    only, was = part.fields.get("only"), entity.fields.get("only")
    return set(part.fields) == {"only"} and only is not None and was is not None and set(only) < set(was)
