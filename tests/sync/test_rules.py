"""Who may have what taken: one operation at a time, and whatever an operation may be."""

import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from app.clock import Moment
from app.store.tx import Tx
from app.sync import binding_queries, queries, rules
from app.sync.accepting import Sender
from app.sync.model import Entity, Op, Part, Stamp, Status
from app.sync.rules import By
from app.sync.shapes import fits, fits_entity
from app.sync.wire import Pushed
from tests.sync.nodes import START_MS, Node

OWNER, ADMIN, MEMBER, GUEST, STRANGER, OTHER = (f"{number:064x}" for number in range(1, 7))
HOME = "home"
NOW = Moment(START_MS)
HUB = By("one")


class House:
    """Entities by kind and id."""

    home_id = HOME

    def __init__(self, *entities: Entity) -> None:
        people = {OWNER: "owner", ADMIN: "admin", MEMBER: "member", GUEST: "guest"}
        self.all = {("home", HOME): made("home", HOME)}
        self.all |= {("member", key): made("member", key, role=role) for key, role in people.items()}
        self.all |= {(it.kind, it.id): it for it in entities}

    def get(self, kind: str, entity_id: str) -> Entity | None:
        return self.all.get((kind, entity_id))

    def live(self, kind: str, entity_id: str) -> Entity | None:
        found = self.get(kind, entity_id)
        return None if found is None or found.dead is not None else found


def made(kind: str, entity_id: str, seq: int = 1, dead: bool = False, /, **fields: Any) -> Entity:
    stamp = Stamp(1, "cloud", 1, "", seq)
    return Entity(kind, entity_id, seq, 1, stamp, {} if dead else fields, {}, stamp if dead else None)


def ask(house: House, actor: str, *parts: Part, seen: int = 9, by: By = HUB) -> str:
    op = Op("one-1", 1, actor, 1, seen, list(parts))
    assert fits(op)
    return rules.judge(op, house, NOW, by)


def new(kind: str, entity_id: str, **fields: Any) -> Part:
    return Part(kind, entity_id, "new", fields)


def put(kind: str, entity_id: str, **fields: Any) -> Part:
    return Part(kind, entity_id, "put", fields)


SHARE: dict[str, Any] = {"kind": "device", "thing_id": "d", "giver": ADMIN, "level": "view", "expires_at": START_MS + 1}
OFFER = made("share", "s", state="pending", receiver=STRANGER, **SHARE)
INVITATION = made("invitation", "i", role="member", state="pending", created_by=ADMIN, expires_at=START_MS + 1)
COMES = new("member", STRANGER, role="member")


@pytest.mark.parametrize(
    ("actor", "part", "why"),
    [
        (ADMIN, put("room", "r", name="x"), ""),
        (MEMBER, put("room", "r", name="x"), "not_allowed"),
        (STRANGER, put("room", "r", name="x"), "not_a_member"),
        (ADMIN, Part("home", HOME, "del"), "not_allowed"),
        (OWNER, Part("home", HOME, "del"), ""),
        (ADMIN, put("member", MEMBER, role="admin"), "not_allowed"),
        (ADMIN, put("member", MEMBER, role="guest"), ""),
        (OWNER, put("member", MEMBER, role="owner"), "owner_stays"),
        (ADMIN, put("member", OWNER, role="guest"), "owner_stays"),
        (OWNER, Part("member", OWNER, "del"), "owner_stays"),
        (MEMBER, Part("member", MEMBER, "del"), ""),
        (MEMBER, Part("member", GUEST, "del"), "not_allowed"),
        (MEMBER, put("member", MEMBER, name="me"), ""),
        (MEMBER, put("member", GUEST, name="you"), "not_allowed"),
        (OWNER, new("member", STRANGER, role="owner"), "owner_stays"),
        (STRANGER, new("member", STRANGER, role="guest"), "not_allowed"),
        (OWNER, new("member", MEMBER, role="guest"), "already_member"),
        (MEMBER, put("home_key", "k", number=1), "not_a_hub"),
        (ADMIN, put("conflict", "c", state="dismissed"), ""),
        (ADMIN, new("invitation", "j", role="member", state="pending", created_by=OWNER), "not_yours"),
        (ADMIN, new("invitation", "j", role="admin", state="pending", created_by=ADMIN), "not_allowed"),
        (ADMIN, put("invitation", "i", role="admin"), "not_as_invited"),
        (ADMIN, put("invitation", "i", state="pending"), "not_as_invited"),
        (STRANGER, put("share", "s", state="accepted"), ""),
        (STRANGER, put("share", "s", state="accepted", level="control"), "not_as_given"),
        (STRANGER, put("share", "s", state="accepted", thing_id="everything"), "not_as_given"),
        (STRANGER, put("share", "s", state="ended", level="control"), "not_allowed"),
        (OTHER, put("share", "s", state="accepted", receiver=OTHER), "share_over"),
    ],
)
def test_who_may_what(actor: str, part: Part, why: str) -> None:
    assert ask(House(OFFER, INVITATION, made("room", "r", name="r")), actor, part) == why


