"""Two hubs and a cloud with nothing but their logs."""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from app.clock import Moment
from app.store.migrations import migrate
from app.store.tx import Batch, Reader, Tx
from app.sync import merge, queries
from app.sync.accepting import Sender
from app.sync.authority import Authority
from app.sync.model import Part
from app.sync.replica import Replica
from app.sync.rules import By
from app.sync.wire import Pull, Reset

T = TypeVar("T")
HOME = "h"
ANNA = "a" * 64


class Node:
    """A database, and what runs over it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.db)
        self.authority = Authority(lambda _: name, None)
        self.replica = Replica(lambda _: name, None)
        self.now = 1_700_000_000_000

    def act(self, do: Callable[[Tx], T]) -> T:
        self.now += 1
        self.db.execute("BEGIN")
        result = do(Tx(self.db, Moment(self.now, True), Batch(self.db)))
        self.db.execute("COMMIT")
        return result

    @property
    def reader(self) -> Reader:
        return Reader(self.db)


def sync(hub: Node, cloud: Node) -> None:
    def push() -> bool:
        push, waiting = hub.replica.next_push(hub.reader, HOME, hub.now)
        if not waiting:
            return False
        sender = Sender(By(hub.name), hub.now, lambda node: node == hub.name)

        def take(tx: Tx) -> object:
            shared = queries.shared(tx, HOME)
            assert shared is not None
            return cloud.authority.push_in(tx, shared, push.ops, sender, tx.moment)

        pushed = cloud.act(take)
        hub.act(lambda tx: hub.replica.pushed_in(tx, HOME, waiting, pushed))  # type: ignore[arg-type]
        return True

    while push():
        pass
    while True:
        shared = queries.shared(hub.reader, HOME)
        assert shared is not None
        answer = cloud.authority.changes(cloud.reader, Pull(1, HOME, shared.epoch, shared.head))
        assert not isinstance(answer, Reset)
        hub.act(partial(hub.replica.changed_in, home_id=HOME, answer=answer))
        if not answer.more:
            return


def test_smoke() -> None:
    one, two, cloud = Node("one"), Node("two"), Node("cloud")
    cloud.act(lambda tx: cloud.authority.found_in(tx, HOME, "e"))
    member = {"role": "owner", "name": "Anna"}
    cloud.act(
        lambda tx: cloud.authority.local_in(
            tx, HOME, ANNA, [Part("home", HOME, "new", {"name": "Home"}), Part("member", ANNA, "new", member)]
        )
    )
    for hub in (one, two):

        def join(tx: Tx, hub: Node = hub) -> None:
            hub.replica.join_in(tx, HOME, "cloud", "e", restating=False)

        hub.act(join)
        while (ask := hub.replica.next_page(hub.reader, HOME)) is not None:
            page = cloud.authority.page(cloud.reader, ask)
            hub.act(lambda tx, hub=hub, page=page: hub.replica.page_in(tx, HOME, page))  # type: ignore[misc]
    one.act(lambda tx: one.replica.act_in(tx, HOME, ANNA, [Part("room", "r", "new", {"name": "Kitchen"})]))
    sync(one, cloud)
    sync(two, cloud)
    one.act(lambda tx: one.replica.act_in(tx, HOME, ANNA, [Part("room", "r", "put", {"name": "Bath"})]))
    two.act(lambda tx: two.replica.act_in(tx, HOME, ANNA, [Part("room", "r", "put", {"name": "Cellar"})]))
    for hub in (one, two, one):
        sync(hub, cloud)
    digests = {merge.digest(queries.every_entity(node.reader, HOME)) for node in (one, two, cloud)}
    assert len(digests) == 1
    (conflict,) = queries.entities_of(one.reader, HOME, "conflict")
    assert {conflict.fields["lost"], conflict.fields["kept"]} == {"Bath", "Cellar"}
    assert one.replica.view(one.reader, HOME, "room", "r")[0] == {"name": conflict.fields["kept"]}
