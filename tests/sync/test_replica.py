"""What a replica and its authority do in the corners that schedules come to seldom."""

import pytest

from app.sync import merge, queries, showing
from app.sync.accepting import Sender
from app.sync.model import Op, Part, Status, decode_entity
from app.sync.rules import By
from app.sync.wire import Pull, Pushed, Reset, SnapshotPage
from tests.sync.nodes import Node

HOME, ANNA, BEN = "home", "a" * 64, "b" * 64
DAY_MS = 86_400_000


class Pair:
    """A hub and its cloud, level."""

    def __init__(self) -> None:
        self.cloud = Node("cloud")
        self.cloud.act(lambda tx: self.cloud.authority.found_in(tx, HOME, "e1"))
        people = [Part("member", ANNA, "new", {"role": "owner"}), Part("member", BEN, "new", {"role": "admin"})]
        self.cloud.do(HOME, ANNA, [Part("home", HOME, "new", {"name": "h"}), *people])
        self.hub = self.another("one")

    def another(self, name: str) -> Node:
        hub = Node(name, name)
        hub.act(lambda tx: hub.replica.join_in(tx, HOME, "cloud", "e1", restating=False))
        self.snapshot(hub)
        return hub

    def snapshot(self, hub: Node) -> None:
        while (ask := hub.replica.next_page(hub.reader, HOME)) is not None:
            page = self.cloud.authority.page(self.cloud.reader, ask)
            hub.act(lambda tx, page=page: hub.replica.page_in(tx, HOME, page))  # type: ignore[misc]

    def push(self, hub: Node, *, answered: bool = True) -> Pushed:
        push, waiting = hub.replica.next_push(hub.reader, HOME)
        sender = Sender(By(hub.hub_id), hub.now, lambda _: True, hub.name)
        shared, cloud = self.cloud.shared(HOME), self.cloud
        pushed = cloud.act(lambda tx: cloud.authority.push_in(tx, shared, push.ops, sender, tx.moment))
        if answered:
            hub.act(lambda tx: hub.replica.pushed_in(tx, HOME, waiting, pushed))
        return pushed

    def pull(self, hub: Node, limit: int = 1_000) -> None:
        here = hub.shared(HOME)
        answer = self.cloud.authority.changes(self.cloud.reader, Pull(0, HOME, here.epoch, here.head, limit))
        assert not isinstance(answer, Reset)
        hub.act(lambda tx: hub.replica.changed_in(tx, HOME, answer))

    def restate(self, hub: Node) -> None:
        """After the cloud has begun another life."""
        epoch = self.cloud.shared(HOME).epoch
        hub.act(lambda tx: hub.replica.reset_in(tx, HOME, Reset(0, HOME, epoch, restate=True)))
        ask, _ = hub.replica.restating(hub.reader, HOME, ("", ""))
        rows, shared, cloud = [decode_entity(it) for it in ask.rows], self.cloud.shared(HOME), self.cloud
        cloud.act(lambda tx: cloud.authority.restate_in(tx, shared, rows, ask.counters, hub.hub_id or ""))
        hub.act(lambda tx: hub.replica.restated_in(tx, HOME))
        self.snapshot(hub)

    def renew(self, image: bytes, epoch: str) -> None:
        self.cloud = Node(f"cloud-{epoch}", None, image)
        shared = self.cloud.shared(HOME)
        self.cloud.act(lambda tx: self.cloud.authority.renew_in(tx, shared, epoch))

    def is_same(self, hub: Node) -> bool:
        return merge.digest(hub.log(HOME).values()) == merge.digest(self.cloud.log(HOME).values())


@pytest.fixture
def pair() -> Pair:
    return Pair()


def room(name: str = "Bath", what: str = "new", room_id: str = "r") -> list[Part]:
    return [Part("room", room_id, what, {} if what == "del" else {"name": name})]  # type: ignore[arg-type]


def names(what: str, **fields: str) -> list[Part]:
    return [Part("names", "d", what, fields)]  # type: ignore[arg-type]