def test_a_hub_alone_is_nobody() -> None:
    assert ask(House(), "", put("device", "d", firmware="1"), by=By(None)) == "not_a_hub"
    # What is behind a gateway is of who holds that, or stands by for it.
    for by, wanted in (("one", ""), ("two", "not_its_holder")):
        gateway = made("device", "g", holder=by, owner_epoch=3)
        bulb = made("device", "d", holder="four", owner_epoch=3, gateway_id="g")
        assert ask(House(gateway, bulb), "", put("device", "d", holder="one", owner_epoch=4)) == wanted
        gateway = made("device", "g", holder="five", standby=by, owner_epoch=3)
        assert ask(House(gateway, bulb), "", put("device", "d", holder="one", owner_epoch=4)) == wanted
    device = made("device", "d", holder="two", standby="one", owner_epoch=3)
    assert ask(House(device), "", put("device", "d", firmware="1")) == "not_its_holder"
    assert ask(House(device), "", put("device", "d", holder="one", owner_epoch=4)) == ""


def test_a_home_is_handed_over_by_its_owner_to_one() -> None:
    down, up = put("member", OWNER, role="admin"), put("member", ADMIN, role="owner")
    assert ask(House(), OWNER, down, up) == ""
    assert ask(House(), ADMIN, down, up) == "owner_stays"
    assert ask(House(), OWNER, down) == "owner_stays"
    assert ask(House(), OWNER, down, put("member", GUEST, role="owner")) == "not_full_member"
    assert ask(House(), OWNER, down, up, put("member", MEMBER, role="owner")) == "owner_stays"


def test_an_invitation_lets_in_as_it_says_and_once() -> None:
    taken = put("invitation", "i", state="accepted", taken_by=STRANGER)
    assert ask(House(INVITATION), STRANGER, COMES, taken) == ""
    assert ask(House(INVITATION), STRANGER, new("member", STRANGER, role="admin"), taken) == "not_as_invited"
    used = msgspec.structs.replace(INVITATION, fields={**INVITATION.fields, "state": "accepted"})
    assert ask(House(used), STRANGER, COMES, taken) == "invitation_over"
    giver = made("member", ADMIN, role="guest")
    assert ask(House(INVITATION, giver), STRANGER, COMES, taken) == "giver_lost_the_right"
    other = msgspec.structs.replace(INVITATION, id="j")
    both = [COMES, taken, put("invitation", "j", state="accepted")]
    assert ask(House(INVITATION, other), STRANGER, *both) == "invitation_over"


def test_an_invitation_that_is_gone_is_no_reason_to_refuse_what_else_was_done() -> None:
    new = Part("invitation", "j", "new", {"role": "member", "created_by": ADMIN, "state": "pending"})
    for gone in (House(), House(made("invitation", "i", 5, True))):
        assert ask(gone, ADMIN, new, Part("invitation", "i", "del")) == ""
        assert ask(gone, ADMIN, new, Part("invitation", "i", "put", {"state": "revoked"})) == ""
    assert ask(House(), STRANGER, new) != ""


