"""Who may do what: one function, `allowed(actor, action, resource, now)`, and the tables it reads.

Pure. The tables start from the home roles and the sharing model of the Tuya platform (specs/tuya, `enums.home_role`
and `sharing_model`: a receiver controls, and manages nothing) and are ours from there.
"""

from enum import StrEnum

from msgspec import Struct

from app.clock import Moment
from app.hours import MINUTE_MS, Window, end_of_hours


class Role(StrEnum):
    """What somebody is in a home; exactly one member is its owner."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"


RANK = {Role.GUEST: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}


class Level(StrEnum):
    """What a share lets its receiver do."""

    VIEW = "view"
    CONTROL = "control"


class Action(StrEnum):
    """Everything that can be asked for. Every route declares exactly one."""

    # Anybody, with no credential at all.
    PUBLIC = "public"
    # Anybody signed in, about themselves.
    SELF = "self"
    HOME_CREATE = "home.create"
    # The hub itself.
    HUB_MANAGE = "hub.manage"
    # At a cloud: hubs of one's own.
    HUB_ENROL = "hub.enrol"
    # In a home.
    HOME_READ = "home.read"
    HOME_UPDATE = "home.update"
    HOME_DISSOLVE = "home.dissolve"
    HOME_HAND_OVER = "home.hand_over"
    HOME_LEAVE = "home.leave"
    # Which hubs and which cloud keep it.
    HOME_SYNC = "home.sync"
    # Who has the home's secrets: letting hubs in, its recovery code, what its owner's phones may open.
    HOME_KEYS = "home.keys"
    # Tell what was done out of reach; each act of it is asked about by itself, too.
    HOME_PUSH = "home.push"
    ROOM_READ = "room.read"
    ROOM_MANAGE = "room.manage"
    MEMBER_READ = "member.read"
    MEMBER_MANAGE = "member.manage"
    MEMBER_INVITE = "member.invite"
    AUDIT_READ = "audit.read"
    DEVICE_READ = "device.read"
    DEVICE_CONTROL = "device.control"
    DEVICE_UPDATE = "device.update"
    DEVICE_REMOVE = "device.remove"
    DEVICE_FREEZE = "device.freeze"
    # Out of its home; into the other one it is PAIR.
    DEVICE_TRANSFER = "device.transfer"
    # The people a device tells apart: their bodies are the business of those they live with.
    DEVICE_USER_READ = "device_user.read"
    DEVICE_USER_MANAGE = "device_user.manage"
    DEVICE_JOURNAL = "device.journal"
    GROUP_READ = "group.read"
    GROUP_CONTROL = "group.control"
    GROUP_MANAGE = "group.manage"
    SHARE_READ = "share.read"
    SHARE_MANAGE = "share.manage"
    PAIR = "pair"
    # The home's mesh with all its keys: whoever has them can do with its devices what the hub can.
    MESH_MANAGE = "mesh.manage"
    # Another platform that is shown all of the home's devices and may command them.
    UPSTREAM_MANAGE = "upstream.manage"
    # A device, about itself.
    DEVICE_SPEAK = "device.speak"
    # A hub, to its cloud.
    SYNC_SPEAK = "sync.speak"


class Scope(StrEnum):
    """What a key may be limited to; a person's own session has all of them."""

    READ = "read"
    CONTROL = "control"
    MANAGE = "manage"


_READS = {
    Action.HOME_READ,
    Action.ROOM_READ,
    Action.MEMBER_READ,
    Action.AUDIT_READ,
    Action.DEVICE_READ,
    Action.DEVICE_JOURNAL,
    Action.DEVICE_USER_READ,
    Action.GROUP_READ,
    Action.SHARE_READ,
}
_CONTROLS = {Action.DEVICE_CONTROL, Action.GROUP_CONTROL}

