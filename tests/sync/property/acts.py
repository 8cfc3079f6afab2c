"""What people and hubs do in a home: every kind of edit, as far as policy lets them, where they are."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from app.clock import Moment
from app.sync import hybrid, rules
from app.sync.model import NOBODY, Entity, Op, Part
from tests.sync.nodes import Node, View
from tests.sync.property.grounds import DAY_MS, HARDWARE, HOME, MEMBERS, PEOPLE
from tests.sync.property.world import World

Parts = list[Part]


class Proposal(Struct):
    actor: str
    parts: Parts
    not_after: int | None = None


class Doing:
    """One act of somebody's at `node`; `propose` None: it could not be, or they may not."""

    def __init__(self, world: World, node: Node, home: str) -> None:
        self.world = world
        self.rng = world.rng
        self.node = node
        self.home = home
        self.view: View = node.view(home)

    def propose(self, kind: str, actor: str | None = None) -> Proposal | None:
        if actor is None:
            actor = self._somebody()
        made = getattr(self, kind)(actor)
        if made is None:
            return None
        proposal = made if isinstance(made, Proposal) else Proposal(actor, made)
        return proposal if proposal.parts and self.may(proposal) else None

    def _somebody(self) -> str:
        able = [it.id for it in self.view.each("member") if it.fields["role"] in ("owner", "admin")]
        everybody = [it.id for it in self.view.each("member")] + PEOPLE
        return self.rng.choice(able if able and self.rng.random() < 0.8 else everybody)

    def may(self, it: Proposal) -> bool:
        """A person would be refused at once."""
        shared = self.node.shared(self.home)
        at = hybrid.after(shared.last_at, self.node.now)
        op = Op(self.node.name, shared.next_n, it.actor, at, shared.head, it.parts)
        by = rules.By(self.node.hub_id)
        return rules.judge(op, self.view, Moment(self.node.now), by) == ""

    def one(self, kind: str, fits: Callable[[Entity], bool] = lambda _: True) -> Entity | None:
        found: Sequence[Entity] = [it for it in self.view.each(kind) if fits(it)]
        # A few are everybody's favourites.
        return found[int(self.rng.random() ** 3 * len(found))] if found else None

    # rooms, names, groups

    def rename(self, actor: str) -> Parts | None:
        kind = self.rng.choice(("room", "room", "device", "group", "home"))
        it = self.one(kind)
        if it is None:
            return None
        fields = {"name": self.world.new_id("name")}
        if kind == "room" and self.rng.random() < 0.3:
            fields["icon"] = self.world.new_id("icon")
        return [Part(kind, it.id, "put", fields)]

    def build(self, actor: str) -> Parts:
        parts = [Part("room", self.world.new_id("room"), "new", {"name": "new"})]
        device = self.one("device")
        if device is not None and self.rng.random() < 0.3:
            parts.append(Part("device", device.id, "put", {"room_id": parts[0].id}))
        return parts

    def pull_down(self, actor: str) -> Parts | None:
        it = self.one("room")
        if it is None:
            return None
        inside = [device for device in self.view.each("device") if device.fields.get("room_id") == it.id]
        leave = [Part("device", device.id, "put", {"room_id": None}) for device in inside]
        return [Part("room", it.id, "del"), *leave]

    def place(self, actor: str) -> Parts | None:
        device, room = self.one("device"), self.one("room")
        return None if device is None or room is None else [Part("device", device.id, "put", {"room_id": room.id})]

    def call(self, actor: str) -> Parts | None:
        device = self.one("device")
        if device is None:
            return None
        part = self.rng.choice(("1/a", "1/b", "2/a"))
        known = self.view.live("names", device.id)
        if known is not None and self.rng.random() < 0.4:
            return [Part("names", device.id, "del")]
        return [Part("names", device.id, "new" if known is None else "put", {part: self.world.new_id("part")})]

    def gather(self, actor: str) -> Parts | None:
        group, device = self.one("group"), self.one("device")
        if group is None or self.rng.random() < 0.2:
            return [Part("group", self.world.new_id("group"), "new", {"name": "g"})]
        if self.rng.random() < 0.1:
            return [Part("group", group.id, "del")]
        if device is None:
            return None
        place = self.rng.choice((None, self.rng.randrange(9)))
        return [Part("group", group.id, "put", {f"device/{device.id}": place})]

    # devices

    def pair(self, actor: str) -> Parts:
        """Whatever it was bound to: the device itself counts."""
        hardware = self.rng.choice(HARDWARE)
        self.world.epoch_of_hardware[hardware] += 1
        epoch, holder = self.world.epoch_of_hardware[hardware], self.node.hub_id or ""
        fields = {"product_id": "p", "hardware_id": hardware, "owner_epoch": epoch, "holder": holder, "name": "d"}
        others = [hub for hub in self.world.hubs if hub != holder]
        if others and self.rng.random() < 0.5:
            fields["standby"] = self.rng.choice(others)
        room = self.one("room")
        if room is not None:
            fields["room_id"] = room.id
        old = [it for it in self.view.each("device") if it.fields["hardware_id"] == hardware]
        return [
            *(Part("device", it.id, "del") for it in old),
            Part("device", self.world.new_id("device"), "new", fields),
        ]

    def unpair(self, actor: str) -> Parts | None:
        it = self.one("device")
        return None if it is None else [Part("device", it.id, "del")]

    def take_over(self, actor: str) -> Proposal | None:
        hub_id = self.node.hub_id
        it = self.one("device", lambda it: it.fields.get("standby") == hub_id and it.fields.get("holder") != hub_id)
        if it is None or hub_id is None:
            return None
        hardware = it.fields["hardware_id"]
        self.world.epoch_of_hardware[hardware] += 1
        former = self.rng.choice((None, it.fields.get("holder")))
        fields = {"holder": hub_id, "owner_epoch": self.world.epoch_of_hardware[hardware], "standby": former}
        return Proposal(NOBODY, [Part("device", it.id, "put", fields)])

    def hand_device(self, actor: str) -> Parts | None:
        """By the registry alone: two who do so apart name the same epoch."""
        it = self.one("device")
        others = [] if it is None else [hub for hub in self.world.hubs if hub != it.fields.get("holder")]
        if it is None or not others:
            return None
        if self.rng.random() < 0.3:
            return [Part("device", it.id, "put", {"standby": self.rng.choice((None, *others))})]
        hardware, epoch = it.fields["hardware_id"], it.fields["owner_epoch"] + 1
        self.world.epoch_of_hardware[hardware] = max(self.world.epoch_of_hardware[hardware], epoch)
        fields = {"holder": self.rng.choice(others), "owner_epoch": epoch, "standby": it.fields.get("holder")}
        return [Part("device", it.id, "put", fields)]

    def firmware(self, actor: str) -> Proposal | None:
        it = self.one("device", lambda it: it.fields.get("holder") == self.node.hub_id)
        if it is None or self.node.hub_id is None:
            return None
        return Proposal(NOBODY, [Part("device", it.id, "put", {"firmware": self.world.new_id("fw")})])

    def command(self, actor: str) -> Proposal | None:
        it = self.one("device")
        if it is None:
            return None
        parts = [Part("device", it.id, "put", {"frozen_at": self.node.now})]
        return Proposal(actor, parts, self.node.now + self.rng.choice((1_000, 30_000)))

    # people

    def promote(self, actor: str) -> Parts | None:
        it = self.one("member", lambda it: it.fields["role"] != "owner")
        if it is None:
            return None
        roles = [role for role in ("guest", "member", "admin") if role != it.fields["role"]]
        return [Part("member", it.id, "put", {"role": self.rng.choice(roles)})]

    def put_out(self, actor: str) -> Parts | None:
        it = self.one("member", lambda it: it.fields["role"] != "owner")
        return None if it is None else [Part("member", it.id, "del")]

    def leave(self, actor: str) -> Parts:
        return [Part("member", actor, "del")]

    def let_in(self, actor: str) -> Parts | None:
        outside = [it for it in PEOPLE if self.view.live("member", it) is None]
        if not outside:
            return None
        role = self.rng.choice(("guest", "member", "admin"))
        return [Part("member", self.rng.choice(outside), "new", {"role": role, "name": "again"})]

    def call_oneself(self, actor: str) -> Parts:
        return [Part("member", actor, "put", {"name": self.world.new_id("me")})]

    def hand_over(self, actor: str) -> Parts | None:
        heir = self.one("member", lambda it: it.fields["role"] in ("admin", "member"))
        if heir is None:
            return None
        owner = next((it.id for it in self.view.each("member") if it.fields["role"] == "owner"), actor)
        return [Part("member", owner, "put", {"role": "admin"}), Part("member", heir.id, "put", {"role": "owner"})]

    def invite(self, actor: str) -> Parts:
        role = self.rng.choice(("guest", "member", "admin"))
        until = self.node.now + 400 * DAY_MS
        fields = {"role": role, "state": "pending", "created_by": actor, "expires_at": until}
        return [Part("invitation", self.world.new_id("invitation"), "new", fields)]

    def come_in(self, actor: str) -> Proposal | None:
        it = self.one("invitation", lambda it: it.fields["state"] == "pending")
        outside = [key for key in PEOPLE if self.view.live("member", key) is None]
        if it is None or not outside:
            return None
        who = self.rng.choice(outside)
        member = {"role": it.fields["role"], "name": "guest"}
        taken = {"state": "accepted", "taken_by": who}
        return Proposal(who, [Part("member", who, "new", member), Part("invitation", it.id, "put", taken)])

    def revoke(self, actor: str) -> Parts | None:
        it = self.one("invitation", lambda it: it.fields["state"] == "pending")
        return None if it is None else [Part("invitation", it.id, "put", {"state": "revoked"})]

    def share(self, actor: str) -> Parts | None:
        device, outside = self.one("device"), [it for it in PEOPLE if it not in MEMBERS]
        if device is None:
            return None
        fields: dict[str, Any] = {
            "kind": "device",
            "thing_id": device.id,
            "giver": actor,
            "receiver": self.rng.choice(outside),
        }
        fields |= {"level": "view", "state": "pending", "expires_at": self.node.now + 400 * DAY_MS}
        return [Part("share", self.world.new_id("share"), "new", fields)]

    def take_share(self, actor: str) -> Proposal | None:
        it = self.one("share", lambda it: it.fields["state"] == "pending")
        if it is None:
            return None
        return Proposal(it.fields["receiver"], [Part("share", it.id, "put", {"state": "accepted"})])

    def end_share(self, actor: str) -> Proposal | None:
        it = self.one("share", lambda it: it.fields["state"] in ("pending", "accepted"))
        if it is None:
            return None
        who = self.rng.choice((actor, it.fields["receiver"]))
        return Proposal(who, [Part("share", it.id, "put", {"state": "ended", "ended_at": self.node.now})])

    def widen_share(self, actor: str) -> Parts | None:
        it = self.one("share", lambda it: it.fields["state"] in ("pending", "accepted"))
        if it is None:
            return None
        return [Part("share", it.id, "put", {"level": self.rng.choice(("view", "control"))})]

    def dismiss(self, actor: str) -> Parts | None:
        it = self.one("conflict", lambda it: it.fields.get("state") == "open")
        return None if it is None else [Part("conflict", it.id, "put", {"state": "dismissed"})]

    def dissolve(self, actor: str) -> Parts | None:
        return None if self.home == HOME else [Part("home", self.home, "del")]