def test_who_was_put_out_comes_back_by_a_later_invitation_only() -> None:
    taken = put("invitation", "i", state="accepted")
    gone = made("member", STRANGER, 5, True)
    assert ask(House(gone, INVITATION), STRANGER, COMES, taken) == "taken_away"
    later = made("invitation", "i", 6, **INVITATION.fields)
    assert ask(House(gone, later), STRANGER, COMES, taken) == ""
    assert ask(House(gone), ADMIN, COMES, seen=4) == "taken_away"
    assert ask(House(gone), ADMIN, COMES, seen=5) == ""


def test_a_grant_must_have_seen_what_was_taken_away() -> None:
    house = House(made("member", GUEST, 7, role="guest"))
    assert ask(house, OWNER, put("member", GUEST, role="admin"), seen=6) == "changed_meanwhile"
    assert ask(house, OWNER, put("member", GUEST, role="admin"), seen=7) == ""
    house = House(made("member", MEMBER, 7, role="member"))
    assert ask(house, OWNER, put("member", MEMBER, role="guest"), seen=6) == ""


def test_a_guests_limits_shrink_with_what_is_gone_alone() -> None:
    limited = made("member", GUEST, role="guest", only=["a", "b"])
    there = House(limited, made("device", "a"), made("device", "b"))
    assert ask(there, MEMBER, put("member", GUEST, only=["a"])) == "not_allowed"
    assert ask(House(limited, made("device", "a")), MEMBER, put("member", GUEST, only=["a"])) == ""


@pytest.mark.parametrize(
    "op",
    [
        Op("one", 1, OWNER, 1, 0, []),
        Op("one", 0, OWNER, 1, 0, [put("room", "r", name="x")]),
        Op("one", 1, "not a key", 1, 0, [put("room", "r", name="x")]),
        Op("n" * 65, 1, OWNER, 1, 0, [put("room", "r", name="x")]),
        Op("one", 1, OWNER, 1, -1, [put("room", "r", name="x")]),
        Op("one", 1, OWNER, 1, 0, [put("room", "r", name="x"), put("room", "r", name="y")]),
        Op("one", 1, OWNER, 1, 0, [put("room", "r", name=3)]),
        Op("one", 1, OWNER, 1, 0, [put("room", "r", colour="x")]),
        Op("one", 1, OWNER, 1, 0, [put("castle", "r", name="x")]),
        Op("one", 1, OWNER, 1, 0, [Part("room", "r", "del", {"name": "x"})]),
        Op("one", 1, OWNER, 1, 0, [put("member", OWNER, role=None)]),
        Op("one", 1, OWNER, 1, 0, [new("device", "d", product_id="p", hardware_id=None, owner_epoch=1)]),
        Op("one", 1, OWNER, 1, 0, [new("device", "d", product_id="p", hardware_id="", owner_epoch=1)]),
        Op("one", 1, OWNER, 1, 0, [new("device", "d", product_id="p", hardware_id="h", owner_epoch=None)]),
    ],
)
def test_what_cannot_be_does_not_fit(op: Op) -> None:
    assert not fits(op)


def test_an_entity_of_another_node_is_read_with_care() -> None:
    assert fits_entity(made("room", "r", name="x"))
    assert fits_entity(made("room", "r", 1, True))
    assert not fits_entity(made("room", "r", name=3))
    assert not fits_entity(made("castle", "c", name="x"))
    assert not fits_entity(made("room", "r", 1 << 62, name="x"))


# hostile operations

VALUES: list[Any] = [None, "", "x", "x" * 300, 0, -1, 1 << 60, 1 << 63, True, 1.5, float("inf"), b"\x00", [], [1], {}]
VALUES += ["owner", "admin", "accepted", "ended", "pending", OWNER, STRANGER, ["d"], [{"days": [0]}], {"a": {"b": []}}]
NAMES = ["name", "role", "state", "only", "hours", "until", "owner_epoch", "hardware_id", "holder", "room_id", "giver"]
NAMES += ["receiver", "level", "created_by", "taken_by", "kind", "thing_id", "time_zone", "device/d", "to/x", "", "\0"]
KINDS = [*rules._RULES, "castle", ""]
IDS = ["d", "r", "s", "i", HOME, OWNER, STRANGER, MEMBER, "", "x" * 201]


