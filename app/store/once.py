"""One effect and one answer for each Idempotency-Key, kept with the effect in the same transaction."""

import msgspec
from msgspec import Struct

from app.errors import KeyReused
from app.store.tx import Tx
from app.store.vault import Vault

# A client that has not retried within a day has given up.
KEEP_MS = 24 * 3600 * 1000


class Once(Struct, frozen=True):
    """A request its sender may repeat: whose (`scope`), under which key, and a fingerprint of what it asked."""

    scope: str
    key: str
    fingerprint: bytes


def recall(tx: Tx, vault: Vault, once: Once) -> bytes | None:
    """The encoded result this request had, or None when it has not been done; raises KeyReused."""
    row = tx.one("SELECT fingerprint, result, at FROM idempotency WHERE scope=? AND key=?", (once.scope, once.key))
    if row is None or row[2] < tx.now - KEEP_MS:
        return None
    if row[0] != once.fingerprint:
        raise KeyReused
    return vault.unseal(row[1], _row_name(once))


def remember(tx: Tx, vault: Vault, once: Once, result: object) -> None:
    """Keep `result` for repeats. Sealed: an answer may hold a code or a token."""
    sealed = vault.seal(msgspec.json.encode(result), _row_name(once))
    tx.run(
        "INSERT OR REPLACE INTO idempotency(scope,key,fingerprint,result,at) VALUES(?,?,?,?,?)",
        (once.scope, once.key, once.fingerprint, sealed, tx.now),
    )


def _row_name(once: Once) -> str:
    return f"idempotency/{once.scope}/{once.key}"