def test_alone_a_hub_makes_the_same_rows_without_a_pull(pair: Pair) -> None:
    for name in "abc":
        pair.hub.do(HOME, ANNA, room(name, room_id=name))
    pair.hub.do(HOME, BEN, room("z", "put", "a"))
    assert pair.push(pair.hub).plain
    assert pair.is_same(pair.hub)
    assert pair.hub.outbox(HOME) == []
    assert pair.hub.shared(HOME).head == pair.cloud.shared(HOME).head


def test_what_is_begun_anew_over_a_tombstone_that_the_authority_forgot_is_pulled(pair: Pair) -> None:
    pair.hub.do(HOME, ANNA, names("new", **{"1/a": "x"}))
    pair.hub.do(HOME, ANNA, names("del"))
    pair.push(pair.hub)
    pair.cloud.now += 91 * DAY_MS
    shared = pair.cloud.shared(HOME)
    assert pair.cloud.act(lambda tx: pair.cloud.authority.compact_in(tx, shared)) == 1
    pair.hub.do(HOME, ANNA, names("new", **{"1/a": "y"}))
    pair.push(pair.hub)
    pair.pull(pair.hub)
    assert pair.is_same(pair.hub)


def test_who_was_put_out_is_never_forgotten(pair: Pair) -> None:
    pair.hub.do(HOME, ANNA, [Part("member", BEN, "del")])
    pair.push(pair.hub)
    pair.cloud.now += 1_000 * DAY_MS
    shared = pair.cloud.shared(HOME)
    assert pair.cloud.act(lambda tx: pair.cloud.authority.compact_in(tx, shared)) == 0


def test_what_ended_and_was_forgotten_is_not_restated(pair: Pair) -> None:
    pair.hub.do(HOME, ANNA, room())
    pair.push(pair.hub)
    pair.cloud.do(HOME, ANNA, room(what="del"))
    pair.cloud.now += 91 * DAY_MS
    shared = pair.cloud.shared(HOME)
    assert pair.cloud.act(lambda tx: pair.cloud.authority.compact_in(tx, shared)) == 1
    pair.renew(pair.cloud.backup(), "e2")
    pair.restate(pair.hub)
    assert ("room", "r") not in pair.cloud.log(HOME)
    assert pair.is_same(pair.hub)


def test_a_snapshot_brings_tombstones_and_who_has_them_restates_them(pair: Pair) -> None:
    image = pair.cloud.backup()
    pair.cloud.do(HOME, ANNA, [Part("member", BEN, "del")])
    late = pair.another("two")
    pair.renew(image, "e2")
    pair.restate(late)
    dead = pair.cloud.log(HOME)["member", BEN].dead
    assert dead is not None


def test_a_home_handed_over_in_two_lives_has_one_owner(pair: Pair) -> None:
    over = [Part("member", ANNA, "put", {"role": "admin"}), Part("member", BEN, "put", {"role": "owner"})]
    cleo = "c" * 64
    pair.cloud.do(HOME, ANNA, [Part("member", cleo, "new", {"role": "admin"})])
    pair.pull(pair.hub)
    image = pair.cloud.backup()
    pair.hub.do(HOME, ANNA, over)
    pair.push(pair.hub)
    pair.renew(image, "e2")
    pair.cloud.now += DAY_MS
    pair.cloud.do(HOME, ANNA, [over[0], Part("member", cleo, "put", {"role": "owner"})])
    pair.restate(pair.hub)
    roles = {key[1]: it.fields["role"] for key, it in pair.cloud.log(HOME).items() if key[0] == "member"}
    assert roles == {ANNA: "admin", BEN: "admin", cleo: "owner"}
    assert pair.is_same(pair.hub)


