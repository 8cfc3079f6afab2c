"""A home's keys, for its owner: who has them, letting a hub in, the recovery code, what a phone may open."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.accounts.codes import new_code, plain
from app.accounts.readers import can_be_sealed_for
from app.caller import Caller, demand
from app.errors import NotFound
from app.homes.standing import Standings
from app.policy import Action, Actor
from app.store.hub import read_hub
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from app.sync import queries as sync_queries
from app.sync.model import Part
from app.sync.sealing import crypto, queries
from app.sync.sealing.keeping import HomeKeys
from app.sync.sealing.model import (
    HUB,
    PHONE,
    RECOVERY,
    RECOVERY_LETTERS,
    TO,
    AdmissionCodeWrong,
    HomeKey,
    HomeNotShared,
    HubNotIn,
    Recipient,
    RecoveryCodeWrong,
    newest,
    numbered,
    recipients,
    sealed_of,
    wrapped_for,
    wrapped_of,
)
from app.sync.sealing.places import AtTheHub
from app.sync.sealing.views import (
    Admission,
    HomeKeysView,
    HubKeyView,
    RecoveryCode,
    SealedSecret,
    SealedSecrets,
    WrappedKey,
)

Entities = Mapping[str, Mapping[str, Any]]


class Sealing:
    """`keys` does what needs nobody; here is what its owner asks for."""

    def __init__(self, store: Store, standings: Standings, keys: HomeKeys, *, is_cloud: bool) -> None:
        self._store = store
        self._standings = standings
        self.is_cloud = is_cloud
        self.keys = keys

    async def start(self) -> None:
        """What has changed while this node was off, in its settings or its phones."""
        await self._store.write(self.keys.tend_every_in)

    def readers_changed_in(self, tx: Tx, by: Caller, account_id: str) -> None:
        """Somebody's phones are others now: what is sealed for them is sealed anew."""
        self.keys.tend_every_in(tx)

    # who has them

    async def view(self, actor: Actor, home_id: str) -> HomeKeysView:
        """Who has a home's secrets; its owner's to see. Raises NotFound, Refused."""
        demand(actor, Action.HOME_KEYS, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda reader: self._view_in(reader, home_id))

    def _view_in(self, reader: Reader, home_id: str) -> HomeKeysView:
        hub_id, shared = read_hub(reader).hub_id, sync_queries.shared(reader, home_id)
        if shared is None or (shared.cloud_id is None and not self.is_cloud):
            return HomeKeysView("alone", hub_id, None, None, [], [], recovery=False)
        entities = dict(queries.each(reader, home_id, "home_key"))
        key_id = newest(entities)
        fields = {} if key_id is None else entities[key_id]
        held = set(self._recipients_in(reader, home_id, key_id, fields))
        is_in = self.keys.is_in(reader, home_id)
        return HomeKeysView(
            "cloud" if self.is_cloud else "in" if is_in else "waiting",
            hub_id,
            None if self.is_cloud or is_in else self.keys.ring.code_in(reader, home_id),
            numbered(fields),
            list(_hubs(reader, home_id, held)),
            sorted(it.removeprefix(PHONE) for it in held if it.startswith(PHONE)),
            RECOVERY in held,
        )

    def _recipients_in(
        self, reader: Reader, home_id: str, key_id: str | None, fields: Mapping[str, Any]
    ) -> Iterator[str]:
        """As far as the key vouches for them; where this node does not have it, as the log says."""
        key = self.keys.ring.keys_in(reader, home_id).get(key_id or "")
        if key is not None:
            return (it.name for it in recipients(key, home_id, fields))
        return (name.removeprefix(TO) for name in fields if name.startswith(TO))

    # letting in

    async def admit(self, by: Caller, home_id: str, hub_id: str, code: str) -> Admission:
        """Let a hub in that waits, by the code it shows; at a hub that is in.

        Raises NotFound, Refused, AtTheHub, HomeNotShared, HubNotIn, AdmissionCodeWrong.
        """
        return await self._store.write(
            lambda tx: self.admit_in(tx, by, home_id, hub_id, code), once=by.once, returns=Admission
        )

    def admit_in(self, tx: Tx, by: Caller, home_id: str, hub_id: str, code: str) -> Admission:
        """`admit` inside `tx`."""
        demand(by.actor, Action.HOME_KEYS, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        hub = queries.shown(tx, home_id, "hub", hub_id)
        if hub is None:
            raise NotFound
        keys = self._demand_keys_in(tx, by, home_id)
        by_code = crypto.code_key(plain(code), home_id)
        public = _introduced(hub, home_id, hub_id, by_code)
        to = Recipient(HUB + hub_id, public)
        self.keys.act_in(tx, home_id, _given(tx, home_id, keys, to, by_code))
        name = str(hub.get("name", ""))
        tx.record(by.actor, _change("hub.admitted", home_id, {"hub_id": hub_id, "name": name}))
        return Admission(hub_id, name)

    async def recovery_code(self, by: Caller, home_id: str) -> RecoveryCode:
        """A code that lets a hub in when no other is there to; at a hub that is in. It ends the one before.

        Raises NotFound, Refused, AtTheHub, HomeNotShared, HubNotIn.
        """
        return await self._store.write(
            lambda tx: self.recovery_code_in(tx, by, home_id), once=by.once, returns=RecoveryCode
        )

    def recovery_code_in(self, tx: Tx, by: Caller, home_id: str) -> RecoveryCode:
        """`recovery_code` inside `tx`."""
        keys, hub_id = self._demand_keys_in(tx, by, home_id), read_hub(tx).hub_id or ""
        key = self.keys.demand_current_in(tx, home_id)
        fields = queries.shown(tx, home_id, "home_key", key.id) or {}
        if TO + RECOVERY in fields:
            # Whoever has the former code opens nothing that is sealed from now on.
            key = self.keys.next_in(tx, home_id, hub_id, without=[RECOVERY])
            keys = {key.id: key}
        code = new_code(RECOVERY_LETTERS)
        by_code = crypto.code_key(plain(code), home_id)
        public = crypto.recovery_private(by_code, home_id).public_key().public_bytes_raw()
        owner = queries.owner(tx, home_id) or ""
        self.keys.act_in(tx, home_id, _given(tx, home_id, keys, Recipient(RECOVERY, public, owner), by_code))
        tx.record(by.actor, _change("home.recovery_code_made", home_id, {}))
        self.keys.tend_in(tx, home_id)
        return RecoveryCode(code)

    async def recover(self, by: Caller, home_id: str, code: str) -> HomeKeysView:
        """Let this hub in by the home's recovery code.

        Raises NotFound, Refused, AtTheHub, HomeNotShared, RecoveryCodeWrong.
        """
        return await self._store.write(
            lambda tx: self.recover_in(tx, by, home_id, code), once=by.once, returns=HomeKeysView
        )

    def recover_in(self, tx: Tx, by: Caller, home_id: str, code: str) -> HomeKeysView:
        """`recover` inside `tx`."""
        self._demand_hub_in(tx, by, home_id)
        ring, hub_id = self.keys.ring, read_hub(tx).hub_id or ""
        had = ring.keys_in(tx, home_id)
        fresh = ring.recover_in(tx, home_id, code)
        if not fresh and not self.keys.is_in(tx, home_id):
            raise RecoveryCodeWrong
        if fresh:
            self.keys.act_in(tx, home_id, _given(tx, home_id, fresh, self.keys.own_in(tx, hub_id), None))
            tx.record(by.actor, _change("hub.recovered", home_id, {"hub_id": hub_id}))
            self.keys.settle_in(tx, home_id, hub_id, fresh, had)
        return self._view_in(tx, home_id)

    def _demand_hub_in(self, tx: Tx, by: Caller, home_id: str) -> None:
        demand(by.actor, Action.HOME_KEYS, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        if self.is_cloud:
            raise AtTheHub
        shared = sync_queries.shared(tx, home_id)
        if shared is None or shared.cloud_id is None:
            raise HomeNotShared

    def _demand_keys_in(self, tx: Tx, by: Caller, home_id: str) -> Mapping[str, HomeKey]:
        self._demand_hub_in(tx, by, home_id)
        keys = self.keys.ring.keys_in(tx, home_id)
        if not keys:
            raise HubNotIn
        return keys

    # what a phone may open

    async def sealed_for(self, actor: Actor, home_id: str, reader_id: str) -> SealedSecrets:
        """A home's secrets as they are sealed, with its keys for one phone of its owner. Raises NotFound, Refused."""
        demand(actor, Action.HOME_KEYS, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda reader: _sealed_in(reader, home_id, reader_id))


def _introduced(hub: Mapping[str, Any], home_id: str, hub_id: str, by_code: bytes) -> bytes:
    """The key of a hub that says, by its code, that it is its own; raises AdmissionCodeWrong."""
    try:
        public = bytes.fromhex(hub.get("seal_key", ""))
    except ValueError:
        raise AdmissionCodeWrong from None
    told = crypto.introduction(by_code, home_id, hub_id, public)
    if not can_be_sealed_for(public) or not crypto.same(told.hex().encode(), str(hub.get("proof", "")).encode()):
        raise AdmissionCodeWrong
    return public


def _given(
    reader: Reader, home_id: str, keys: Mapping[str, HomeKey], to: Recipient, by_code: bytes | None
) -> Iterator[Part]:
    """Those of `keys` that the log has, for somebody more."""
    for key in sorted(keys.values(), key=lambda it: it.place):
        if queries.shown(reader, home_id, "home_key", key.id) is not None:
            text = wrapped_for(key, home_id, to, by_code)
            yield Part("home_key", key.id, "put", {TO + to.name: text})


def _hubs(reader: Reader, home_id: str, held: set[str]) -> Iterator[HubKeyView]:
    for hub_id, fields in queries.each(reader, home_id, "hub"):
        state = "in" if HUB + hub_id in held else "waiting"
        yield HubKeyView(hub_id, str(fields.get("name", "")), state)  # type: ignore[arg-type]
    for hub_id in queries.removed(reader, home_id, "hub"):
        if queries.shown(reader, home_id, "hub", hub_id) is None:
            yield HubKeyView(hub_id, "", "removed")


def _sealed_in(reader: Reader, home_id: str, reader_id: str) -> SealedSecrets:
    keys = []
    for key_id, fields in queries.each(reader, home_id, "home_key"):
        number, wrapped = numbered(fields), wrapped_of(fields.get(f"{TO}{PHONE}{reader_id}"))
        if number is not None and wrapped is not None:
            keys.append(WrappedKey(key_id, number, wrapped.sealed))
    found = queries.each(reader, home_id, "secret")
    read = ((place, sealed_of(fields.get("sealed"))) for place, fields in found)
    sealed = [SealedSecret(place, it.key, it.octets) for place, it in read if it is not None]
    return SealedSecrets(home_id, keys, sealed)


def _change(event: str, home_id: str, data: Mapping[str, Any]) -> Change:
    return Change(event, "home", home_id, home_id, Action.HOME_KEYS, dict(data))