# The least role that may do it in its home. Guests are limited further to their times and their devices.
LEAST: dict[Action, Role] = {
    Action.HOME_READ: Role.GUEST,
    Action.HOME_LEAVE: Role.GUEST,
    Action.HOME_PUSH: Role.GUEST,
    Action.HOME_UPDATE: Role.ADMIN,
    Action.HOME_DISSOLVE: Role.OWNER,
    Action.HOME_HAND_OVER: Role.OWNER,
    Action.HOME_SYNC: Role.OWNER,
    Action.HOME_KEYS: Role.OWNER,
    Action.ROOM_READ: Role.GUEST,
    Action.ROOM_MANAGE: Role.ADMIN,
    Action.MEMBER_READ: Role.MEMBER,
    Action.MEMBER_MANAGE: Role.ADMIN,
    Action.MEMBER_INVITE: Role.ADMIN,
    Action.AUDIT_READ: Role.ADMIN,
    Action.DEVICE_READ: Role.GUEST,
    Action.DEVICE_CONTROL: Role.GUEST,
    Action.DEVICE_UPDATE: Role.ADMIN,
    Action.DEVICE_REMOVE: Role.ADMIN,
    Action.DEVICE_FREEZE: Role.ADMIN,
    Action.DEVICE_TRANSFER: Role.ADMIN,
    Action.DEVICE_USER_READ: Role.MEMBER,
    Action.DEVICE_USER_MANAGE: Role.MEMBER,
    Action.DEVICE_JOURNAL: Role.MEMBER,
    Action.GROUP_READ: Role.GUEST,
    Action.GROUP_CONTROL: Role.GUEST,
    Action.GROUP_MANAGE: Role.ADMIN,
    Action.SHARE_READ: Role.ADMIN,
    Action.SHARE_MANAGE: Role.ADMIN,
    Action.PAIR: Role.ADMIN,
    Action.MESH_MANAGE: Role.OWNER,
    Action.UPSTREAM_MANAGE: Role.OWNER,
}

# Whose membership each role may give, change or take (specs/tuya/notes.md, 7: the owner all but their own, which is
# handed over; an admin "common members only (and below)", so neither the owner nor another admin, nor themselves).
MANAGES: dict[Role, frozenset[Role]] = {
    Role.OWNER: frozenset({Role.ADMIN, Role.MEMBER, Role.GUEST}),
    Role.ADMIN: frozenset({Role.MEMBER, Role.GUEST}),
    Role.MEMBER: frozenset(),
    Role.GUEST: frozenset(),
}
_ON_MEMBERS = {Action.MEMBER_MANAGE, Action.MEMBER_INVITE}

# What a share gives to somebody outside the home.
_BY_SHARE: dict[Action, Level] = {
    Action.DEVICE_READ: Level.VIEW,
    Action.GROUP_READ: Level.VIEW,
    Action.DEVICE_CONTROL: Level.CONTROL,
    Action.GROUP_CONTROL: Level.CONTROL,
}
_ON_THINGS = frozenset(_BY_SHARE)


class Terms(Struct, frozen=True, gc=False):
    """When access holds: until a time (ms, exclusive) and only within hours of the week in the home's time zone."""

    until: int | None = None
    hours: tuple[Window, ...] = ()
    time_zone: str = "UTC"


ALWAYS = Terms()


class Grant(Struct, frozen=True, gc=False):
    """What one accepted share gives its receiver on the resource at hand."""

    level: Level
    terms: Terms = ALWAYS


class Standing(Struct, frozen=True, gc=False):
    """What somebody is to a resource's home: a role, for guests with terms and only some things; or shares of it."""

    role: Role | None = None
    terms: Terms = ALWAYS
    only: frozenset[str] | None = None
    grants: tuple[Grant, ...] = ()


NOBODY = Standing()


class Actor(Struct, frozen=True, gc=False):
    """Who asks: an account through one of its credentials (a session or a key), a device, another hub, or the hub."""

    account_id: str | None
    credential_id: str | None = None
    scopes: frozenset[Scope] = frozenset(Scope)
    anonymous: bool = False
    hub_owner: bool = False
    # A key can be bound to one home.
    home_id: str | None = None
    # A device stands for itself and for nobody's account.
    device_id: str | None = None
    # At a cloud: a hub that is enrolled with it, and which life of that (its node).
    hub_id: str | None = None
    node: str | None = None


SYSTEM = Actor(account_id=None, credential_id="system")


class Resource(Struct, frozen=True, gc=False):
    """What is asked about, and what the asker is to it.

    `things` are the ids a guest's grant may name (a device and the groups it is in); `least` is a group's own stricter
    demand on who controls it; `account_id` is whose it is, for what belongs to a person; `role` is that of the
    membership or invitation it is about.
    """

    standing: Standing = NOBODY
    home_id: str | None = None
    things: tuple[str, ...] = ()
    least: Role | None = None
    account_id: str | None = None
    role: Role | None = None


class Verdict(StrEnum):
    """YES; NO (it may be seen, not done); HIDDEN (it must look as if it did not exist); UNTRUSTED_CLOCK."""

    YES = "yes"
    NO = "no"
    HIDDEN = "hidden"
    UNTRUSTED_CLOCK = "untrusted_clock"


class Decision(Struct, frozen=True, gc=False):
    """A verdict, and for YES the earliest time (ms) at which it must be asked again; None: only when rights change."""

    verdict: Verdict
    until: int | None = None

    @property
    def yes(self) -> bool:
        """Whether to go on."""
        return self.verdict is Verdict.YES


