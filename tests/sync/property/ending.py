"""The end of a schedule: all is healed, and everywhere the same."""

from typing import Any

from app.sync import merge, outbox_queries
from tests.sync.nodes import Node
from tests.sync.property.grounds import HOME, HOMES, Acked, recorded
from tests.sync.property.oracle import Oracle, Wrong, must
from tests.sync.property.world import World


class Ending:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def settle(self) -> None:
        """Everybody talks until all are level; raises Wrong where that never is."""
        world = self.world
        for _ in range(400):
            busy = False
            for hub in world.hubs.values():
                for home in HOMES:
                    if hub.serves(home) and not self._is_level(hub, home):
                        world.exchange(hub, home)
                        busy = True
            if not busy:
                return
        logs = [(hub.name, hub.shared(home)) for hub in world.hubs.values() for home in HOMES if hub.serves(home)]
        raise Wrong(f"never the same: {logs}")

    def _is_level(self, hub: Node, home: str) -> bool:
        here, there = hub.shared(home), self.world.cloud.shared(home)
        level = (here.epoch, here.head, here.state) == (there.epoch, there.head, "synced")
        return level and not outbox_queries.waiting_count(hub.reader, home)

    def heal(self) -> None:
        """Nothing is lost any more; all comes, and all is the same."""
        world = self.world
        world.say("all heals")
        world.calm = True
        world.cut.clear()
        while world.late:
            world.come_late()
        world.tick()
        self.settle()
        for to in (*world.hubs.values(), world.cloud):
            if to.serves(HOME):
                world.phone_speaks(to)
        self.settle()
        for node in (*world.hubs.values(), world.cloud):
            for home in HOMES:
                node.level(home)
        for home in HOMES:
            self._check_same(home)
        self._check_acked()

    def _check_same(self, home: str) -> None:
        world = self.world
        log = world.cloud.log(home)
        alive = {key: it for key, it in log.items() if it.dead is None}
        digest = merge.digest(log.values())
        plain = {key: {n: v for n, v in it.fields.items() if v is not None} for key, it in alive.items()}
        must(world.cloud.shown(home) == plain, "shown otherwise at the cloud", home)
        for hub in world.hubs.values():
            if not hub.serves(home):
                continue
            there = hub.log(home)
            must(merge.digest(there.values()) == digest, hub.name, home, "differs:", _differences(alive, there))
            must({key: it for key, it in there.items() if it.dead is None} == alive, "not the same", hub.name, home)
            must(all(there.get(key) == it for key, it in log.items()), "another tombstone", hub.name, home)
            must(not hub.outbox(home), "still waits", hub.name)
            must(hub.shown(home) == plain, "shown otherwise", hub.name, home, _differences(plain, hub.shown(home)))

    def _check_acked(self) -> None:
        """Every acknowledged edit is there, or was overwritten, or refused so that it shows; or lost with a disk."""
        world = self.world
        alive = {hub.name: hub for hub in world.hubs.values()}
        records = {home: recorded(world.cloud.log(home)) for home in HOMES}
        for key, acked in world.acked.items():
            if key in world.lost:
                continue
            must(acked.status is not None, "acknowledged, and lost:", key, acked.op)
            if acked.status == "ok":
                log = world.oracles[key[0]]
                self._check_there(log, key, acked, records[key[0]])
            elif acked.machine in alive and acked.op.node == acked.machine and key not in world.left:
                must(key in alive[acked.machine].told, "refused, and nobody was told:", key, acked)

    def _check_there(
        self, oracle: Oracle, key: tuple[str, str, int], acked: Acked, records: set[tuple[Any, ...]]
    ) -> None:
        for part in acked.op.parts:
            if part.kind == "conflict":
                continue
            fact, inc = oracle.facts.get((part.kind, part.id)), acked.incs.get((part.kind, part.id), 0)
            if (key[0], part.kind, part.id) in self.world.forgotten:
                continue
            if part.what == "del":
                must(fact is None or fact.dead is not None or fact.inc > inc, "ended, and there:", key, part)
                continue
            if fact is None:
                told = {name for kind, of, name, *_ in records if (kind, of) == (part.kind, part.id)}
                values = {name for name, value in part.fields.items() if value is not None}
                must(values <= told, "nothing is there:", key, part)
                continue
            if fact.dead or fact.inc > inc > 0:
                continue
            for name in part.fields:
                mark = fact.fields.get(name, (None, None))[1]
                order = acked.at, acked.op.node, acked.op.n
                is_there = mark is not None and mark.order >= order
                must(is_there or (part.kind, part.id, name, *key[1:]) in records, "not there:", key, part, name, mark)


def _differences(one: dict, other: dict) -> list:  # type: ignore[type-arg]
    return [(key, one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