def test_a_home_whose_heir_was_put_out_in_the_other_life_keeps_its_owner(pair: Pair) -> None:
    image = pair.cloud.backup()
    over = [Part("member", ANNA, "put", {"role": "admin"}), Part("member", BEN, "put", {"role": "owner"})]
    pair.hub.do(HOME, ANNA, over)
    pair.push(pair.hub)
    pair.renew(image, "e2")
    pair.cloud.do(HOME, ANNA, [Part("member", BEN, "del")])
    pair.restate(pair.hub)
    log = pair.cloud.log(HOME)
    assert log["member", ANNA].fields["role"] == "owner"
    assert log["member", BEN].dead is not None


def test_two_lives_of_the_same_backup_number_alike_and_all_is_well(pair: Pair) -> None:
    image = pair.cloud.backup()
    for life in ("e2", "e3", "e4"):
        pair.renew(image, life)
        pair.restate(pair.hub)
        for number in range(3):
            pair.cloud.do(HOME, ANNA, room(life, room_id=f"{life}-{number}"))
        pair.pull(pair.hub)
    pair.renew(image, "e5")
    pair.cloud.do(HOME, ANNA, room("fresh", room_id="fresh"))
    pair.restate(pair.hub)
    assert pair.is_same(pair.hub)
    assert len([key for key in pair.cloud.log(HOME) if key[0] == "room"]) == 10


def test_a_pull_in_pieces_leaves_the_outbox_as_it_is(pair: Pair) -> None:
    pair.hub.do(HOME, ANNA, room())
    pair.cloud.do(HOME, BEN, room("Cellar", room_id="c"))
    pair.push(pair.hub)
    pair.cloud.do(HOME, BEN, room("Spa", "put"))
    pair.pull(pair.hub, 1)
    assert [op.n for op in pair.hub.outbox(HOME)] == [1]
    assert showing.view(pair.hub.reader, HOME, "room", "r")[0] == {"name": "Bath"}
    while pair.hub.shared(HOME).head < pair.cloud.shared(HOME).head:
        pair.pull(pair.hub, 1)
    assert pair.hub.outbox(HOME) == []
    assert showing.view(pair.hub.reader, HOME, "room", "r")[0] == {"name": "Spa"}


def test_a_number_that_was_lost_with_a_home_goes_alone(pair: Pair) -> None:
    pair.hub.do(HOME, ANNA, room())
    pair.hub.act(lambda tx: pair.hub.replica.leave_in(tx, HOME))
    assert pair.hub.log(HOME) == {}
    assert pair.hub.shown(HOME) == {}
    pair.hub.act(lambda tx: pair.hub.replica.join_in(tx, HOME, "cloud", "e1", restating=False))
    pair.snapshot(pair.hub)
    pair.hub.do(HOME, ANNA, room("Spa", room_id="s"))
    assert pair.push(pair.hub).expected == 1
    assert [it.status for it in pair.push(pair.hub).results] == [Status.DENIED, Status.OK]
    pair.pull(pair.hub)
    assert pair.hub.outbox(HOME) == []
    assert ("room", "s") in pair.cloud.log(HOME)


def test_what_misses_a_number_late_fills_no_gap(pair: Pair) -> None:
    for name in "ab":
        pair.hub.do(HOME, ANNA, room(name, room_id=name))
    push, waiting = pair.hub.replica.next_push(pair.hub.reader, HOME)
    sender, shared, ops = Sender(By("one"), pair.hub.now, lambda _: True, "one"), pair.cloud.shared(HOME), push.ops[1:]
    late = pair.cloud.act(lambda tx: pair.cloud.authority.push_in(tx, shared, ops, sender, tx.moment))
    assert (late.expected, late.results) == (1, [])
    pair.push(pair.hub)
    pair.hub.do(HOME, ANNA, room("c", room_id="c"))
    pair.hub.act(lambda tx: pair.hub.replica.pushed_in(tx, HOME, waiting[1:], late))
    assert [op.n for op in pair.hub.outbox(HOME)] == [3]


