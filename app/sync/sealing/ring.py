"""The home keys this hub has opened, in its vault; and which of those in the log it believes.

The log is the cloud's to order, so nothing in it is believed for being there. A home key is, when who holds the one
before says that it follows, or who was told this hub's code, or made the recovery code, says that it is the home's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from app.accounts.codes import plain
from app.store.tx import Reader, Tx
from app.store.vault import Vault
from app.sync.sealing import crypto, queries
from app.sync.sealing.model import HUB, RECOVERY, TO, HomeKey, Wrapped, numbered, place_of, wrapped_of

OWN_ROW: Final = "home_keys/own"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HomeKey).decode

Keys = Mapping[str, HomeKey]


class Ring:
    """By home and id."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    # this hub's own

    def private_in(self, tx: Tx) -> X25519PrivateKey:
        """For which home keys are sealed to this hub; made at its first use."""
        known = self._vault.fetch(tx, OWN_ROW)
        if known is not None:
            return X25519PrivateKey.from_private_bytes(known)
        made = X25519PrivateKey.generate()
        self._vault.keep(tx, OWN_ROW, made.private_bytes_raw())
        return made

    def code_in(self, reader: Reader, home_id: str) -> str | None:
        """What the owner reads off this hub, to let it in elsewhere."""
        code = self._vault.fetch(reader, _code_row(home_id))
        return None if code is None else code.decode()

    def keep_code_in(self, tx: Tx, home_id: str, code: str | None) -> None:
        """From now on it is this one; None: there is none."""
        if code is None:
            self._vault.drop(tx, _code_row(home_id))
        else:
            self._vault.keep(tx, _code_row(home_id), code.encode())

    # home keys

    def keys_in(self, reader: Reader, home_id: str) -> dict[str, HomeKey]:
        """Those opened, by id."""
        rows = queries.rows_below(reader, _beginning(home_id))
        keys = [_decode(self._vault.fetch(reader, row) or b"") for row in rows]
        return {key.id: key for key in keys}

    def keep_in(self, tx: Tx, home_id: str, key: HomeKey) -> None:
        """It is the home's."""
        self._vault.keep(tx, _beginning(home_id) + key.id, _encode(key))

    def forget_in(self, tx: Tx, home_id: str) -> None:
        """This hub has that home no more."""
        self._vault.forget(tx, _beginning(home_id))
        self.keep_code_in(tx, home_id, None)

    def accept_in(self, tx: Tx, home_id: str, hub_id: str) -> dict[str, HomeKey]:
        """Open what the log has for this hub, as far as it is to be believed; returns those that are new."""
        code = self.code_in(tx, home_id)
        by_code = None if code is None else crypto.code_key(plain(code), home_id)
        return self._open_in(tx, home_id, lambda: _Opening(HUB + hub_id, self.private_in(tx), by_code))

    def recover_in(self, tx: Tx, home_id: str, code: str) -> dict[str, HomeKey]:
        """Open what the log has for a recovery code; returns those that are new: none for a wrong one."""
        by_code = crypto.code_key(plain(code), home_id)
        private = crypto.recovery_private(by_code, home_id)
        return self._open_in(tx, home_id, lambda: _Opening(RECOVERY, private, by_code))

    def _open_in(self, tx: Tx, home_id: str, opening: Callable[[], "_Opening"]) -> dict[str, HomeKey]:
        known, fresh = self.keys_in(tx, home_id), dict[str, HomeKey]()
        waiting = [it for it in queries.each(tx, home_id, "home_key") if it[0] not in known]
        if not waiting:
            return fresh
        by = opening()
        # The one before first: it says whether the next is to be believed.
        for key_id, fields in sorted(waiting, key=lambda it: place_of(*it)):
            key = _opened(home_id, key_id, fields, by, known | fresh)
            if key is not None:
                fresh[key_id] = key
                self.keep_in(tx, home_id, key)
        return fresh


class _Opening(Struct, frozen=True):
    """As which recipient, and by which code (its key)."""

    name: str
    private: X25519PrivateKey
    by_code: bytes | None


def _opened(home_id: str, key_id: str, fields: Mapping[str, Any], by: _Opening, known: Keys) -> HomeKey | None:
    """None for what is for somebody else, or not to be believed."""
    number, wrapped = numbered(fields), wrapped_of(fields.get(TO + by.name))
    if number is None or wrapped is None:
        return None
    try:
        octets = crypto.unwrap(wrapped.sealed, home_id, key_id, by.name, by.private)
    except crypto.SealBroken:
        return None
    key = HomeKey(number, key_id, octets)
    believed = _follows(key, home_id, fields, known) or _admitted(key, home_id, wrapped, by.by_code)
    return key if believed else None


def current(keys: Keys) -> HomeKey | None:
    """What is sealed with: the highest."""
    return max(keys.values(), key=lambda key: key.place, default=None)


def next_fields(former: HomeKey | None, home_id: str, key: HomeKey, hub_id: str) -> dict[str, Any]:
    """A home key's entity, but for whom it is sealed for."""
    fields: dict[str, Any] = {"number": key.number, "made_by": hub_id}
    if former is not None:
        proof = crypto.succession(former.octets, home_id, key.id, key.number, key.octets)
        fields |= {"after": former.id, "proof": proof.hex()}
    return fields


def _follows(key: HomeKey, home_id: str, fields: Mapping[str, Any], known: Keys) -> bool:
    former, proof = known.get(str(fields.get("after"))), fields.get("proof")
    if former is None or not isinstance(proof, str) or key.number != former.number + 1:
        return False
    told = crypto.succession(former.octets, home_id, key.id, key.number, key.octets)
    return crypto.same(told.hex().encode(), proof.encode())


def _admitted(key: HomeKey, home_id: str, wrapped: Wrapped, by_code: bytes | None) -> bool:
    if by_code is None:
        return False
    return crypto.same(wrapped.proof, crypto.admission(by_code, home_id, key.id, key.number, key.octets))


def _beginning(home_id: str) -> str:
    return f"home_keys/{home_id}/"


def _code_row(home_id: str) -> str:
    return f"home_codes/{home_id}"