def hostile(rng: random.Random, counts: Counter[str]) -> Op:
    def part() -> Part:
        fields = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randrange(5))}
        kind = rng.choice(KINDS)
        if rng.random() < 0.4:
            fields |= {"product_id": "p", "hardware_id": rng.choice("hg"), "owner_epoch": rng.randrange(4)}
            kind = "device"
        return Part(kind, rng.choice(IDS), rng.choice(("new", "put", "del")), fields)

    actor = rng.choice([OWNER, ADMIN, MEMBER, GUEST, STRANGER, "", "nobody", "x" * 1_000])
    at, seen = rng.choice([-1, 0, 1, 1 << 62, 1 << 63]), rng.choice([-1, 0, 9, 1 << 62])
    not_after = rng.choice([None, None, 0, 1 << 62])
    node = f"phone-{actor[-8:]}"
    counts[node] += 1
    return Op(node, counts[node], actor, at, seen, [part() for _ in range(rng.randrange(4))], not_after)


def test_a_home_that_goes_frees_the_hardware_that_comes_in_with_its_end() -> None:
    cloud = Node("cloud")
    cloud.act(lambda tx: cloud.authority.found_in(tx, HOME, "e"))
    cloud.do(HOME, OWNER, [new("home", HOME, name="h"), new("member", OWNER, role="owner")])
    cloud.do(HOME, OWNER, [new("device", "one", product_id="p", hardware_id="g", owner_epoch=1)])
    another = new("device", "two", product_id="p", hardware_id="g", owner_epoch=2)
    cloud.do(HOME, OWNER, [Part("home", HOME, "del"), another])
    alive = [it.id for it in cloud.log(HOME).values() if it.kind == "device" and it.dead is None]
    assert alive == ["two"]
    assert cloud.act(lambda tx: binding_queries.binding(tx, "g")) is None


def test_a_log_has_one_home() -> None:
    house = House()
    assert ask(house, OWNER, Part("home", HOME, "del")) == ""
    assert ask(house, OWNER, Part("home", "another", "del")) == "malformed"


@pytest.mark.parametrize("count", [3_000, pytest.param(200_000, marks=pytest.mark.full)])
def test_hostile_operations_are_answered_and_leave_nothing_odd(count: int) -> None:
    rng, cloud, counts = random.Random(1), Node("cloud"), Counter[str]()
    cloud.act(lambda tx: cloud.authority.found_in(tx, HOME, "e"))
    people = [new("member", key, role=role) for key, role in ((OWNER, "owner"), (ADMIN, "admin"), (MEMBER, "member"))]
    cloud.do(HOME, OWNER, [new("home", HOME, name="h"), *people, new("room", "r", name="r")])
    statuses = set()
    for n in range(1, count + 1):
        op = hostile(rng, counts)

        def push(tx: Tx, op: Op = op) -> Pushed:
            shared = queries.shared(tx, HOME)
            assert shared is not None
            sender = Sender(rng.choice((By("one"), By(None))), rng.choice((0, START_MS, 1 << 60)), lambda _: True)
            return cloud.authority.push_in(tx, shared, [op], sender, tx.moment)

        [result] = cloud.act(push).results
        statuses.add(result.status)
        if n % 500 == 0:
            _check(cloud)
    _check(cloud)
    assert {Status.OK, Status.DENIED, Status.EXPIRED} <= statuses


def _check(cloud: Node) -> None:
    log = cloud.log(HOME).values()
    assert all(fits_entity(it) for it in log)
    assert all(it.last.at <= (cloud.now << 16) + (1 << 24) for it in log)
    alive = [it for it in log if it.dead is None]
    if any(it.kind == "home" for it in alive):
        assert [it.id for it in alive if it.kind == "member" and it.fields["role"] == "owner"] != []
    hardware = [it.fields["hardware_id"] for it in alive if it.kind == "device"]
    assert len(hardware) == len(set(hardware))
    rooms = {it.id for it in alive if it.kind == "room"}
    assert {it.fields.get("room_id") for it in alive if it.kind == "device"} <= {None, *rooms}
