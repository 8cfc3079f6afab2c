"""Schedules: what happens in which order, decided by a seed, and what must hold at the end of each."""

from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from app.sync.model import Op
from tests.sync.nodes import Node
from tests.sync.property.acts import Doing
from tests.sync.property.ending import Ending
from tests.sync.property.grounds import (
    CLOUD,
    DAY_MS,
    HOME,
    HOMES,
    OTHER,
    OWNER,
    YEAR_MS,
    CloudBackup,
    has,
)
from tests.sync.property.moods import DISASTERS, MOODS, MOVES, NETWORK, TIME
from tests.sync.property.oracle import Wrong, must
from tests.sync.property.world import World

STEPS = 60


class Schedule:
    """`run` it; raises Wrong, or what the program raises, which it never must."""

    def __init__(self, seed: int, mood: str | None = None, world: type[World] = World) -> None:
        self.seed = seed
        self.world = world(seed)
        self.rng: Random = self.world.rng
        self._ending = Ending(self.world)
        self.mood = MOODS[mood or list(MOODS)[seed % len(MOODS)]]
        weights = {"act": 90}
        for steps, times in (
            (NETWORK, self.mood.network),
            (TIME, self.mood.time),
            (DISASTERS, self.mood.disasters),
            (MOVES, self.mood.moves),
        ):
            weights |= {name: weight * times for name, weight in steps.items()}
        self._steps: list[Callable[[], None]] = [getattr(self, name) for name in weights]
        self._weights = list(weights.values())
        self._acts, self._act_weights = list(self.mood.acts), list(self.mood.acts.values())

    def run(self) -> None:
        world = self.world
        world.found({"one": HOMES, "two": (HOME,)})
        world.calm = True
        self._ending.settle()
        for kind in ("pair", "gather", "share", "invite"):
            proposal = Doing(world, world.hubs["one"], HOME).propose(kind, OWNER)
            assert proposal is not None
            world.act(world.hubs["one"], HOME, OWNER, proposal.parts)
        self._ending.settle()
        world.calm = False
        for step in self.rng.choices(self._steps, self._weights, k=STEPS):
            world.tick()
            step()
        self._ending.heal()

    # steps

    def act(self) -> None:
        world = self.world
        node = world.cloud if self.rng.random() < 0.3 else self._hub()
        home = HOME if self.rng.random() < 0.85 else OTHER
        if not node.serves(home):
            return
        doing = Doing(world, node, home)
        by_phone = home == HOME and self.rng.random() < 0.1
        for kind in self.rng.choices(self._acts, self._act_weights, k=3):
            proposal = doing.propose(kind, world.phone.person if by_phone else None)
            if proposal is None:
                continue
            if by_phone and proposal.actor == world.phone.person:
                world.by_phone(node, proposal.parts, proposal.not_after)
                world.say("the phone", kind, proposal.parts)
            elif not by_phone:
                world.say(node.name, home, kind, proposal.actor[-1:], proposal.parts)
                world.act(node, home, proposal.actor, proposal.parts, proposal.not_after)
            return

    def exchange(self) -> None:
        self.world.exchange(self._hub(), self.rng.choice((HOME, HOME, OTHER)))

    def _hub(self) -> Node:
        hubs = list(self.world.hubs.values())
        # Where one comes and goes, that one does most.
        return hubs[-1] if self.mood.moves > 1 and self.rng.random() < 0.4 else self.rng.choice(hubs)

    def again(self) -> None:
        self.world.again()

    def come_late(self) -> None:
        self.world.come_late()

    def cut(self) -> None:
        self.world.cut.add(self.rng.choice(list(self.world.hubs)))

    def heal_one(self) -> None:
        self.world.cut.discard(self.rng.choice(list(self.world.hubs)))

    def phone(self) -> None:
        to = self.rng.choice([*self.world.hubs.values(), self.world.cloud])
        if to.serves(HOME):
            self.world.phone_speaks(to)

    def restart(self) -> None:
        self.rng.choice(list(self.world.hubs.values())).restart()

    def show_some(self) -> None:
        node = self.rng.choice([*self.world.hubs.values(), self.world.cloud])
        node.level(self.rng.choice(HOMES), 2)

    def jump(self) -> None:
        of = self.rng.choice([*self.world.hubs, CLOUD, "phone"])
        least = 0 if of == CLOUD else -YEAR_MS
        by = self.rng.choice((least, YEAR_MS, 0, 3_600_000, self.rng.randint(least, YEAR_MS)))
        self.world.offsets[of] = max(by, self.world.offsets.get(CLOUD, 0)) if of == CLOUD else by
        self.world.say("the clock of", of, "jumps to", by)
        self.world.tick()

    def compact(self) -> None:
        """Three months pass, in which every hub is heard or not."""
        world = self.world
        world.time += self.rng.choice((1, 50, 91)) * DAY_MS
        world.tick()
        for home in HOMES:
            shared = world.cloud.shared(home)
            gone = world.cloud.act(partial(world.cloud.authority.compact_in, shared=shared))
            if gone:
                world.say("tombstones forgotten in", home, gone)
                self._forget(home)

    def _forget(self, home: str) -> None:
        log, oracle = self.world.cloud.log(home), self.world.oracles[home]
        for key in [key for key, fact in oracle.facts.items() if fact.dead and key not in log]:
            must(key[0] != "member", "who was put out is forgotten", key)
            del oracle.facts[key]
            self.world.forgotten[home, *key] = self.world.cloud.shared(home).head

    # disasters

    def back_up(self) -> None:
        world = self.world
        world.say("backups")
        for hub_id, hub in world.hubs.items():
            world.hub_backups[hub_id].append(hub.backup())
        bound = dict(world.bound)
        oracles = {home: oracle.copy(bound) for home, oracle in world.oracles.items()}
        world.cloud_backups.append(CloudBackup(world.cloud.backup(), oracles, bound, len(world.taken)))

    def restore_hub(self) -> None:
        world, rng = self.world, self.rng
        hub_id = rng.choice(list(world.hubs))
        backups = world.hub_backups[hub_id]
        if not backups:
            return
        old, new = world.hubs[hub_id], Node(world.life(hub_id), hub_id, rng.choice(backups))
        # As app.store.restore does.
        new.act(lambda tx: tx.run("UPDATE sync_homes SET next_n=1"))
        new.now = old.now
        world.say(hub_id, "restored as", new.name)
        world.hubs[hub_id] = new
        world.ghosts.append(old)
        self._lose_machine(old)

    def _lose_machine(self, old: Node) -> None:
        """What it alone had is lost with its disk."""
        world = self.world
        taken = set(world.taken)
        for home in HOMES:
            for op in old.outbox(home):
                key = home, op.node, op.n
                if key not in taken and not self._waits(key):
                    world.lost.add(key)
        for key, holders in list(world.fragile.items()):
            holders.discard(old.name)
            if not holders and not self._waits(key):
                world.lost.add(key)

    def _waits(self, key: tuple[str, str, int]) -> bool:
        """Whether it is in the outbox of a hub."""
        sql = "SELECT 1 FROM sync_outbox WHERE home_id=? AND node=? AND n=?"
        return any(hub.reader.one(sql, key) for hub in self.world.hubs.values())

    def restore_cloud(self) -> None:
        world = self.world
        if not world.cloud_backups:
            return
        backup = self.rng.choice(world.cloud_backups)
        knew = {(hub.name, home): hub.log(home) for hub in world.hubs.values() for home in HOMES if hub.serves(home)}
        for key in world.taken[backup.taken :]:
            acked = world.acked[key]
            world.fragile[key] = {name for (name, home), log in knew.items() if home == key[0] and has(log, acked)}
        now = world.cloud.now
        world.cloud = Node(world.life(CLOUD), None, backup.image)
        world.cloud.now = now
        world.bound = dict(backup.bound)
        world.oracles = {home: oracle.copy(world.bound) for home, oracle in backup.oracles.items()}
        world.acquaint()
        del world.taken[backup.taken :]
        for home in HOMES:
            shared, epoch = world.cloud.shared(home), world.life("e")
            renewed = world.cloud.act(partial(world.cloud.authority.renew_in, shared=shared, epoch=epoch))
            world.begins[home] = shared.head, renewed.head
        for key, holders in world.fragile.items():
            if not holders and not self._waits(key):
                world.lost.add(key)
        world.say("the cloud is restored:", [world.cloud.shared(home).epoch for home in HOMES])
        # What was backed up of the life that is lost is of no use to the next.
        world.cloud_backups = world.cloud_backups[: world.cloud_backups.index(backup) + 1]

    def ghost(self) -> None:
        """A machine that another has replaced still runs."""
        if self.world.ghosts:
            ghost = self.rng.choice(self.world.ghosts)
            for home in HOMES:
                if ghost.serves(home):
                    push, _ = ghost.replica.next_push(ghost.reader, home)
                    self.world.push(ghost, home, push.epoch, ghost.now, push.ops)

    def join(self) -> None:
        world = self.world
        if "three" not in world.hubs:
            world.hubs["three"], world.hub_backups["three"] = Node(world.life("three"), "three"), []
            world.tick()
        if not world.hubs["three"].serves(HOME):
            world.enter("three", HOME)

    def part(self) -> None:
        """A hub serves a home no more; what it had not said goes with it."""
        world = self.world
        hub = world.hubs.get("three")
        if hub is None or not hub.serves(HOME):
            return
        world.say("three leaves")
        world.left.update((HOME, op.node, op.n) for op in hub.outbox(HOME))
        own_ops = [op for op in hub.outbox(HOME) if not self._elsewhere(hub, op)]
        hub.act(lambda tx: hub.replica.leave_in(tx, HOME))
        must(not hub.log(HOME) and not hub.shown(HOME), "something of a home that was left is still there")
        world.lost.update((HOME, op.node, op.n) for op in own_ops if world.acked[HOME, op.node, op.n].status is None)
        for key, holders in list(world.fragile.items()):
            holders.discard(hub.name)
            if not holders and not self._waits(key):
                world.lost.add(key)
        if self.rng.random() < 0.6:
            self.join()

    def _elsewhere(self, hub: Node, op: Op) -> bool:
        key = HOME, op.node, op.n
        others = [it for it in self.world.hubs.values() if it is not hub and it.serves(HOME)]
        return key not in self.world.acked or any(key[1:] == (it.node, it.n) for o in others for it in o.outbox(HOME))


def run(seed: int, mood: str | None = None, world: type[World] = World) -> None:
    """One schedule, with pages of a few rows and ids that the seed decides; raises Wrong with all that happened."""
    schedule = Schedule(seed, mood, world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.sync.authority.ROWS_AT_ONCE", 7)
        patch.setattr("app.sync.snapshots.ROWS_AT_ONCE", 7)
        patch.setattr("app.sync.facts.AT_ONCE", 1)
        patch.setattr("app.sync.behind_queries.RUN", 3)
        patch.setattr("app.sync.own.new_id", lambda _: schedule.world.new_id("conflict"))
        try:
            schedule.run()
        except Exception as error:
            happened = "\n".join(schedule.world.log)
            raise Wrong(f"seed {seed}, mood {mood}: {type(error).__name__}: {error}\n{happened}") from error
