"""Hubs, their cloud and a phone in one thread, between them a network that loses, repeats, delays and reorders."""

from collections.abc import Callable, Collection, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.clock import Moment
from app.store.tx import Tx
from app.sync import hybrid, queries, rules, showing
from app.sync.accepting import Sender
from app.sync.model import Entity, Op, Part, Result, Status, decode_entity
from app.sync.outbox_queries import Waiting
from app.sync.queries import Shared
from app.sync.rules import By
from app.sync.wire import Changes, Pull, Pushed, Reset
from tests.sync.nodes import START_MS, Crashed, Key, Node
from tests.sync.property.oracle import Bound, Oracle, must

HOME, OTHER = "home-h", "home-g"
HOMES = (HOME, OTHER)
OWNER, BEN, BEA, MIA, GUS, SAM, SUE, TOM = PEOPLE = [f"{number:064x}" for number in range(1, 9)]
MEMBERS = {OWNER: "owner", BEN: "admin", BEA: "admin", MIA: "member", GUS: "guest"}
HARDWARE = [f"hw-{number}" for number in range(4)]
YEAR_MS = 365 * 24 * 3_600_000
DAY_MS = 24 * 3_600_000
CLOUD = "cloud"

Asked = tuple[str, str, int]


class Acked(Struct):
    """What somebody was told is durable; `at` and `seq` once it was taken, and in which incarnations of what."""

    op: Op
    machine: str
    status: Status | None = None
    at: int = 0
    seq: int = 0
    incs: dict[Key, int] = {}
    # Taken in an earlier life of the log, and restated.
    restated: bool = False


class CloudBackup(Struct):
    image: bytes
    oracles: dict[str, Oracle]
    bound: Bound
    # How many of the operations taken.
    taken: int


class Phone:
    """A node that writes through whom it reaches."""

    def __init__(self, node: str, person: str) -> None:
        self.node = node
        self.person = person
        self.ops: list[Op] = []


