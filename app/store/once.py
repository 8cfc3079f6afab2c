"""One effect and one answer for each Idempotency-Key, kept with the effect in the same transaction."""

import hmac

import msgspec
from msgspec import Struct

from app.errors import KeyReused
from app.store.tx import Reader, Tx
from app.store.vault import Vault

# A client that has not retried within a day has given up.
KEEP_MS = 24 * 3600 * 1000


class Once(Struct, frozen=True):
    """A request its sender may repeat: whose (`scope`), under which key, and a fingerprint of what it asked.

    What it asked may hold a password or a PIN, which a plain hash is no secret for: on disk the fingerprint is keyed.
    """

    scope: str
    key: str
    fingerprint: bytes


def recall(reader: Reader, vault: Vault, once: Once, now: int) -> bytes | None:
    """The encoded result this request had, or None when it has not been done; raises KeyReused."""
    row = reader.one("SELECT fingerprint, result, at FROM idempotency WHERE scope=? AND key=?", (once.scope, once.key))
    if row is None or row[2] < now - KEEP_MS:
        return None
    if not hmac.compare_digest(row[0], vault.mac(once.fingerprint)):
        raise KeyReused
    return vault.unseal(row[1], _row_name(once))


def remember(tx: Tx, vault: Vault, once: Once, result: object) -> None:
    """Keep `result` for repeats. Sealed: an answer may hold a code or a token."""
    sealed = vault.seal(msgspec.json.encode(result), _row_name(once))
    tx.run(
        "INSERT OR REPLACE INTO idempotency(scope,key,fingerprint,result,at) VALUES(?,?,?,?,?)",
        (once.scope, once.key, vault.mac(once.fingerprint), sealed, tx.now),
    )


def _row_name(once: Once) -> str:
    return f"idempotency/{once.scope}/{once.key}"