def test_nothing_leaves_the_outbox_before_what_its_node_did_earlier(pair: Pair) -> None:
    pair.hub.do(HOME, ANNA, room("a", room_id="a"))
    pair.push(pair.hub, answered=False)
    pair.pull(pair.hub)
    pair.hub.do(HOME, ANNA, room("b", room_id="b"))
    push, waiting = pair.hub.replica.next_push(pair.hub.reader, HOME)
    sender, shared = Sender(By("one"), pair.hub.now, lambda _: True, "one"), pair.cloud.shared(HOME)
    second = pair.cloud.act(lambda tx: pair.cloud.authority.push_in(tx, shared, push.ops[1:], sender, tx.moment))
    assert second.plain
    pair.hub.act(lambda tx: pair.hub.replica.pushed_in(tx, HOME, waiting[1:], second))
    assert [op.n for op in pair.hub.outbox(HOME)] == [1, 2]
    pair.push(pair.hub)
    pair.pull(pair.hub)
    assert pair.hub.outbox(HOME) == []
    assert pair.is_same(pair.hub)


def test_what_knows_nothing_of_a_home_is_no_reason_to_forget_it(pair: Pair) -> None:
    before = pair.hub.log(HOME)
    pair.hub.act(lambda tx: pair.hub.replica.reset_in(tx, HOME, Reset(0, HOME, "", restate=False)))
    assert pair.hub.shared(HOME).state == "synced"
    pair.hub.act(lambda tx: pair.hub.replica.reset_in(tx, HOME, Reset(0, HOME, "e1", restate=False)))
    pair.hub.act(lambda tx: pair.hub.replica.page_in(tx, HOME, SnapshotPage(0, HOME, "", 0, [], None, 0)))
    assert pair.hub.log(HOME) == before


def test_of_what_is_refused_directly_nothing_is_kept_in_the_home(pair: Pair) -> None:
    op = Op("phone", 1, "c" * 64, 1, 0, room())
    sender, shared = Sender(By(None), pair.cloud.now, lambda _: True), pair.cloud.shared(HOME)
    pushed = pair.cloud.act(lambda tx: pair.cloud.authority.push_in(tx, shared, [op], sender, tx.moment))
    assert pushed.results[0].why == "not_a_member"
    assert not [key for key in pair.cloud.log(HOME) if key[0] == "conflict"]


def test_a_phone_is_itself_whichever_hub_relays_it(pair: Pair) -> None:
    two = pair.another("two")
    for hub, n in ((pair.hub, 1), (two, 1), (two, 2)):
        op = Op("phone", n, ANNA, 1, 9, room(room_id=f"p{n}"))
        assert hub.act(lambda tx, hub=hub, op=op: hub.replica.relay_in(tx, HOME, op))  # type: ignore[misc]
        pair.push(hub)
    known = queries.node(pair.cloud.reader, HOME, "phone")
    assert known is not None
    # Whose it is, nobody but the phone can say; whose it is not: either hub's.
    assert (known.hub_id, known.account_key, known.last_n) == (None, None, 2)


def test_nobody_speaks_as_a_node_that_is_not_theirs(pair: Pair) -> None:
    op = Op("another", 1, ANNA, 1, 0, room())
    sender, shared = Sender(By("one"), pair.cloud.now, lambda node: node == "one"), pair.cloud.shared(HOME)
    pushed = pair.cloud.act(lambda tx: pair.cloud.authority.push_in(tx, shared, [op], sender, tx.moment))
    assert pushed.results[0].why == "not_your_node"
    assert queries.node(pair.cloud.reader, HOME, "another") is None


def test_a_hub_counts_for_itself_alone(pair: Pair) -> None:
    two = pair.another("two")
    two.do(HOME, ANNA, room())
    pair.push(two)
    pair.cloud.act(lambda tx: pair.cloud.authority.heard_in(tx, HOME, "two", "two", 1))
    shared = pair.cloud.shared(HOME)
    pair.cloud.act(lambda tx: pair.cloud.authority.restate_in(tx, shared, [], [("two", 1_000)], "one"))
    two.do(HOME, ANNA, room("Spa", room_id="s"))
    assert [it.why for it in pair.push(two).results] == [""]


