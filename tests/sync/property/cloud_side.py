"""The cloud of a schedule: each act at it is judged by the oracle, too."""

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from app.store.tx import Tx
from app.sync import hybrid, queries
from app.sync.accepting import Sender
from app.sync.model import Entity, Op, Part, Result, Status, decode_entity
from app.sync.rules import By
from app.sync.wire import Pushed, Reset
from tests.sync.nodes import Key, Node
from tests.sync.property.grounds import CLOUD, HOMES, Acked, Asked, Grounds, recorded
from tests.sync.property.oracle import must


class CloudSide(Grounds):
    """What the cloud does, and what must hold of it after each act."""

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
