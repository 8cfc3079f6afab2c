"""Devices with a secret or a certificate of their own: registered by hand, proved from memory, given other secrets."""

import secrets as randomness
from collections.abc import Callable
from typing import Final

from app.accounts.codes import hash_token, new_token
from app.caller import Caller
from app.devices import credential_queries as queries
from app.devices import queries as device_queries
from app.devices.changes import change
from app.devices.credential_model import (
    HEARTBEAT,
    KEYED,
    SECRET_LENGTH,
    TOKEN_PREFIX,
    Credential,
    DeviceIdTaken,
    Kind,
    NewRegistration,
    NewSecret,
    NoCredential,
    Registered,
    SecretMade,
    Which,
    of_bond,
)
from app.devices.memory import Memory
from app.devices.model import REGISTERED, Device, DeviceUnbound, HeldElsewhere, NewDevice, entry_of
from app.devices.registry import Registry
from app.errors import Invalid
from app.policy import SYSTEM, Action
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader, Tx

TRUST: Final = REGISTERED


class DeviceCredentials:
    """Told in the transaction: `on_registered`. Told on the event loop once it is on disk: `on_changed`."""

    def __init__(self, store: Store, memory: Memory, registry: Registry) -> None:
        self._store = store
        self._memory = memory
        self._registry = registry
        self._known: Resident[str, Credential] = Resident(
            lambda reader: queries.all_credentials(reader, store.vault),
        )
        self._by_token: dict[bytes, str] = {}
        self._known.watch(self._index)
        self.on_registered: list[Callable[[Tx, Caller, Device, NewRegistration], None]] = []
        self.on_changed: list[Callable[[str], None]] = []
        store.keep_resident(self._known)
        registry.on_leaving.append(self._leaving_in)

    def of(self, device: Device) -> Credential | None:
        """What proves it: its own, or for a paired device one that follows from its binding; from memory.

        Nothing proves to this hub what another holds.
        """
        if not self._memory.holds(device):
            return None
        if (own := self._known.get(device.id)) is not None:
            return own
        bond = self._memory.bonds.get(device.hardware_id)
        return None if bond is None or bond.removed else of_bond(bond)

    def of_in(self, reader: Reader, device: Device) -> Credential | None:
        """Its own, from disk; None for one that has that of its binding alone."""
        return queries.credential(reader, self._store.vault, device.id)

    def by_token(self, token_hash: bytes) -> str | None:
        """The id of the device that calls home with this token (its SHA-256); from memory."""
        live = self._memory.get(self._by_token.get(token_hash, ""))
        return live.device.id if live is not None and self._memory.holds(live.device) else None

    def _index(self, device_id: str, old: Credential | None, new: Credential | None) -> None:
        if old is not None and old.token_hash is not None:
            self._by_token.pop(old.token_hash, None)
        if new is not None and new.token_hash is not None:
            self._by_token[new.token_hash] = device_id

    # registering

    async def register(self, by: Caller, home_id: str, new: NewRegistration) -> Registered:
        """A device that is not there yet.

        Raises NotFound, Refused, Invalid, DeviceIdTaken, ProductUnknown, RoomUnknown, GatewayUnfit, TooMany.
        """
        return await self._store.write(
            lambda tx: self.register_in(tx, by, home_id, new), once=by.once, returns=Registered
        )

    def register_in(self, tx: Tx, by: Caller, home_id: str, new: NewRegistration) -> Registered:
        """`register` inside `tx`."""
        wire_id = new.device_id or f"{new.product_id}_{new.node_id}"
        entering = NewDevice(
            home_id=home_id,
            hardware_id=wire_id,
            product_id=new.product_id,
            name=new.name or "",
            link=new.link,
            trust=TRUST,
            gateway_id=new.gateway_id,
            room_id=new.room_id,
        )
        self._registry.demand_pairing_in(tx, by, home_id)
        _check(new, wire_id)
        known = device_queries.device_of_hardware(tx, wire_id)
        if known is not None and (known.unbound_at is None or known.home_id != home_id):
            raise DeviceIdTaken
        device = self._registry.bind_in(tx, by, entering)
        secret = self._first_in(tx, device, new)
        for told in self.on_registered:
            told(tx, by, device, new)
        return Registered(entry_of(device), wire_id, secret)

    def _first_in(self, tx: Tx, device: Device, new: NewRegistration) -> str | None:
        if device.gateway_id is not None:
            return None
        if new.link == HEARTBEAT:
            return self._token_in(tx, device.id)
        print_ = None if new.fingerprint is None else new.fingerprint.lower()
        queries.put(tx, device.id, queries.Row(new.auth, print_))
        secret = new.secret or _made() if new.auth is Kind.SECRET else None
        if secret is not None:
            self._store.vault.keep(tx, queries.secret_row(device.id, Which.PRIMARY), secret.encode())
        self._show_in(tx, device.id)
        return secret

    def _token_in(self, tx: Tx, device_id: str) -> str:
        """A new token, in the place of what the device had."""
        token = new_token(TOKEN_PREFIX)
        queries.put(tx, device_id, queries.Row(Kind.TOKEN, token_hash=hash_token(token)))
        self._store.vault.forget(tx, queries.secret_row(device_id))
        self._show_in(tx, device_id)
        return token

    # changing

    async def renew(self, by: Caller, device_id: str, new: NewSecret) -> SecretMade:
        """Another secret or certificate. Raises NotFound, Refused, Invalid, NoCredential, HeldElsewhere."""
        return await self._store.write(
            lambda tx: self.renew_in(tx, by, device_id, new), once=by.once, returns=SecretMade
        )

    def renew_in(self, tx: Tx, by: Caller, device_id: str, new: NewSecret) -> SecretMade:
        """`renew` inside `tx`. A paired device has from now on this secret, not the one of its binding."""
        device = self._registry.changing_in(tx, by, Action.DEVICE_UPDATE, device_id)
        if not self._memory.holds(device):
            raise HeldElsewhere
        if device.gateway_id is not None:
            raise NoCredential
        if device.unbound_at is not None:
            raise DeviceUnbound
        if new.secret is not None and new.fingerprint is not None:
            raise Invalid("secret, fingerprint: one of them")
        row = queries.row(tx, device_id) or queries.Row(Kind.SECRET)
        secret = self._renewed_in(tx, device_id, new, row)
        data = {"name": device.name, "which": new.which}
        tx.record(by.actor, change("device.secret_changed", device, data, Action.DEVICE_UPDATE))
        if new.disconnect:
            tx.after(lambda: self._tell(device_id))
        return SecretMade(device.hardware_id, secret)

    def _renewed_in(self, tx: Tx, device_id: str, new: NewSecret, row: queries.Row) -> str | None:
        if row.kind == Kind.TOKEN:
            if new != NewSecret(disconnect=new.disconnect):
                raise Invalid("secret, fingerprint, which: a device that calls home has one token, which is made")
            return self._token_in(tx, device_id)
        is_certificate = new.fingerprint is not None or (row.kind == Kind.CERTIFICATE and new.secret is None)
        secret = None if is_certificate else new.secret or _made()
        queries.put(tx, device_id, _changed(row, new, is_certificate=is_certificate))
        if secret is None:
            self._store.vault.forget(tx, queries.secret_row(device_id))
        else:
            self._store.vault.keep(tx, queries.secret_row(device_id, new.which), secret.encode())
        self._show_in(tx, device_id)
        return secret

    async def adopt(self, device_id: str, fingerprint: str) -> bool:
        """The first certificate a device shows becomes its own; False when it has one already."""
        return await self._store.write(lambda tx: self._adopt_in(tx, device_id, fingerprint))

    def _adopt_in(self, tx: Tx, device_id: str, fingerprint: str) -> bool:
        device = device_queries.device(tx, device_id)
        if device is None or not queries.adopt(tx, device_id, fingerprint):
            return False
        self._show_in(tx, device_id)
        data = {"fingerprint": fingerprint}
        tx.record(SYSTEM, change("device.certificate_adopted", device, data, Action.DEVICE_UPDATE))
        return True

    def _show_in(self, tx: Tx, device_id: str) -> None:
        found = queries.credential(tx, self._store.vault, device_id)
        if found is not None:
            self._known.put(tx, device_id, found)

    def told_in(self, tx: Tx, device_id: str) -> None:
        """A secret of a device that was registered at another hub is in the vault now, or there no more."""
        known = queries.row(tx, device_id)
        if known is None and device_queries.device(tx, device_id) is not None:
            queries.put(tx, device_id, queries.Row(Kind.SECRET))
        self._show_in(tx, device_id)

    def unbinding_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device was reset: nothing it had proves it any more."""
        if queries.row(tx, device.id) is not None:
            queries.put(tx, device.id, queries.Row(queries.REVOKED))
        self._leaving_in(tx, by, device)

    def _leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        self._store.vault.forget(tx, queries.secret_row(device.id))
        self._known.drop(tx, device.id)

    def _tell(self, device_id: str) -> None:
        for told in self.on_changed:
            told(device_id)


def _check(new: NewRegistration, wire_id: str) -> None:
    if wire_id.startswith(KEYED):
        raise Invalid("device_id: ids that begin so are of devices with a key, which are paired")
    if len(wire_id) > 128:
        raise Invalid("device_id: longer than 128 characters")
    if new.gateway_id is not None and (new.secret is not None or new.fingerprint is not None):
        raise Invalid("secret: a device behind a gateway has none")
    if new.secret is not None and new.auth is not Kind.SECRET:
        raise Invalid("secret: this device has a certificate")
    if new.link == HEARTBEAT and (new.gateway_id, new.secret, new.auth) != (None, None, Kind.SECRET):
        raise Invalid("link: what calls home has a token of its own, which is made")
    if new.auth is Kind.TOKEN:
        raise Invalid("auth: a token comes with link heartbeat")
    if new.fingerprint is not None and new.auth is not Kind.CERTIFICATE:
        raise Invalid("fingerprint: this device has a secret")


def _changed(row: queries.Row, new: NewSecret, *, is_certificate: bool) -> queries.Row:
    """The row after `new`; a certificate that is left out is adopted from the device's next connection."""
    if not is_certificate:
        return queries.Row(Kind.SECRET)
    print_ = None if new.fingerprint is None else new.fingerprint.lower()
    if print_ is None or row.kind != Kind.CERTIFICATE:
        return queries.Row(Kind.CERTIFICATE, print_)
    if new.which is Which.PRIMARY:
        return queries.Row(Kind.CERTIFICATE, print_, row.second_fingerprint)
    return queries.Row(Kind.CERTIFICATE, row.fingerprint, print_)


def _made() -> str:
    return randomness.token_hex(SECRET_LENGTH // 2)
