"""What a schedule stands on: who and what there is, the time, and what was told to whom."""

from collections.abc import Callable, Collection
from random import Random
from typing import Any

from msgspec import Struct

from app.sync.model import Entity, Op, Status
from tests.sync.nodes import START_MS, Key, Node
from tests.sync.property.oracle import Bound, Oracle

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


class Grounds:
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
