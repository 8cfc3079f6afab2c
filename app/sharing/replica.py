"""Shares as other nodes have them, between their table and the log. People are named by their keys."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.accounts.people import People
from app.clock import Ms
from app.homes.facts import CodeHash, PersonKey, fitting, is_id, plain
from app.homes.model import Hours, Id, Label
from app.homes.queries import has_home
from app.policy import SYSTEM, Level
from app.sharing import queries
from app.sharing.ledger import Ledger
from app.sharing.model import Kind, Share, ShareState
from app.sharing.things import Sharable
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch


class ShareFields(Struct, frozen=True, omit_defaults=True):
    """Of a share. `giver` and `receiver` are keys."""

    kind: Kind
    thing_id: Id
    level: Level
    state: ShareState
    created_at: Ms
    expires_at: Ms
    giver: PersonKey | None = None
    receiver: PersonKey | None = None
    code_hash: CodeHash | None = None
    until: Ms | None = None
    hours: Hours = ()
    remark: Label = ""
    accepted_at: Ms | None = None
    ended_at: Ms | None = None

    def __post_init__(self) -> None:
        if self.state is ShareState.EXPIRED:
            raise ValueError("expiry is not stored")

    @property
    def lends(self) -> bool:
        """Whether it needs its thing to be there: one that is over does not."""
        return self.state in (ShareState.PENDING, ShareState.ACCEPTED)


class ShareFacts:
    """Shares of a home. What is offered to a login stays at the node that knows it until it is accepted."""

    name: Final = "share"
    watches: Final = (
        Watch("shares", "CASE WHEN coalesce($.code_hash,$.accepted_at) IS NOT NULL THEN $.id END", "$.home_id"),
    )

    def __init__(self, people: People, ledger: Ledger, sharable: Sharable) -> None:
        self._people = people
        self._ledger = ledger
        self._sharable = sharable

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """A share; None for what was only offered to a login."""
        share = queries.of_home(reader, home_id, entity_id)
        if share is None or not _travels(share):
            return None
        said = known or {}
        fields = ShareFields(
            share.kind,
            share.thing_id,
            share.level,
            share.state,
            share.created_at,
            share.expires_at,
            self._people.named_in(reader, share.home_id, share.giver_id, said.get("giver")),
            self._people.named_in(reader, share.home_id, share.receiver_id, said.get("receiver")),
            None if share.code_hash is None else share.code_hash.hex(),
            share.until,
            share.hours,
            share.remark,
            share.accepted_at,
            share.ended_at,
        )
        return plain(fields)

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """Shares and offers by code, ended ones too."""
        return queries.ids_of_home(reader, home_id)

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """Shares come, change, end, and are forgotten. What lends something that is not this home's is passed over."""
        if not has_home(tx, home_id):
            return
        there = queries.any_of(tx, [item.id for item in items])
        codes: set[bytes] = set()
        for item in items:
            old = there.get(item.id)
            if old is not None and (old.home_id != home_id or not _travels(old)):
                continue
            if item.fields is not None:
                self._put_one_in(tx, home_id, item, old, codes)
            elif old is not None:
                self._ledger.forget_in(tx, item.by, old)
        tx.settle()

    def _put_one_in(self, tx: Tx, home_id: str, item: Item, old: Share | None, codes: set[bytes]) -> None:
        fields = fitting(ShareFields, item.fields or {})
        if fields is None or not is_id(item.id) or not self._stands_in(tx, home_id, fields):
            return
        code_hash = None if fields.code_hash is None else bytes.fromhex(fields.code_hash)
        if (old is None or old.code_hash != code_hash) and not self._is_free_in(tx, item.id, code_hash, codes):
            return
        new = self._share_in(tx, home_id, item.id, fields, old)
        if new == old or not _travels(new):
            return
        if old is not None:
            new = msgspec.structs.replace(new, version=old.version + 1)
        self._ledger.become_in(tx, item.by, old, new)

    def _share_in(self, tx: Tx, home_id: str, share_id: str, fields: ShareFields, old: Share | None) -> Share:
        return Share(
            share_id,
            home_id,
            fields.kind,
            fields.thing_id,
            self._account_in(tx, fields.giver) or "",
            self._account_in(tx, fields.receiver),
            None if old is None else old.login,
            None if fields.code_hash is None else bytes.fromhex(fields.code_hash),
            fields.level,
            fields.until,
            fields.hours,
            fields.state,
            fields.remark,
            version=1 if old is None else old.version,
            created_at=fields.created_at,
            expires_at=fields.expires_at,
            accepted_at=fields.accepted_at,
            ended_at=fields.ended_at,
        )

    def _stands_in(self, tx: Tx, home_id: str, fields: ShareFields) -> bool:
        """Whether what it lends is this home's to lend, and somebody has it who is said to."""
        if not fields.lends:
            return True
        thing = self._sharable[fields.kind].resource_in(tx, SYSTEM, fields.thing_id)
        taken = fields.receiver is not None and fields.accepted_at is not None
        return thing.home_id == home_id and (taken or fields.state is ShareState.PENDING)

    def _is_free_in(self, tx: Tx, share_id: str, code_hash: bytes | None, codes: set[bytes]) -> bool:
        """Whether no other share has this code, on disk or in `codes`, which wait to be."""
        if code_hash is None:
            return True
        other = queries.by_code(tx, code_hash)
        if code_hash in codes or (other is not None and other.id != share_id):
            return False
        codes.add(code_hash)
        return True

    def _account_in(self, tx: Tx, key: str | None) -> str | None:
        return None if key is None else self._people.known_in(tx, key, "")

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """To what it lends, as long as it does."""
        found = fitting(ShareFields, fields)
        return () if found is None or not found.lends else ((found.kind, found.thing_id),)


def _travels(share: Share) -> bool:
    return share.code_hash is not None or share.accepted_at is not None
