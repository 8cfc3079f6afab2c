"""Operations of phones, done while they reached nobody: the same numbers by hub or directly (PROTOCOL.md 2a).

A phone is a node of its own. A hub takes what it could do itself, shows it at once, and passes it on under the phone's
number; the cloud takes it once, whichever way it comes first.
"""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from app.accounts.people import People
from app.caller import Caller, demand
from app.errors import Conflict, NotFound
from app.homes.standing import Standings
from app.policy import Action
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Tx
from app.sync import hybrid, queries, rules
from app.sync.accepting import Sender
from app.sync.authority import Authority
from app.sync.model import Op, Part, Result, Status, What
from app.sync.replica import Replica
from app.sync.seen import Seen
from app.sync.shapes import fits

MOST: Final = 100
NodeId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


class NoLog(Conflict):
    """This home is kept by one hub alone: there is nothing to be the same with."""

    code = "not_shared"
    hint = "Use the companion API; or give the home to a cloud first."


class NotYourNode(Conflict):
    """Another person writes as this node."""

    code = "not_your_node"
    hint = "Make a new node id for each account of a phone."


class PartOf(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done to one fact: PROTOCOL.md 2 has the kinds and their fields."""

    kind: Annotated[str, Meta(max_length=32)]
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    what: What
    fields: dict[str, Any] = {}


class Operation(Struct, frozen=True, forbid_unknown_fields=True):
    """One act. `n` counts the phone's acts in this home from 1, without gaps; `at` when it was done, ms of its clock.

    `seen` is the `head` that the phone had last read of this home; `not_after`, ms of its clock: then it is not wanted.
    """

    n: Annotated[int, Meta(ge=1, le=1 << 53)]
    at: Annotated[int, Meta(ge=0, le=1 << 47)]
    parts: Annotated[list[PartOf], Meta(min_length=1, max_length=100)]
    seen: Annotated[int, Meta(ge=0, le=1 << 62)] = 0
    not_after: Annotated[int, Meta(ge=0, le=1 << 47)] | None = None


class Operations(Struct, frozen=True, forbid_unknown_fields=True):
    """In order. `node` is 64 random bits of the phone's, hexadecimal; `now` its clock, ms."""

    node: NodeId
    now: Annotated[int, Meta(ge=0, le=1 << 47)]
    operations: Annotated[list[Operation], Meta(min_length=1, max_length=MOST)]


class Taken(Struct, frozen=True):
    """What became of one. `confirmed` false: it is on this hub's disk, and the cloud has not said yet."""

    n: int
    status: Status
    why: str
    confirmed: bool


class TakenAll(Struct, frozen=True):
    """Of as many as were taken. `expected`: the number that is missing; `head`: how far the home's log has come."""

    results: list[Taken]
    expected: int | None
    head: int


class PhoneOperations:
    """`push` them."""

    def __init__(
        self, store: Store, standings: Standings, people: People, authority: Authority, replica: Replica
    ) -> None:
        self._store = store
        self._standings = standings
        self._people = people
        self._authority = authority
        self._replica = replica

    async def push(self, by: Caller, home_id: str, asked: Operations) -> TakenAll:
        """Take them in order; raises NotFound, NoLog, NotYourNode, TooMany."""
        return await self._store.write(lambda tx: self._push_in(tx, by, home_id, asked), once=by.once, returns=TakenAll)

    def _push_in(self, tx: Tx, by: Caller, home_id: str, asked: Operations) -> TakenAll:
        demand(by.actor, Action.HOME_PUSH, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        shared, key = queries.shared(tx, home_id), self._people.key_in(tx, home_id, by.actor.account_id)
        if key is None:
            raise NotFound
        if shared is None:
            raise NoLog
        known = queries.node(tx, home_id, asked.node)
        if known is not None and known.account_key is None and known.hub_id is None:
            # A hub has told what it did, and it is the first to say whose it is.
            known = replace(known, account_key=key)
            queries.put_node(tx, home_id, known)
        if known is not None and known.account_key != key:
            raise NotYourNode
        if known is None:
            demand_room(tx, "sync_nodes", home_id)
        ops = [_op(asked.node, key, it) for it in asked.operations]
        if shared.cloud_id is None:
            return self._directly_in(tx, shared, ops, asked, key)
        return self._relay_in(tx, shared, ops, asked, 0 if known is None else known.last_n)

    def _directly_in(self, tx: Tx, shared: queries.Shared, ops: list[Op], asked: Operations, key: str) -> TakenAll:
        sender = Sender(rules.By(None), asked.now, lambda node: node == asked.node)
        if queries.node(tx, shared.home_id, asked.node) is None:
            row = queries.NodeRow(asked.node, None, key, 0, 0, 0, tx.now)
            queries.put_node(tx, shared.home_id, row)
        pushed = self._authority.push_in(tx, shared, ops, sender, tx.moment)
        results = [_taken(op, it, confirmed=True) for op, it in zip(ops, pushed.results, strict=False)]
        return TakenAll(results, pushed.expected, pushed.head)

    def _relay_in(self, tx: Tx, shared: queries.Shared, ops: list[Op], asked: Operations, last: int) -> TakenAll:
        results: list[Taken] = []
        expected = None
        for op in ops:
            if op.n <= last:
                results.append(Taken(op.n, Status.OK, "again", confirmed=False))
                continue
            if op.n != last + 1:
                expected = last + 1
                break
            seen = Seen(tx, shared.home_id)
            why = "malformed" if not fits(op) else rules.judge(op, seen, tx.moment, rules.By(None))
            # Of what is refused the number goes on alone, for numbers have no gaps.
            self._replica.relay_in(tx, shared.home_id, _by_our_clock(op, tx.now - asked.now, is_kept=not why))
            last = op.n
            results.append(Taken(op.n, Status.DENIED if why else Status.OK, why, confirmed=False))
        return TakenAll(results, expected, shared.head)


def _by_our_clock(op: Op, ahead_ms: int, *, is_kept: bool) -> Op:
    """The cloud learns of this hub's clock, not of the phone's."""
    at = max(1, op.at + hybrid.of_ms(ahead_ms))
    not_after = None if op.not_after is None else op.not_after + ahead_ms
    return replace(op, at=at, not_after=not_after, parts=op.parts if is_kept else [])


def _op(node: str, key: str, it: Operation) -> Op:
    parts = [Part(part.kind, part.id, part.what, part.fields) for part in it.parts]
    return Op(node, it.n, key, hybrid.of_ms(it.at), it.seen, parts, it.not_after)


def _taken(op: Op, result: Result, *, confirmed: bool) -> Taken:
    return Taken(op.n, result.status, result.why, confirmed)