class World:
    """`seed` decides all of it; `log` says what happened."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.log: list[str] = []
        self.time = START_MS
        self.ids = 0
        self.offsets: dict[str, int] = {}
        self.cloud = Node("cloud-1")
        self.hubs: dict[str, Node] = {}
        self.ghosts: list[Node] = []
        self.bound: Bound = {}
        self.oracles = {home: Oracle(home, self.bound) for home in HOMES}
        # Where the lost life of a log began, and the present one.
        self.begins: dict[str, tuple[int, int]] = {}
        self.acquaint()
        # Tombstones of these were forgotten, when the log had come so far: what has the same id later is another.
        self.forgotten: dict[tuple[str, str, str], int] = {}
        self.phone = Phone("phone-1", BEN)
        self.hub_backups: dict[str, list[bytes]] = {}
        self.cloud_backups: list[CloudBackup] = []
        self.acked: dict[Asked, Acked] = {}
        # Of this life of the log, in the order they were taken.
        self.taken: list[Asked] = []
        self.lost: set[Asked] = set()
        # What a hub waited for to hear of when it left.
        self.left: set[Asked] = set()
        # Taken in a lost life, and by which machines they were pulled.
        self.fragile: dict[Asked, set[str]] = {}
        self.epoch_of_hardware = dict.fromkeys(HARDWARE, 0)
        self.late: list[tuple[str, Callable[[], None]]] = []
        self.requests: list[tuple[Node, str, str, int, list[Op]]] = []
        self.cut: set[str] = set()
        self.lives = 0
        self.calm = False

    def acquaint(self) -> None:
        for oracle in self.oracles.values():
            oracle.all = self.oracles

    # time and names

    def tick(self) -> None:
        self.time += self.rng.choice((1, 40, 3_000, 70_000))
        cloud = self.time + self.offsets.get(CLOUD, 0)
        # Of an authority the present never runs back.
        self.cloud.now = max(self.cloud.now + 1, cloud)
        for hub_id, hub in self.hubs.items():
            hub.now = self.time + self.offsets.get(hub_id, 0)

    def new_id(self, of: str) -> str:
        self.ids += 1
        return f"{of}-{self.ids:04d}"

    def say(self, *what: object) -> None:
        self.log.append(" ".join(map(str, what)))

    def life(self, of: str) -> str:
        self.lives += 1
        return f"{of}-{self.lives}"

    # beginning

    def found(self, serves: dict[str, Sequence[str]]) -> None:
        """Both homes at the cloud, and hubs that have them."""
        for home in HOMES:
            self.cloud.act(partial(self.cloud.authority.found_in, home_id=home, epoch="e1"))
        for home in HOMES:
            parts = [Part("home", home, "new", {"name": home})]
            people = MEMBERS if home == HOME else {OWNER: "owner", BEA: "admin"}
            parts += [Part("member", key, "new", {"role": role, "name": "x"}) for key, role in people.items()]
            parts += [Part("room", f"{home}-room-{name}", "new", {"name": name}) for name in "ab"]
            self.at_cloud(home, OWNER, parts)
        for hub_id, homes in serves.items():
            self.hubs[hub_id] = Node(self.life(hub_id), hub_id)
            self.hub_backups[hub_id] = []
            for home in homes:
                self.enter(hub_id, home)

    def enter(self, hub_id: str, home: str) -> None:
        hub, epoch = self.hubs[hub_id], self.cloud.shared(home).epoch
        hub.act(lambda tx: hub.replica.join_in(tx, home, CLOUD, epoch, restating=False))
        self.say(hub_id, "joins", home)

    # what the cloud does

    def at_cloud(self, home: str, actor: str, parts: Sequence[Part]) -> None:
        """Somebody's act at the cloud itself."""
        shared, oracle = self.cloud.shared(home), self.oracles[home]
        op = Op(self.cloud.name, shared.next_n, actor, 1, shared.head, list(parts))
        with self.watched(home):
            self.cloud.do(home, actor, parts)
            oracle.fold(op, hybrid.of_ms(self.cloud.now) + (1 << 40))
        key = home, op.node, op.n
        after = self.cloud.shared(home)
        self.acked[key] = Acked(op, CLOUD, Status.OK, after.last_at, after.head, oracle.incs(op))
        self.taken.append(key)

    @contextmanager
    def watched(self, home: str) -> Any:
        """An act at the authority: the log afterwards is what the oracle says, in every home it has touched."""
        heads = {it: self.cloud.shared(it).head for it in HOMES}
        yield
        for it in HOMES:
            if it == home or self.cloud.shared(it).head != heads[it]:
                self.check_authority(it, heads[it])

    def check_authority(self, home: str, head: int) -> None:
        log, oracle = self.cloud.log(home), self.oracles[home]
        present = hybrid.of_ms(self.cloud.now) + (1 << 16)
        for (kind, entity_id), entity in log.items():
            if entity.seq > head:
                stamp = entity.last
                must(entity.seq <= self.cloud.shared(home).head, "a number beyond the head")
                must(stamp.at <= present, "a stamp ahead of the authority's present", entity)
                room = entity.fields.get("room_id") if kind == "device" else None
                must(room is None or log["room", room].dead is None, "a device in a room that is not there", entity_id)
        oracle.compare(log, head)
        must(not oracle.missing(log), "not in the log", oracle.missing(log))
        self.check_home(home)

    def check_home(self, home: str) -> None:
        """One owner; hardware once."""
        if self.oracles[home].live("home", home) is None:
            return
        members = queries.entities_of(self.cloud.reader, home, "member")
        owners = [it.id for it in members if it.fields["role"] == "owner"]
        must(len(owners) == 1, "owners of", home, owners)
        devices = [
            it.fields["hardware_id"]
            for each in HOMES
            if self.oracles[each].live("home", each)
            for it in queries.entities_of(self.cloud.reader, each, "device")
        ]
        must(len(set(devices)) == len(devices), "hardware in two places", sorted(devices))

    def push(self, hub: Node | None, home: str, epoch: str, now: int, ops: list[Op]) -> Pushed | Reset | None:
        """A push of a hub, or of the phone; None: it is not who it says."""
        shared = self.cloud.shared(home)
        if hub is not None and not self.is_known(hub):
            return None
        if shared.epoch != epoch:
            return Reset(0, home, shared.epoch, restate=True)
        by, node = (By(None), self.phone.node) if hub is None else (By(hub.hub_id), hub.name)
        sender = Sender(by, now, lambda it: self.speaks_as(home, by, it, node), node)

        def take(tx: Tx) -> Pushed:
            return self.cloud.authority.push_in(tx, shared, ops, sender, tx.moment)

        with self.watched(home):
            pushed = self.cloud.act(take)
            self.judge(home, by, now, ops, pushed)
        must(hub is None or self.hubs.get(hub.hub_id or "") is hub, "a life that is over was listened to")
        return pushed

    def judge(self, home: str, by: By, now: int, ops: list[Op], pushed: Pushed) -> None:
        oracle = self.oracles[home]
        for op, result in zip(ops, pushed.results, strict=False):
            key = home, op.node, op.n
            if op.n <= oracle.heard.get(op.node, 0):
                first = self.acked.get(key)
                if first is not None and first.status is not None and not first.restated and key in self.taken:
                    must(first.status == result.status, "answered otherwise the second time", op, result)
                continue
            if result.why == "not_your_node":
                continue
            must(op.n == oracle.heard.get(op.node, 0) + 1, "out of order", op)
            oracle.heard[op.node] = op.n
            if result.status is Status.OK:
                oracle.take(op, result, by.hub_id, now)
            else:
                oracle.refuse(op, result, by.hub_id)
            self.decided(key, op, result, oracle.incs(op))

    def decided(self, key: Asked, op: Op, result: Result, incs: dict[Key, int]) -> None:
        acked = self.acked.setdefault(key, Acked(op, "phone"))
        acked.status, acked.at, acked.seq, acked.restated = result.status, result.at, result.seq, False
        acked.incs = incs
        self.taken.append(key)
        self.fragile.pop(key, None)
        self.lost.discard(key)

    def is_known(self, hub: Node) -> bool:
        """Whether it is the present life of its hub."""
        return self.hubs.get(hub.hub_id or "") is hub

    def speaks_as(self, home: str, by: By, node: str, own: str) -> bool:
        known = queries.node(self.cloud.reader, home, node)
        if by.hub_id is None:
            return node == own
        return known is None or known.hub_id in (None, by.hub_id)

    def restate(self, hub: Node, home: str, after: tuple[str, str]) -> Any:
        """One page; returns the next place, None at the end, or a Reset."""
        ask, following = hub.replica.restating(hub.reader, home, after)
        shared = self.cloud.shared(home)
        if shared.epoch != ask.epoch:
            return Reset(0, home, shared.epoch, restate=True)
        rows, heads = [decode_entity(raw) for raw in ask.rows], {it: self.cloud.shared(it).head for it in HOMES}

        def take(tx: Tx) -> None:
            self.cloud.authority.restate_in(tx, shared, rows, ask.counters, hub.hub_id or "")

        before = self.cloud.log(home)
        self.cloud.act(take)
        oracle = self.oracles[home]
        for node, n in ask.counters:
            oracle.heard[node] = max(oracle.heard.get(node, 0), n)
        self.joined(heads)
        log = self.cloud.log(home)
        for key, entity in before.items():
            must(entity.dead is None or entity.inc < log[key].inc or log[key].dead is not None, "came back", entity)
        self.check_home(home)
        self.check_lives(home, before, rows, log)
        for device in log.values() if following is None else ():
            room = device.fields.get("room_id") if device.kind == "device" else None
            must(room is None or log["room", room].dead is None, "in a room that went in another life", device)
        return following

    def check_lives(self, home: str, before: dict[Key, Entity], rows: list[Entity], log: dict[Key, Entity]) -> None:
        """What one life wrote and the other lost is on record, both ways."""
        begins = self.begins.get(home, (0, 0))
        for row in rows:
            known = before.get((row.kind, row.id))
            if known is None or known.inc != row.inc or row.kind == "conflict":
                continue
            for one, other in ((known, row), (row, known)):
                for name, value in one.fields.items():
                    by = one.stamp_of(name)
                    against = other.dead or (other.stamp_of(name) if name in other.fields else by)
                    seqs = sorted((by.seq, against.seq))
                    is_apart = begins[0] < seqs[0] < begins[1] < seqs[1]
                    is_there = log[row.kind, row.id].fields.get(name) == value
                    if value is not None and is_apart and not is_there:
                        record = row.kind, row.id, name, by.node, by.n
                        must(record in recorded(log), "lost between two lives, and not on record:", record)

    def joined(self, heads: dict[str, int]) -> None:
        """The oracle learns what the log has become, where it has changed."""
        self.bound.clear()
        self.bound.update(
            (hardware, (home, device, epoch))
            for hardware, home, device, epoch in self.cloud.reader.all("SELECT * FROM sync_bindings")
        )
        for home in HOMES:
            if self.cloud.shared(home).head != heads[home]:
                self.oracles[home].learn(self.cloud.log(home).values())

    # what a hub does

    def act(self, node: Node, home: str, actor: str, parts: list[Part], not_after: int | None = None) -> None:
        """Somebody's act, with the right to."""
        if node is self.cloud:
            self.at_cloud(home, actor, parts)
            return
        op = node.do(home, actor, parts, not_after)
        assert op is not None
        assert node.hub_id is not None
        self.acked[home, op.node, op.n] = Acked(op, node.name)
        for part in parts:
            seen, _ = showing.view(node.reader, home, part.kind, part.id)
            must((seen is None) == (part.what == "del"), "written, and not read here:", part, seen)
            wrong = {name for name, value in part.fields.items() if (seen or {}).get(name) != value}
            must(not wrong, "written, and not read here:", part, seen)

    def exchange(self, hub: Node, home: str) -> None:
        """What a hub does over a connection that stands, once."""
        if not hub.serves(home) or hub.hub_id in self.cut:
            return
        match hub.shared(home).state:
            case "restating":
                self.say_all_again(hub, home)
            case "snapshot":
                self.take_page(hub, home)
            case _:
                self.send(hub, home)
                if hub.serves(home) and hub.shared(home).state == "synced":
                    self.fetch(hub, home)

    def send(self, hub: Node, home: str) -> None:
        sent = self.ask(hub, home)
        following = None
        if sent and isinstance(sent[1], Pushed) and sent[1].is_whole(len(sent[0])) and self.rng.random() < 0.3:
            # On its way, while the answer to the first is written.
            following = self.ask(hub, home, sent[0][-1].place)
        for waiting, answer in filter(None, (sent, following)):
            if isinstance(answer, Reset):
                self.deliver(hub, home, partial(hub.replica.reset_in, home_id=home, answer=answer))
            elif answer is not None:
                self.deliver(hub, home, partial(hub.replica.pushed_in, home_id=home, sent=waiting, answer=answer))

    def ask(self, hub: Node, home: str, after: int | None = None) -> tuple[list[Waiting], Pushed | Reset | None] | None:
        """Some of what waits, and what is answered; None: nothing does, or it is lost."""
        limit = 500 if self.calm else self.rng.choice((1, 2, 500))
        push, waiting = hub.replica.next_push(hub.reader, home, limit, after=after)
        if not waiting:
            return None
        if not self.calm and self.rng.random() < 0.1:
            # A request that was overtaken.
            waiting = waiting[self.rng.randrange(len(waiting)) :]
        self.after_send(hub, home, waiting)
        ops = [it.op for it in waiting]
        if self.loses():
            self.say(hub.name, home, "push lost", [(it.node, it.n) for it in ops])
            return None
        answer = self.push(hub, home, push.epoch, hub.now, ops)
        self.say(hub.name, home, "push", [(it.node, it.n) for it in ops], said(answer))
        self.requests.append((hub, home, push.epoch, hub.now, ops))
        return waiting, answer

    def after_send(self, hub: Node, home: str, waiting: Sequence[Waiting]) -> None:
        """Nothing leaves the outbox when it is sent."""

    def again(self) -> None:
        """A request comes once more, and its answer too."""
        if self.requests:
            hub, home, epoch, now, ops = self.rng.choice(self.requests)
            if self.is_known(hub) and hub.serves(home):
                answer = self.push(hub, home, epoch, now, ops)
                self.say(hub.name, home, "push again", [(it.node, it.n) for it in ops], said(answer))

    def fetch(self, hub: Node, home: str) -> None:
        shared = hub.shared(home)
        limit = 1_000 if self.calm else self.rng.choice((1, 2, 5, 1_000))
        if self.loses():
            return
        answer = self.cloud.authority.changes(self.cloud.reader, Pull(0, home, shared.epoch, shared.head, limit))
        if isinstance(answer, Changes) and not answer.more:
            args = home, hub.name, hub.hub_id or "", shared.head
            self.cloud.act(lambda tx: self.cloud.authority.heard_in(tx, *args))
        self.say(hub.name, home, "pull", shared.head, said(answer))
        if isinstance(answer, Reset):
            self.deliver(hub, home, partial(hub.replica.reset_in, home_id=home, answer=answer))
        else:
            self.deliver(hub, home, partial(hub.replica.changed_in, home_id=home, answer=answer))

    def take_page(self, hub: Node, home: str) -> None:
        ask = hub.replica.next_page(hub.reader, home)
        if ask is None or self.loses():
            return
        page = self.cloud.authority.page(self.cloud.reader, ask)
        self.say(hub.name, home, "page", ask.after, page.epoch, page.head, page.next)
        self.deliver(hub, home, lambda tx: hub.replica.page_in(tx, home, page))

    def say_all_again(self, hub: Node, home: str) -> None:
        place: Any = ("", "")
        knew = hub.shared(home)
        while place is not None:
            if self.loses():
                return
            place = self.restate(hub, home, place)
            if isinstance(place, Reset):
                self.deliver(hub, home, partial(hub.replica.reset_in, home_id=home, answer=place))
                return
        self.say(hub.name, home, "restated to", knew.epoch)
        for key, holders in list(self.fragile.items()):
            if key[0] == home and hub.name in holders:
                # Of this life from now on, which may be lost as well.
                del self.fragile[key]
                self.taken.append(key)
                self.acked[key].restated = True
                self.acked[key].seq = self.cloud.shared(home).head
        hub.act(lambda tx: hub.replica.restated_in(tx, home))

    # the network

    def loses(self) -> bool:
        return not self.calm and self.rng.random() < 0.12

    def deliver(self, hub: Node, home: str, apply: Callable[[Tx], None]) -> None:
        """An answer reaches a hub: once, twice, late, never, or it goes down over it."""

        def come() -> None:
            if self.hubs.get(hub.hub_id or "") is hub and hub.serves(home):
                before, waited = hub.shared(home), hub.outbox(home)
                hub.act(apply)
                self.check_cursor(home, before, hub.shared(home))
                self.check_outbox(hub, home, waited)

        way = 1.0 if self.calm else self.rng.random()
        if way < 0.1:
            return
        if way < 0.2:
            self.late.append((home, come))
        elif way < 0.28:
            try:
                with self.going_down(hub):
                    hub.act(apply, crash=True)
            except Crashed:
                hub.restart()
            self.say(hub.name, "goes down over it")
        else:
            come()
            if way < 0.38:
                come()
                self.late.append((home, come))

    @contextmanager
    def going_down(self, hub: Node) -> Any:
        """Where a mutant may leave the machine in the middle of it."""
        yield

    def check_cursor(self, home: str, before: Shared, after: Shared) -> None:
        if before.epoch == after.epoch and before.state == after.state == "synced":
            must(after.head >= before.head, "the cursor went back", home, before.head, after.head)
        if after.epoch == self.cloud.shared(home).epoch and after.state == "synced":
            must(after.head <= self.cloud.shared(home).head, "the cursor is ahead", home)

    def check_outbox(self, hub: Node, home: str, waited: list[Op]) -> None:
        """What waits no more is in the base, or was refused."""
        if not waited:
            return
        waits = {(op.node, op.n) for op in hub.outbox(home)}
        for op in waited:
            key = home, op.node, op.n
            if (op.node, op.n) not in waits and op.parts and self.acked[key].status is Status.OK and key in self.taken:
                acked, log = self.acked[key], hub.log(home)
                over = {
                    (part.kind, part.id)
                    for part in op.parts
                    if acked.seq <= self.forgotten.get((home, part.kind, part.id), -1)
                    # What ended before, and whose tombstone is forgotten, was ended once more.
                    or (part.what == "del" and (part.kind, part.id) not in log)
                }
                is_here = has(log, acked, over) or not has(self.cloud.log(home), acked, over)
                must(is_here, "waits no more, and is not here:", op)

    def come_late(self) -> None:
        if self.late:
            _, come = self.late.pop(self.rng.randrange(len(self.late)))
            self.say("a late answer comes")
            come()

    # the phone

    def by_phone(self, source: Node, parts: list[Part], not_after: int | None) -> None:
        phone = self.phone
        at = hybrid.of_ms(self.time + self.offsets.get("phone", 0)) + len(phone.ops)
        seen = source.shared(HOME).head
        phone.ops.append(Op(phone.node, len(phone.ops) + 1, phone.person, at, seen, parts, not_after))

    def phone_speaks(self, to: Node) -> None:
        """What the phone has, from the number that is missing there."""
        known = queries.node(to.reader, HOME, self.phone.node)
        first = 0 if known is None else known.last_n
        ops = self.phone.ops[max(0, first - 1) :]
        if not ops or self.loses():
            return
        if to is self.cloud:
            if self.oracles[HOME].role(self.phone.person) is not None:
                pushed = self.push(None, HOME, to.shared(HOME).epoch, self.time + self.offsets.get("phone", 0), ops)
                self.say("phone, at the cloud", [it.n for it in ops], said(pushed))
            return
        ahead = to.now - (self.time + self.offsets.get("phone", 0))
        for op in ops:
            view, moment = to.view(HOME), Moment(to.now)
            last = getattr(queries.node(to.reader, HOME, op.node), "last_n", 0)
            if op.n != last + 1:
                continue
            why = rules.judge(op, view, moment, By(None))
            shifted = max(1, op.at + hybrid.of_ms(ahead))
            until = None if op.not_after is None else op.not_after + ahead
            op = replace(op, at=shifted, not_after=until, parts=[] if why else op.parts)  # noqa: PLW2901 - as relayed
            to.act(partial(to.replica.relay_in, home_id=HOME, op=op))
            self.say("phone, at", to.name, op.n, why)
            if not why and (HOME, op.node, op.n) not in self.acked:
                self.acked[HOME, op.node, op.n] = Acked(op, to.name)


