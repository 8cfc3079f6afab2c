"""What a home's log must be: what was accepted, folded in the simplest way, by none of the program's code."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from app.sync.model import Entity, Op, Part, Result
from tests.sync.nodes import Key

UNSEEN = 1 << 62
MANAGED = {"owner": ("admin", "member", "guest"), "admin": ("member", "guest")}
RIGHTS = {
    "member": ("role", "until", "hours", "only"),
    "share": ("state", "level", "until", "hours", "receiver"),
    "invitation": ("state", "taken_by"),
}


class Wrong(AssertionError):
    """The log is not what it must be."""


def must(holds: bool, *said: object) -> None:
    if not holds:
        raise Wrong(" ".join(map(str, said)))


class Mark(NamedTuple):
    """Who wrote it: compared by the first three."""

    at: int
    node: str
    n: int
    seq: int

    @property
    def order(self) -> tuple[int, str, int]:
        return self[:3]


class Fact:
    """`inc`: how often it was made."""

    def __init__(self, inc: int = 1) -> None:
        self.inc = inc
        self.dead: Mark | None = None
        self.fields: dict[str, tuple[Any, Mark]] = {}

    def copy(self) -> "Fact":
        fact = Fact(self.inc)
        fact.dead, fact.fields = self.dead, dict(self.fields)
        return fact

    def get(self, field: str) -> Any:
        return self.fields[field][0] if field in self.fields else None


Loss = tuple[str, str, str, str, str, str, int]
Bound = dict[str, tuple[str, str, int]]


def saw(op: Op, mark: Mark) -> bool:
    return mark.seq <= op.seen or (mark.node == op.node and mark.n < op.n)


class Oracle:
    """One home. `bound` is of all: hardware -> (home, device, owner epoch)."""

    def __init__(self, home_id: str, bound: Bound) -> None:
        self.home_id = home_id
        self.facts: dict[Key, Fact] = {}
        self.heard: dict[str, int] = {}
        self.bound = bound
        self.losses: list[Loss] = []
        # Of every home: where hardware leaves a device.
        self.all: dict[str, Oracle] = {home_id: self}

    def copy(self, bound: Bound) -> "Oracle":
        oracle = Oracle(self.home_id, bound)
        oracle.facts = {key: fact.copy() for key, fact in self.facts.items()}
        oracle.heard = dict(self.heard)
        return oracle

    def live(self, kind: str, entity_id: str) -> Fact | None:
        fact = self.facts.get((kind, entity_id))
        return None if fact is None or fact.dead else fact

    def incs(self, op: Op) -> dict[Key, int]:
        """How often each of what it is about was made."""
        keys = ((part.kind, part.id) for part in op.parts)
        return {key: fact.inc for key in keys if (fact := self.facts.get(key)) is not None}

    def role(self, key: str) -> str | None:
        member = self.live("member", key)
        return None if member is None else member.get("role")

    def manages(self, key: str, role: str | None) -> bool:
        return role in MANAGED.get(self.role(key) or "", ())

    # what is accepted

    def take(self, op: Op, result: Result, hub_id: str | None, now: int) -> None:
        """An operation that was accepted just now."""
        must(op.not_after is None or op.not_after >= now, "an expired operation was taken", op)
        must(self.live("home", self.home_id) is not None, "taken in a home that is no more", op)
        for part in op.parts:
            must(self._may(op, part, hub_id), "taken without the right to", op.actor[-1:], self.role(op.actor), op)
        self.fold(op, result.at)

    def refuse(self, op: Op, result: Result, hub_id: str | None) -> None:
        """One that was not."""
        if hub_id is None or result.why in ("malformed", "home_dissolved", "not_a_hub", "not_your_node"):
            return
        for part in op.parts:
            lost = "deleted" if part.what == "del" else part.fields
            self._lose(part, "", f"denied:{result.why}", lost, op.node, op.n)

    def fold(self, op: Op, at: int) -> None:
        made = {part.id for part in op.parts if part.what == "new" and self._can_begin(op, part)}
        for part in op.parts:
            fields = dict(part.fields)
            room = fields.get("room_id")
            if part.kind == "device" and room and room not in made and self.live("room", room) is None:
                fields["room_id"] = None
                self._lose(part, "room_id", "badref", room, op.node, op.n)
            self._one(op, part, fields, Mark(at, op.node, op.n, UNSEEN))
        for part in op.parts:
            if part.kind == "room" and part.what == "del":
                self._leave_room(part.id, Mark(at, op.node, op.n, UNSEEN))
            elif part.kind == "device":
                self.bind(part)
            elif part.kind == "home" and part.what == "del":
                for hardware in [it for it, (home, *_) in self.bound.items() if home == self.home_id]:
                    del self.bound[hardware]

    def _can_begin(self, op: Op, part: Part) -> bool:
        fact = self.facts.get((part.kind, part.id))
        return fact is None or fact.dead is None or saw(op, fact.dead)

    def _one(self, op: Op, part: Part, fields: Mapping[str, Any], mark: Mark) -> None:
        fact = self.facts.get((part.kind, part.id))
        if part.kind == "conflict":
            return
        if part.what == "del":
            self._end(op, part, fact, mark)
        elif fact is not None and not fact.dead:
            self._write(op, part, fact, fields, mark)
        elif part.what == "new" and self._can_begin(op, part):
            fact = self.facts[part.kind, part.id] = Fact(1 if fact is None else fact.inc + 1)
            fact.fields = {name: (value, mark) for name, value in fields.items()}
        else:
            for name, value in fields.items():
                self._lose(part, name, "deleted", value, op.node, op.n)

    def _end(self, op: Op, part: Part, fact: Fact | None, mark: Mark) -> None:
        if fact is None or fact.dead:
            return
        for name, (value, by) in fact.fields.items():
            if value is not None and not saw(op, by):
                self._lose(part, name, "deleted", value, by.node, by.n)
        fact.dead, fact.fields = mark, {}

    def _write(self, op: Op, part: Part, fact: Fact, fields: Mapping[str, Any], mark: Mark) -> None:
        for name, value in fields.items():
            if name not in fact.fields:
                fact.fields[name] = value, mark
                continue
            was, by = fact.fields[name]
            wins, seen = mark.order > by.order, saw(op, by)
            if was != value and not seen:
                loser = (was, by) if wins else (value, mark)
                self._lose(part, name, "newer", loser[0], loser[1].node, loser[1].n)
            if wins:
                fact.fields[name] = value, mark
            else:
                must(name not in RIGHTS.get(part.kind, ()), "rights went by time", op)
                must(not seen, "what had been seen was not overwritten", op, name)

    def _leave_room(self, room_id: str, mark: Mark) -> None:
        for (kind, _), fact in self.facts.items():
            if kind == "device" and not fact.dead and fact.get("room_id") == room_id:
                later = max(mark.at, fact.fields["room_id"][1].at + 1)
                fact.fields["room_id"] = None, mark._replace(at=later)

    def bind(self, part: Part) -> None:
        """Hardware is where its highest owner epoch is."""
        device = self.live("device", part.id)
        if device is None or "owner_epoch" not in part.fields:
            return
        hardware, epoch = device.get("hardware_id"), device.get("owner_epoch")
        bound = self.bound.get(hardware)
        if bound is not None and bound[1] != part.id:
            must(bound[2] < epoch, "hardware went where its owner epoch is not higher", part, bound)
            self.all[bound[0]].end_moved(bound[1])
        must(bound is None or bound[2] <= epoch, "a lower owner epoch was taken", part, bound)
        self.bound[hardware] = self.home_id, part.id, epoch

    def end_moved(self, device_id: str) -> None:
        """Its hardware is elsewhere."""
        fact = self.live("device", device_id)
        if fact is not None:
            fact.dead, fact.fields = Mark(0, "", 0, UNSEEN), {}

    def _lose(self, part: Part, field: str, why: str, value: Any, node: str, n: int) -> None:
        if part.kind == "conflict":
            return
        self.losses.append((part.kind, part.id, field, why, repr(value), node, n))

    # who may

    def _may(self, op: Op, part: Part, hub_id: str | None) -> bool:
        actor, role = op.actor, self.role(op.actor)
        if actor == "":
            return hub_id is not None and part.kind in ("device", "names", "share", "member", "group")
        if part.kind == "member":
            return self._may_member(op, part)
        if part.kind == "share":
            return self._may_share(op, part)
        if part.kind == "invitation":
            return self._may_invite(op, part)
        if part.kind == "home" and part.what == "del":
            return role == "owner"
        if part.kind == "device_user":
            return role in ("owner", "admin", "member")
        return role in ("owner", "admin")

    def _may_share(self, op: Op, part: Part) -> bool:
        admin, share = self.role(op.actor) in ("owner", "admin"), self.live("share", part.id)
        if share is None:
            return admin and part.fields.get("giver") == op.actor
        must(share.get("state") not in ("ended", "refused"), "a share that was over was changed", op)
        if part.fields.get("state") == "accepted":
            given = self.role(share.get("giver")) in ("owner", "admin")
            return share.get("receiver") == op.actor and share.get("state") == "pending" and given
        if part.fields.get("state") == "ended":
            return admin or share.get("receiver") == op.actor
        return admin and all(saw(op, share.fields[name][1]) for name in RIGHTS["share"] if name in share.fields)

    def _may_invite(self, op: Op, part: Part) -> bool:
        invitation = self.live("invitation", part.id)
        if invitation is None and part.what != "new" and part.fields.get("state") != "accepted":
            return True  # it is gone, and stays so
        if invitation is None:
            return self.manages(op.actor, part.fields["role"]) and part.fields["created_by"] == op.actor
        if part.fields.get("state") == "accepted":
            return any(it.kind == "member" and it.what == "new" and it.id == op.actor for it in op.parts)
        return self.manages(op.actor, invitation.get("role"))

    def _may_member(self, op: Op, part: Part) -> bool:
        member = self.live("member", part.id)
        if part.what == "new":
            return self._may_enter(op, part)
        if member is None:
            return True
        role, own = member.get("role"), part.id == op.actor
        if part.what == "del":
            return role != "owner" and (own or self.manages(op.actor, role))
        if part.fields.keys() <= {"name"}:
            return own or self.manages(op.actor, role)
        new = part.fields.get("role", role)
        if "owner" in (role, new):
            roles = {it.id: it.fields.get("role") for it in op.parts if it.kind == "member"}
            heirs = [it for it, to in roles.items() if to == "owner"]
            return self.role(op.actor) == "owner" and roles.get(op.actor) == "admin" and len(heirs) == 1
        lowers = ("guest", "member", "admin").index(new) < ("guest", "member", "admin").index(role)
        seen = all(saw(op, member.fields[name][1]) for name in RIGHTS["member"] if name in member.fields)
        return (lowers or seen) and self.manages(op.actor, role) and self.manages(op.actor, new)

    def _may_enter(self, op: Op, part: Part) -> bool:
        before = self.facts.get(("member", part.id))
        must(before is None or before.dead is not None, "let in twice", op)
        if before is not None and before.dead is not None and not saw(op, before.dead):
            return False
        used = [it.id for it in op.parts if it.kind == "invitation"]
        if not used:
            return self.manages(op.actor, part.fields["role"])
        invitation = self.live("invitation", used[0])
        if invitation is None or invitation.get("state") != "pending":
            return False
        older = before is not None and before.dead is not None and invitation.fields["role"][1].seq < before.dead.seq
        fits = part.id == op.actor and part.fields["role"] == invitation.get("role")
        return fits and not older and self.manages(invitation.get("created_by"), invitation.get("role"))

    # the log itself

    def compare(self, log: Mapping[Key, Entity], conflicts_after: int) -> None:
        """The log is what was folded, and has a record of each loss; learn the numbers it gave."""
        self._compare_losses(log, conflicts_after)
        for key, entity in log.items():
            if key[0] == "conflict":
                continue
            fact = self.facts.get(key)
            must(fact is not None, "in the log, and of nothing that was accepted:", entity)
            assert fact is not None
            must(entity.inc == fact.inc, "made another time:", entity, fact.inc)
            must((entity.dead is None) == (fact.dead is None), "alive or not:", entity, fact.dead, fact.fields)
            if entity.dead is not None:
                fact.dead = Mark(entity.dead.at, entity.dead.node, entity.dead.n, entity.dead.seq)
                continue
            must(entity.fields.keys() == fact.fields.keys(), "other fields:", entity, fact.fields)
            for name, (value, mark) in fact.fields.items():
                stamp = entity.stamp_of(name)
                must(entity.fields[name] == value, "another value:", entity, name, value, mark)
                must((stamp.node, stamp.n) == (mark.node, mark.n), "another writer:", name, mark, entity)
                fact.fields[name] = value, Mark(stamp.at, stamp.node, stamp.n, stamp.seq)

    def missing(self, log: Mapping[Key, Entity]) -> list[Key]:
        """What is alive and not in the log."""
        return [key for key, fact in self.facts.items() if not fact.dead and key not in log]

    def _compare_losses(self, log: Mapping[Key, Entity], after: int) -> None:
        kept = [
            (it["kind"], it["id"], it["field"], it["why"], repr(it["lost"]), it["lost_node"], it["lost_n"])
            for entity in log.values()
            if entity.kind == "conflict" and entity.inc == 1 and entity.seq > after and len(entity.fields) > 1
            for it in [entity.fields]
            if entity.stamp_of("why").seq > after and it["kind"] != "conflict"
        ]
        expected, self.losses = sorted(self.losses), []
        must(sorted(kept) == expected, "conflict records", sorted(kept), "instead of", expected)

    def learn(self, log: Iterable[Entity]) -> None:
        """Take the log for what it is (after lives were joined)."""
        self.losses = []
        for entity in log:
            if entity.kind == "conflict":
                continue
            fact = self.facts[entity.kind, entity.id] = Fact(entity.inc)
            if entity.dead is not None:
                fact.dead = Mark(entity.dead.at, entity.dead.node, entity.dead.n, entity.dead.seq)
                continue
            for name, value in entity.fields.items():
                stamp = entity.stamp_of(name)
                fact.fields[name] = value, Mark(stamp.at, stamp.node, stamp.n, stamp.seq)
