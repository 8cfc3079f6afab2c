"""The SQL of factory resets."""

from collections.abc import Iterator

from app.devices.credential_model import Credential, Which
from app.devices.credential_queries import Row as CredentialRow
from app.devices.credential_queries import with_secrets
from app.devices.reset_model import Departing, Record, Reset, ResetState
from app.store.housekeeping import BATCH
from app.store.retention import KEEP
from app.store.tx import Reader, Row, Tx
from app.store.vault import Vault

_COLUMNS = "hardware_id,id,device_id,home_id,account_id,record,state,asked_at,expires_at,delivered_at,ended_at"
_RESET = f"SELECT {_COLUMNS} FROM resets"  # noqa: S608 - our own names
_CREDENTIAL = "kind,fingerprint,second_fingerprint,token_hash"
_PUT = f"INSERT OR REPLACE INTO resets({_COLUMNS},{_CREDENTIAL}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_MOVE = "UPDATE resets SET record=?, state=?, delivered_at=?, ended_at=? WHERE hardware_id=?"
_NO_CREDENTIAL = "UPDATE resets SET kind=NULL, fingerprint=NULL, second_fingerprint=NULL, token_hash=NULL"
_OLDEST_ENDED = """
DELETE FROM resets WHERE hardware_id IN (
  SELECT hardware_id FROM resets WHERE home_id=? AND ended_at IS NOT NULL ORDER BY asked_at LIMIT
    max(0, (SELECT count(*) FROM resets WHERE home_id=?) - ?))
"""


def secret_row(hardware_id: str, which: str = "") -> str:
    """Where the vault has a secret the device had until its reset; without `which` the beginning of both."""
    return f"reset-secrets/{hardware_id}/{which}"


def put(tx: Tx, vault: Vault, reset: Reset, old: Credential | None) -> None:
    """Store a reset in the place of one of the same hardware; `old` is what the device may hear of it by."""
    kind, prints, token = (None, (), None) if old is None else (str(old.kind), old.fingerprints, old.token_hash)
    first, second = (*prints, None, None)[:2]
    row = (reset.hardware_id, reset.id, reset.device_id, reset.home_id, reset.account_id, str(reset.record))
    times = (reset.asked_at, reset.expires_at, reset.delivered_at, reset.ended_at)
    tx.run(_PUT, (*row, str(reset.state), *times, kind, first, second, token))
    vault.forget(tx, secret_row(reset.hardware_id))
    for which, secret in zip(Which, () if old is None else old.secrets, strict=False):
        vault.keep(tx, secret_row(reset.hardware_id, which), secret)


def move(tx: Tx, vault: Vault, reset: Reset) -> None:
    """Store what has become of it; with its end goes what the device proved itself with."""
    times = (reset.delivered_at, reset.ended_at)
    tx.run(_MOVE, (str(reset.record), str(reset.state), *times, reset.hardware_id))
    if reset.state.ended:
        tx.run(f"{_NO_CREDENTIAL} WHERE hardware_id=?", (reset.hardware_id,))
        vault.forget(tx, secret_row(reset.hardware_id))


def reset(reader: Reader, hardware_id: str) -> Reset | None:
    """The newest of that hardware."""
    row = reader.one(f"{_RESET} WHERE hardware_id=?", (hardware_id,))
    return None if row is None else _reset(row)


def reset_of_device(reader: Reader, device_id: str) -> Reset | None:
    """The newest of a device."""
    row = reader.one(f"{_RESET} WHERE device_id=? ORDER BY asked_at DESC", (device_id,))
    return None if row is None else _reset(row)


def resets_in(reader: Reader, home_id: str, before: str | None, limit: int) -> list[Reset]:
    """A home's, newest first, those before the id `before`."""
    sql = f"{_RESET} WHERE home_id=? AND (? IS NULL OR id<?) ORDER BY id DESC LIMIT ?"
    return [_reset(row) for row in reader.all(sql, (home_id, before, before, limit))]


def overdue(reader: Reader, now: int) -> list[Reset]:
    """Some of the open ones that have expired."""
    sql = f"{_RESET} WHERE ended_at IS NULL AND expires_at<=? LIMIT {BATCH}"
    return [_reset(row) for row in reader.all(sql, (now,))]


def forget_ended(tx: Tx, before: int) -> int:
    """Remove some that ended before a time; returns how many."""
    old = f"SELECT hardware_id FROM resets WHERE ended_at<? LIMIT {BATCH}"  # noqa: S608 - our own names
    return tx.run(f"DELETE FROM resets WHERE hardware_id IN ({old})", (before,))  # noqa: S608 - our own names


def make_room(tx: Tx, home_id: str) -> None:
    """The oldest ended ones of a home that has as many as may be give way."""
    tx.run(_OLDEST_ENDED, (home_id, home_id, (KEEP["resets"].most or 1) - 1))


def all_departing(reader: Reader, vault: Vault) -> Iterator[tuple[str, Departing]]:
    """Every open one, by hardware id."""
    sql = f"SELECT {_COLUMNS},{_CREDENTIAL} FROM resets WHERE ended_at IS NULL"  # noqa: S608 - our own names
    for row in reader.all(sql):
        found = _reset(row[:11])
        yield found.hardware_id, Departing(found, _credential(reader, vault, found.hardware_id, row[11:]))


def _credential(reader: Reader, vault: Vault, hardware_id: str, row: Row) -> Credential | None:
    kind, first, second, token_hash = row
    if kind is None:
        return None
    secrets = [vault.fetch(reader, secret_row(hardware_id, which)) for which in Which]
    return with_secrets(CredentialRow(kind, first, second, token_hash=token_hash), secrets)


def _reset(row: Row) -> Reset:
    hardware_id, reset_id, device_id, home_id, account_id, record, state, *times = row
    return Reset(hardware_id, reset_id, device_id, home_id, account_id, Record(record), ResetState(state), *times)
