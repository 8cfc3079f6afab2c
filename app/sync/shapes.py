"""Whether an operation's fields are of the types their kinds have: nothing else reaches the tables (PROTOCOL.md 2)."""

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from app.hours import Window
from app.sync.model import MAX_NUMBER, MAX_PARTS, Entity, Op, Part, Stamp

Text = Annotated[str, Meta(max_length=200)]
Long = Annotated[str, Meta(max_length=2_000)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Key = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Count = Annotated[int, Meta(ge=-(1 << 53), le=1 << 53)]
Hours = Annotated[list[Window], Meta(max_length=21)]
Things = Annotated[list[Id], Meta(max_length=200)]
Role = Literal["owner", "admin", "member", "guest"]


class _Shape(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Every field may be missing, and most may be null: it is no more."""


class _Home(_Shape):
    name: Text | None = None
    time_zone: Text | None = None
    latitude: float | None = None
    longitude: float | None = None
    address: Text | None = None
    offline_alert_after: Count | None = None


class _Member(_Shape):
    role: Role = "guest"
    name: Text | None = None
    remark: Text | None = None
    until: Count | None = None
    hours: Hours | None = None
    only: Things | None = None
    joined_at: Count | None = None
    anonymous: bool | None = None


class _Room(_Shape):
    name: Text | None = None
    icon: Text | None = None
    position: Count | None = None


class _Device(_Shape):
    room_id: Id | None = None
    product_id: Text | None = None
    hardware_id: Annotated[str, Meta(min_length=1, max_length=200)] = ""
    public_key: Key | None = None
    gateway_id: Id | None = None
    link: Text | None = None
    trust: Text | None = None
    name: Text | None = None
    icon: Text | None = None
    position: Count | None = None
    firmware: Text | None = None
    serial: Text | None = None
    owner_epoch: Count = 0
    holder: Text | None = None
    standby: Text | None = None
    bound_at: Count | None = None
    unbound_at: Count | None = None
    frozen_at: Count | None = None
    offline_alert_after: Count | None = None


class _DeviceUser(_Shape):
    device_id: Id | None = None
    nick_name: Text | None = None
    sex: Count | None = None
    birthday: Count | None = None
    height: Count | None = None
    weight: Count | None = None
    contact: Text | None = None


class _Group(_Shape):
    name: Text | None = None
    icon: Text | None = None
    least: Role | None = None
    created_at: Count | None = None


class _Share(_Shape):
    kind: Literal["device", "group"] | None = None
    thing_id: Id | None = None
    giver: Key | None = None
    receiver: Key | None = None
    code_hash: Text | None = None
    level: Literal["view", "control"] | None = None
    until: Count | None = None
    hours: Hours | None = None
    state: Literal["pending", "accepted", "refused", "ended"] | None = None
    remark: Text | None = None
    created_at: Count | None = None
    expires_at: Count | None = None
    accepted_at: Count | None = None
    ended_at: Count | None = None


class _Invitation(_Shape):
    code_hash: Text | None = None
    role: Role | None = None
    until: Count | None = None
    hours: Hours | None = None
    only: Things | None = None
    anonymous: bool | None = None
    state: Literal["pending", "accepted", "refused", "revoked"] | None = None
    created_by: Key | None = None
    taken_by: Key | None = None
    created_at: Count | None = None
    expires_at: Count | None = None


class _Network(_Shape):
    ssid: Text | None = None
    bssid: Text | None = None
    secured: bool | None = None
    created_at: Count | None = None
    used_at: Count | None = None


class _Secret(_Shape):
    sealed: Annotated[str, Meta(max_length=100_000)] | None = None


class _Hub(_Shape):
    name: Text | None = None
    seal_key: Key | None = None
    proof: Key | None = None
    state: Text | None = None


class _HomeKey(_Shape):
    number: Count | None = None
    made_by: Text | None = None
    after: Id | None = None
    proof: Key | None = None


class _Conflict(_Shape):
    state: Literal["open", "undone", "dismissed"] | None = None


_SHAPES: Final[dict[str, type[_Shape]]] = {
    "home": _Home,
    "member": _Member,
    "room": _Room,
    "device": _Device,
    "device_user": _DeviceUser,
    "group": _Group,
    "share": _Share,
    "invitation": _Invitation,
    "wifi_network": _Network,
    "secret": _Secret,
    "hub": _Hub,
    "home_key": _HomeKey,
    "conflict": _Conflict,
}
# Fields that there may be any number of, by how their names begin, and what they hold.
_MANY: Final[dict[str, tuple[str, Any]]] = {
    "names": ("", Text | None),
    "group": ("device/", Count | None),
    "home_key": ("to/", Long | None),
}
MAX_FIELDS: Final = 2_000
MAX_NAME: Final = 200
MAX_NODE: Final = 64
MAX_SEQ: Final = 1 << 60
_KEY: Final = re.compile(r"([0-9a-f]{64})?\Z")
# What a new entity cannot be without.
_NEEDED: Final[dict[str, frozenset[str]]] = {
    "member": frozenset({"role"}),
    "device": frozenset({"product_id", "hardware_id", "owner_epoch"}),
    "room": frozenset({"name"}),
    "group": frozenset({"name"}),
    "share": frozenset({"kind", "thing_id", "giver", "level", "state"}),
    "invitation": frozenset({"role", "state", "created_by"}),
}


def fits(op: Op) -> bool:
    """Whether each part of it can be, and it is of somebody. It says one thing of each entity."""
    if not (0 < len(op.parts) <= MAX_PARTS and op.n > 0 and op.at > 0 and op.seen >= 0):
        return False
    if len(op.node) > MAX_NODE or not _KEY.match(op.actor):
        return False
    # Two parts on one entity would be judged each as if it were the only one.
    if len(op.parts) > 1 and len({(part.kind, part.id) for part in op.parts}) < len(op.parts):
        return False
    return all(_fits(part) for part in op.parts)


def is_named_well(op: Op) -> bool:
    """Whether its node and its person can be any."""
    return 0 < len(op.node) <= MAX_NODE and _KEY.match(op.actor) is not None and 0 < op.n < MAX_NUMBER


def _is_stamp(it: Stamp) -> bool:
    named = 0 < len(it.node) <= MAX_NODE and _KEY.match(it.actor) is not None
    return named and 0 < it.at < MAX_SEQ and 0 <= it.n < MAX_NUMBER and 0 <= it.seq < MAX_SEQ


def fits_entity(it: Entity) -> bool:
    """Whether an entity of another node can be: what only the authority writes is as it has written it."""
    if not (0 <= it.seq < MAX_SEQ and 0 < it.inc < MAX_NUMBER and _is_stamp(it.stamp)):
        return False
    if it.stamps and not all(map(_is_stamp, it.stamps.values())):
        return False
    if it.dead is not None:
        return _is_stamp(it.dead) and (it.kind in _SHAPES or it.kind == "names")
    if it.kind == "conflict":
        return {"kind", "id", "field", "why"} <= it.fields.keys()
    return _fits(Part(it.kind, it.id, "new", it.fields))


def _fits(part: Part) -> bool:
    if not 0 < len(part.id) <= MAX_NAME or len(part.fields) > MAX_FIELDS:
        return False
    if part.what == "del":
        return not part.fields
    if part.what == "new" and not _NEEDED.get(part.kind, frozenset()) <= part.fields.keys():
        return False
    few = part.fields
    try:
        if (many := _MANY.get(part.kind)) is not None:
            beginning, of = many
            few = dict(few)
            for name in [name for name in few if name.startswith(beginning) and len(name) <= MAX_NAME]:
                msgspec.convert(few.pop(name), of)
        if part.kind == "names":
            return not few
        msgspec.convert(few, _SHAPES[part.kind])
    except (msgspec.ValidationError, KeyError):
        return False
    return True
