"""Hubs, their cloud and a phone in one thread, between them a network that loses, repeats, delays and reorders."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from app.clock import Moment
from app.store.tx import Tx
from app.sync import hybrid, queries, rules, showing
from app.sync.model import Op, Part, Status
from app.sync.outbox_queries import Waiting
from app.sync.queries import Shared
from app.sync.rules import By
from app.sync.wire import Changes, Pull, Pushed, Reset
from tests.sync.nodes import Crashed, Node
from tests.sync.property.cloud_side import CloudSide
from tests.sync.property.grounds import BEA, CLOUD, HOME, HOMES, MEMBERS, OWNER, Acked, has
from tests.sync.property.oracle import must


class World(CloudSide):
    """All of it."""

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


def said(answer: Any) -> str:
    if isinstance(answer, Pushed):
        results = [(str(it.status), it.seq, it.why) for it in answer.results]
        return f"{answer.before}-{answer.head} {'plain' if answer.plain else ''} {results} {answer.expected or ''}"
    if isinstance(answer, Changes):
        return f"to {answer.head}: {[msgspec.msgpack.decode(row)[:3] for row in answer.rows]}"
    return repr(answer)