def test_a_home_is_not_left_to_nobody_by_two_lives(pair: Pair) -> None:
    image = pair.cloud.backup()
    pair.hub.do(HOME, ANNA, [Part("member", BEN, "del")])
    pair.push(pair.hub)
    pair.renew(image, "e2")
    over = [Part("member", ANNA, "put", {"role": "admin"}), Part("member", BEN, "put", {"role": "owner"})]
    pair.cloud.do(HOME, ANNA, over)
    pair.cloud.do(HOME, BEN, [Part("member", ANNA, "del")])
    pair.restate(pair.hub)
    alive = {it.id: it.fields["role"] for it in pair.cloud.log(HOME).values() if it.kind == "member" and not it.dead}
    assert alive == {BEN: "owner"}
    assert pair.is_same(pair.hub)


def test_what_two_lives_wrote_each_without_the_other_is_on_record(pair: Pair) -> None:
    pair.cloud.do(HOME, ANNA, room())
    pair.pull(pair.hub)
    image = pair.cloud.backup()
    pair.hub.do(HOME, ANNA, room("Spa", "put"))
    pair.push(pair.hub)
    pair.renew(image, "e2")
    pair.cloud.now += 1_000
    pair.cloud.do(HOME, BEN, room("Sauna", "put"))
    pair.restate(pair.hub)
    log = pair.cloud.log(HOME)
    [record] = [it.fields for it in log.values() if it.kind == "conflict"]
    assert (record["lost"], record["kept"], record["why"]) == ("Spa", "Sauna", "newer")
    assert log["room", "r"].fields["name"] == "Sauna"


@pytest.mark.parametrize("is_later", [True, False])
def test_who_put_a_device_into_a_room_that_went_in_the_other_life_is_on_record(pair: Pair, is_later: bool) -> None:
    device = {"hardware_id": "hw", "product_id": "p", "name": "d", "owner_epoch": 1, "holder": "one", "room_id": None}
    pair.cloud.do(HOME, ANNA, [*room(), Part("device", "d", "new", device)])
    pair.pull(pair.hub)
    image = pair.cloud.backup()
    pair.cloud.now += 0 if is_later else 1_000
    pair.hub.do(HOME, ANNA, [*room(what="del"), Part("device", "d", "put", {"room_id": None})])
    pair.push(pair.hub)
    now = pair.cloud.now
    pair.renew(image, "e2")
    pair.cloud.now = now + 500 if is_later else now - 500
    pair.cloud.do(HOME, BEN, [Part("device", "d", "put", {"room_id": "r"})])
    pair.cloud.now = now + 2_000
    pair.restate(pair.hub)
    log = pair.cloud.log(HOME)
    records = [it.fields for it in log.values() if it.kind == "conflict"]
    lost = [(it["field"], it["lost_by"]) for it in records if it["id"] == "d" and it["lost"] == "r"]
    assert lost == [("room_id", BEN)]
    assert log["device", "d"].fields["room_id"] is None


def test_what_a_lost_life_made_is_there_or_on_record_though_tombstones_since_are_forgotten(pair: Pair) -> None:
    image, cleo = pair.cloud.backup(), "c" * 64
    pair.hub.do(HOME, ANNA, room())
    pair.hub.do(HOME, ANNA, [Part("member", cleo, "new", {"role": "guest"})])
    pair.push(pair.hub)
    pair.renew(image, "e2")
    pair.cloud.do(HOME, ANNA, room(room_id="s"))
    pair.cloud.do(HOME, ANNA, room(what="del", room_id="s"))
    pair.cloud.now += 91 * DAY_MS
    shared = pair.cloud.shared(HOME)
    assert pair.cloud.act(lambda tx: pair.cloud.authority.compact_in(tx, shared)) == 1
    pair.restate(pair.hub)
    log = pair.cloud.log(HOME)
    [record] = [it.fields for it in log.values() if it.kind == "conflict"]
    assert (record["id"], record["lost"], record["lost_by"], record["why"]) == ("r", "Bath", ANNA, "deleted")
    assert ("room", "r") not in log
    assert log["member", cleo].dead is None
    assert pair.is_same(pair.hub)
