"""The SQL of devices' credentials."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from app.devices.credential_model import Credential, Kind, Which
from app.store.tx import Reader, Tx
from app.store.vault import Vault

_PUT = """
INSERT INTO device_credentials(device_id,kind,fingerprint,second_fingerprint,token_hash,version) VALUES(?,?,?,?,?,1)
  ON CONFLICT DO UPDATE SET kind=excluded.kind, fingerprint=excluded.fingerprint,
    second_fingerprint=excluded.second_fingerprint, token_hash=excluded.token_hash, version=version+1
"""
_ROW = "SELECT kind,fingerprint,second_fingerprint,version,token_hash FROM device_credentials"
# Of a device that was reset: its row stays, so that no version of it ever comes again.
REVOKED = "revoked"


class Row(Struct, frozen=True, gc=False):
    """A credential without its secrets."""

    kind: str
    fingerprint: str | None = None
    second_fingerprint: str | None = None
    version: int = 0
    token_hash: bytes | None = None


def secret_row(device_id: str, which: str = "") -> str:
    """Where the vault has a secret of a device; without `which` the beginning of both."""
    return f"device-secrets/{device_id}/{which}"


def row(reader: Reader, device_id: str) -> Row | None:
    """A device's."""
    found = reader.one(f"{_ROW} WHERE device_id=?", (device_id,))
    return None if found is None else Row(*found)


def put(tx: Tx, device_id: str, row: Row) -> None:
    """Make it the device's; its version counts on."""
    tx.run(_PUT, (device_id, row.kind, row.fingerprint, row.second_fingerprint, row.token_hash))


def credential(reader: Reader, vault: Vault, device_id: str) -> Credential | None:
    """A device's, with its secrets."""
    found = row(reader, device_id)
    if found is None or found.kind == REVOKED:
        return None
    return with_secrets(found, [vault.fetch(reader, secret_row(device_id, which)) for which in Which])


def with_secrets(row: Row, secrets: Iterable[bytes | None]) -> Credential:
    """The credential that a row is with what the vault has for it."""
    return Credential(
        Kind(row.kind),
        tuple(secret for secret in secrets if secret is not None),
        tuple(print_ for print_ in (row.fingerprint, row.second_fingerprint) if print_ is not None),
        row.version,
        row.token_hash,
    )


def all_credentials(reader: Reader, vault: Vault) -> Iterator[tuple[str, Credential]]:
    """Every one, by device id."""
    for (device_id,) in reader.all("SELECT device_id FROM device_credentials"):
        if (found := credential(reader, vault, device_id)) is not None:
            yield device_id, found


def adopt(tx: Tx, device_id: str, fingerprint: str) -> bool:
    """Make it the device's certificate unless it has one; False when it has."""
    sql = (
        "UPDATE device_credentials SET fingerprint=? WHERE device_id=? AND kind='certificate'"
        " AND fingerprint IS NULL AND second_fingerprint IS NULL"
    )
    return tx.run(sql, (fingerprint, device_id)) > 0