def has(log: dict[Key, Entity], acked: Acked, over: Collection[Key] = ()) -> bool:
    """Whether what was done is there, or was overwritten, or made anew since; `over`: what ended, and was forgotten."""
    order = acked.at, acked.op.node, acked.op.n
    for part in acked.op.parts:
        entity, inc = log.get((part.kind, part.id)), acked.incs.get((part.kind, part.id), 1)
        if (part.kind, part.id) in over or (entity is not None and entity.inc > inc):
            continue
        if entity is None or entity.inc < inc or (part.what == "del" and entity.dead is None):
            return False
        if entity.dead is None and any(entity.stamp_of(it).order() < order for it in part.fields):
            return False
    return True


def recorded(log: dict[Key, Entity]) -> set[tuple[Any, ...]]:
    """Of what there are conflict records: of which entity and field, and who wrote what was lost."""
    found = [it.fields for it in log.values() if it.kind == "conflict"]
    return {(it["kind"], it["id"], it["field"], it["lost_node"], it["lost_n"]) for it in found if "kind" in it}


def said(answer: Any) -> str:
    if isinstance(answer, Pushed):
        results = [(str(it.status), it.seq, it.why) for it in answer.results]
        return f"{answer.before}-{answer.head} {'plain' if answer.plain else ''} {results} {answer.expected or ''}"
    if isinstance(answer, Changes):
        return f"to {answer.head}: {[msgspec.msgpack.decode(row)[:3] for row in answer.rows]}"
    return repr(answer)