YES, NO, HIDDEN = Decision(Verdict.YES), Decision(Verdict.NO), Decision(Verdict.HIDDEN)
UNTRUSTED = Decision(Verdict.UNTRUSTED_CLOCK)


def allowed(actor: Actor, action: Action, resource: Resource, now: Moment) -> Decision:
    """Whether `actor` may do `action` on `resource` at `now`."""
    if actor is SYSTEM or action is Action.PUBLIC:
        return YES
    if action is Action.DEVICE_SPEAK:
        return YES if actor.device_id is not None and actor.device_id in resource.things else HIDDEN
    if action is Action.SYNC_SPEAK:
        return YES if actor.hub_id is not None else HIDDEN
    if actor.account_id is None:
        return HIDDEN
    decision = _as_a_person(actor, action, resource, now)
    # After the standing: what a key lacks must not tell that something exists which its person may not see.
    return decision if not decision.yes or _in_scope(actor, action) else NO


def _as_a_person(actor: Actor, action: Action, resource: Resource, now: Moment) -> Decision:
    match action:
        case Action.SELF:
            return YES if actor.account_id == resource.account_id else HIDDEN
        case Action.HUB_ENROL if resource.account_id not in (None, actor.account_id):
            return HIDDEN
        case Action.HOME_CREATE | Action.HUB_ENROL:
            return NO if actor.anonymous or actor.home_id is not None else YES
        case Action.HUB_MANAGE:
            return YES if actor.hub_owner else NO
        case _:
            return _in_home(actor, action, resource, now)


def _in_scope(actor: Actor, action: Action) -> bool:
    if action in _READS:
        return Scope.READ in actor.scopes
    return (Scope.CONTROL if action in _CONTROLS else Scope.MANAGE) in actor.scopes


def _in_home(actor: Actor, action: Action, resource: Resource, now: Moment) -> Decision:
    if actor.home_id is not None and actor.home_id != resource.home_id:
        return HIDDEN
    standing = resource.standing
    if standing.role is None:
        return _by_share(action, standing.grants, now)
    if standing.role is Role.GUEST:
        return _as_guest(action, resource, now)
    if action is Action.HOME_LEAVE and standing.role is Role.OWNER:
        return NO
    if action in _ON_MEMBERS and resource.role is not None and resource.role not in MANAGES[standing.role]:
        return NO
    return YES if RANK[standing.role] >= RANK[_least(action, resource)] else NO


def _least(action: Action, resource: Resource) -> Role:
    least = LEAST[action]
    if action in _CONTROLS and resource.least is not None and RANK[resource.least] > RANK[least]:
        return resource.least
    return least


def _as_guest(action: Action, resource: Resource, now: Moment) -> Decision:
    standing = resource.standing
    about_things = resource.things or action in _ON_THINGS
    if about_things and standing.only is not None and not standing.only.intersection(resource.things):
        return HIDDEN
    if action is Action.HOME_LEAVE:
        # Hours limit what a guest may use, not whether they may go.
        return holds(Terms(standing.terms.until), now) if now.trusted else YES
    held = holds(standing.terms, now)
    if not held.yes:
        # Out of hours a guest still knows the home is there; past the end it is nothing to them any more.
        return held
    return held if RANK[Role.GUEST] >= RANK[_least(action, resource)] else NO


def _by_share(action: Action, grants: tuple[Grant, ...], now: Moment) -> Decision:
    """The best of several shares of the same thing."""
    best = HIDDEN
    for grant in grants:
        decision = holds(grant.terms, now)
        if decision.yes and (wanted := _BY_SHARE.get(action)) is not Level.VIEW and grant.level is not wanted:
            decision = NO
        best = _better(best, decision)
    return best


_GOODNESS = {Verdict.HIDDEN: 0, Verdict.UNTRUSTED_CLOCK: 1, Verdict.NO: 2, Verdict.YES: 3}


def _better(one: Decision, other: Decision) -> Decision:
    if one.verdict is other.verdict is Verdict.YES:
        return one if one.until is None or (other.until is not None and one.until >= other.until) else other
    return one if _GOODNESS[one.verdict] >= _GOODNESS[other.verdict] else other


def holds(terms: Terms, now: Moment) -> Decision:
    """Whether access under `terms` holds at `now`. What ends at a time is refused while the clock is untrusted."""
    if terms.until is None and not terms.hours:
        return YES
    if not now.trusted:
        return UNTRUSTED
    if terms.until is not None and now.ms >= terms.until:
        return HIDDEN
    if not terms.hours:
        return Decision(Verdict.YES, terms.until)
    ends = end_of_hours(terms.hours, terms.time_zone, now.ms // MINUTE_MS)
    if ends is None:
        return NO
    return Decision(Verdict.YES, ends if terms.until is None else min(ends, terms.until))
