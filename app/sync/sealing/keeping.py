"""A home's keys as its hubs keep them: made, sealed for whoever is to have them, and followed by the next.

All of it is one question, asked again whenever a log has changed: what is to be done at this hub for the log to be as
it should. Doing it twice, or at two hubs at once, comes to the same.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from app.accounts.codes import new_code, plain
from app.accounts.readers import Readers
from app.caller import BY_SYSTEM
from app.store.hub import Hub, read_hub
from app.store.tx import Reader, Tx
from app.sync import merge
from app.sync import queries as sync_queries
from app.sync.kinds import Item
from app.sync.model import NOBODY, Op, Part, Result
from app.sync.replica import Replica
from app.sync.sealing import crypto, places, queries
from app.sync.sealing.facts import SecretFacts
from app.sync.sealing.model import (
    ADMISSION_LETTERS,
    HUB,
    KEPT_KEYS,
    PHONE,
    RECOVERY,
    TO,
    HomeKey,
    Recipient,
    newest,
    numbered,
    recipients,
    sealed_by,
    sealed_of,
    wrapped_for,
)
from app.sync.sealing.ring import Keys, Ring, current, next_fields

OURS: Final = frozenset({"hub", "home_key", "secret"})
# Of one operation.
SECRETS_AT_ONCE: Final = 500


class HomeKeys:
    """`attach` it to the replica. `account_of_in` is whose account a person's key names here; `phones`: of accounts."""

    def __init__(
        self,
        ring: Ring,
        facts: SecretFacts,
        account_of_in: Callable[[Reader, str], str | None],
        phones: Readers,
        *,
        is_cloud: bool,
    ) -> None:
        self.ring = ring
        self.facts = facts
        self._account_of_in = account_of_in
        self._phones = phones
        self._is_cloud = is_cloud
        self._replica: Replica
        # Where the cloud has refused what this hub did: doing it again would change nothing until the next start.
        self._refused: set[str] = set()

    def attach(self, replica: Replica) -> None:
        """Do what is to be done after each change of a log that `replica` has."""
        self._replica = replica
        if not self._is_cloud:
            replica.on_moved.append(self.tend_in)
            replica.on_refused.append(self._refused_in)

    def _refused_in(self, tx: Tx, home_id: str, op: Op, result: Result) -> None:
        if op.actor == NOBODY and any(part.kind in OURS for part in op.parts):
            self._refused.add(home_id)

    def act_in(self, tx: Tx, home_id: str, parts: Iterable[Part]) -> None:
        """Put down what this hub does to the keys."""
        if parts := list(parts):
            self._replica.act_in(tx, home_id, NOBODY, parts)

    # what is to be done

    def tend_every_in(self, tx: Tx) -> None:
        """`tend_in` each home that has a cloud."""
        for shared in sync_queries.all_shared(tx):
            self.tend_in(tx, shared.home_id)

    def tend_in(self, tx: Tx, home_id: str) -> None:
        """Do what is to be done for the keys of a home, as its log is now."""
        shared, hub = sync_queries.shared(tx, home_id), read_hub(tx)
        if shared is None or shared.cloud_id is None or shared.state != "synced" or hub.hub_id is None:
            return
        if self._is_cloud or home_id in self._refused:
            return
        self._introduce_in(tx, home_id, hub)
        had = self.ring.keys_in(tx, home_id)
        fresh = self.ring.accept_in(tx, home_id, hub.hub_id)
        if not had and not fresh:
            if any(queries.each(tx, home_id, "home_key")) or not queries.is_first(tx, home_id, hub.hub_id):
                return
            self._make_in(tx, home_id, hub.hub_id, None, [self.own_in(tx, hub.hub_id)])
        self.settle_in(tx, home_id, hub.hub_id, fresh, had)

    def settle_in(self, tx: Tx, home_id: str, hub_id: str, fresh: Keys, had: Keys) -> None:
        """This hub is in: have it open what it can now, key out and take in whom it must, seal what is not."""
        if fresh:
            self._take_up_in(tx, home_id, is_first=not had)
        if self.is_in(tx, home_id):
            self.ring.keep_code_in(tx, home_id, None)
        self._mend_in(tx, home_id)
        changed = self._tend_recipients_in(tx, home_id, hub_id)
        if changed or fresh or not had or home_id in self.facts.stale:
            self.facts.stale.discard(home_id)
            self._seal_in(tx, home_id)

    def is_in(self, reader: Reader, home_id: str) -> bool:
        """Whether this hub has the highest key that the log has."""
        keys = self.ring.keys_in(reader, home_id)
        highest = newest(dict(queries.each(reader, home_id, "home_key")))
        return bool(keys) and (highest is None or highest in keys)

    # this hub

    def own_in(self, tx: Tx, hub_id: str) -> Recipient:
        """This hub, as one for whom home keys are sealed."""
        return Recipient(HUB + hub_id, self.ring.private_in(tx).public_key().public_bytes_raw())

    def _introduce_in(self, tx: Tx, home_id: str, hub: Hub) -> None:
        """Have the log say what this hub is called and sealed for; and, while it waits, that its code says so too.

        A hub that was removed hears no more of a log. One that does again was let back: it begins anew.
        """
        hub_id = hub.hub_id or ""
        known = queries.shown(tx, home_id, "hub", hub_id)
        public = self.own_in(tx, hub_id).public
        wanted: dict[str, Any] = {"name": hub.name, "seal_key": public.hex()}
        if not self.is_in(tx, home_id):
            code = self.ring.code_in(tx, home_id)
            if code is None:
                code = new_code(ADMISSION_LETTERS)
                self.ring.keep_code_in(tx, home_id, code)
            said = crypto.introduction(crypto.code_key(plain(code), home_id), home_id, hub_id, public)
            wanted["proof"] = said.hex()
        changed = merge.difference(known, {**(known or {}), **wanted})
        if changed is not None:
            self.act_in(tx, home_id, [Part("hub", hub_id, *changed)])  # type: ignore[arg-type]

    # home keys

    def _make_in(self, tx: Tx, home_id: str, hub_id: str, former: HomeKey | None, to: Iterable[Recipient]) -> HomeKey:
        """The next key of a home, or its first."""
        number = 1 if former is None else former.number + 1
        key = HomeKey(number, tx.new_id(), secrets.token_bytes(crypto.KEY_BYTES))
        self.ring.keep_in(tx, home_id, key)
        fields = next_fields(former, home_id, key, hub_id)
        fields |= {TO + it.name: wrapped_for(key, home_id, it) for it in to}
        self.act_in(tx, home_id, [Part("home_key", key.id, "new", fields), *self._outdated_in(tx, home_id, number)])
        return key

    def next_in(self, tx: Tx, home_id: str, hub_id: str, *, without: Iterable[str] = ()) -> HomeKey:
        """The next key, for whoever has the present one but those named; every secret is to be sealed anew."""
        key = self.demand_current_in(tx, home_id)
        stay = [it for it in self._recipients_in(tx, home_id, key) if it.name not in set(without)]
        self.facts.stale.add(home_id)
        return self._make_in(tx, home_id, hub_id, key, stay)

    def demand_current_in(self, reader: Reader, home_id: str) -> HomeKey:
        """The key that is sealed with; raises LookupError where this hub has none."""
        key = current(self.ring.keys_in(reader, home_id))
        if key is None:
            raise LookupError(f"no key of {home_id}")
        return key

    def _recipients_in(self, reader: Reader, home_id: str, key: HomeKey) -> list[Recipient]:
        fields = queries.shown(reader, home_id, "home_key", key.id) or {}
        return list(recipients(key, home_id, fields))

    def _outdated_in(self, reader: Reader, home_id: str, number: int) -> list[Part]:
        old = [it for it, fields in queries.each(reader, home_id, "home_key") if _is_before(fields, number - KEPT_KEYS)]
        return [Part("home_key", key_id, "del") for key_id in old]

    # whom for

    def _tend_recipients_in(self, tx: Tx, home_id: str, hub_id: str) -> bool:
        """Seal the key for phones that are new; make the next where somebody is to have it no more. Whether it did."""
        key = self.demand_current_in(tx, home_id)
        there = self._recipients_in(tx, home_id, key)
        owner = queries.owner(tx, home_id)
        phones = {} if owner is None else self._phones_in(tx, owner, hub_id)
        hubs = {it for it, _ in queries.each(tx, home_id, "hub")}
        asked = _Entitled(hub_id, hubs, owner, phones)
        out = [it.name for it in there if not asked.is_to_have(it)]
        if out:
            key = self.next_in(tx, home_id, hub_id, without=out)
        names = {it.name for it in there} - set(out)
        missing = {TO + name: wrapped_for(key, home_id, to) for name, to in phones.items() if name not in names}
        if missing:
            self.act_in(tx, home_id, [Part("home_key", key.id, "put", missing)])
        return bool(out)

    def _phones_in(self, reader: Reader, owner: str, hub_id: str) -> dict[str, Recipient]:
        """The owner's, as registered at this hub."""
        account_id = self._account_of_in(reader, owner)
        found = [] if account_id is None else self._phones.of_account_in(reader, account_id)
        return {PHONE + it.id: Recipient(PHONE + it.id, it.seal_key, owner, hub_id) for it in found}

    # secrets

    def _take_up_in(self, tx: Tx, home_id: str, *, is_first: bool) -> None:
        """Put what could not be opened before. What this hub had by itself until it was let in, it brings along."""
        if is_first:
            self._seal_in(tx, home_id)
        there = queries.each(tx, home_id, "secret")
        self.facts.put_in(tx, home_id, [Item(place, fields, BY_SYSTEM) for place, fields in there])

    def _mend_in(self, tx: Tx, home_id: str) -> None:
        """Have back what somebody made, and lost to a hub that only sealed anew what had been there before."""
        keys, mended = self.ring.keys_in(tx, home_id), list[Part]()
        key = self.demand_current_in(tx, home_id)
        for conflict_id, record in queries.open_conflicts(tx, home_id, "secret"):
            place, lost, kept = str(record.get("id")), sealed_of(record.get("lost")), sealed_of(record.get("kept"))
            if lost is None or kept is None or lost.again or not kept.again or lost.key not in keys:
                continue
            known = queries.shown(tx, home_id, "secret", place)
            if known is not None and known.get("sealed") == record.get("kept"):
                with suppress(crypto.SealBroken):
                    made = sealed_by(key, home_id, place, lost.opened(keys[lost.key], home_id, place))
                    mended.append(Part("secret", place, "put", {"sealed": made.text()}))
            mended.append(Part("conflict", conflict_id, "put", {"state": "undone"}))
        self.act_in(tx, home_id, mended)
        items = [Item(it.id, it.fields, BY_SYSTEM) for it in mended if it.kind == "secret"]
        self.facts.put_in(tx, home_id, items)

    def _seal_in(self, tx: Tx, home_id: str) -> None:
        """Have every secret that is here be in the log, sealed with the current key."""
        keys, parts = self.ring.keys_in(tx, home_id), list[Part]()
        for place in places.of_home(tx, home_id):
            was = queries.shown(tx, home_id, "secret", place)
            now = self.facts.sealed_in(tx, home_id, place, was, keys)
            if now is not None and (changed := merge.difference(was, now)) is not None:
                parts.append(Part("secret", place, *changed))  # type: ignore[arg-type]
        for begin in range(0, len(parts), SECRETS_AT_ONCE):
            self.act_in(tx, home_id, parts[begin : begin + SECRETS_AT_ONCE])


class _Entitled(Struct, frozen=True):
    """Who is to have the next key, as this hub knows it: hubs that serve, the owner's recovery and phones.

    `owner` None: nobody knows, and nothing is taken from anybody for it. `phones`: those registered here.
    """

    hub_id: str
    hubs: set[str]
    owner: str | None
    phones: Mapping[str, Recipient]

    def is_to_have(self, it: Recipient) -> bool:
        """Whether somebody who has the present one is."""
        if it.name.startswith(HUB):
            return it.name.removeprefix(HUB) in self.hubs
        if self.owner is None or it.owner != self.owner:
            return self.owner is None
        if it.name == RECOVERY:
            return True
        # A phone that was registered at another hub is good as long as that one is.
        return self.phones.get(it.name) == it if it.at == self.hub_id else it.at in self.hubs


def _is_before(fields: Mapping[str, Any], number: int) -> bool:
    return (numbered(fields) or 0) < number
