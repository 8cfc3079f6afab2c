"""What is kept of a sensor that only advertises: the key that deciphers it, and the last counter taken with that."""

from collections.abc import Iterator

from msgspec import Struct

from app.caller import Caller
from app.devices.model import Device
from app.devices.registry import Registry
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.store.vault import Vault


class SensorSecret(Struct, frozen=True):
    """`key` None: it does not encipher. `counter` -1: none was taken."""

    key: bytes | None
    counter: int

    def __repr__(self) -> str:
        return f"SensorSecret(counter={self.counter})"


class Sensors:
    """By the ids of their devices, from memory."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._known: Resident[str, SensorSecret] = Resident(lambda reader: _all(reader, store.vault))
        self.get = self._known.get
        store.keep_resident(self._known)
        registry.on_leaving.append(self._leaving_in)

    def keep_in(self, tx: Tx, device_id: str, secret: SensorSecret) -> None:
        """Of a sensor that joins, or joins anew with another key."""
        row = _row(device_id)
        self._store.vault.forget(tx, row)
        if secret.key is not None:
            self._store.vault.keep(tx, row, secret.key)
        tx.run("INSERT OR REPLACE INTO sensors(device_id, counter) VALUES(?,?)", (device_id, secret.counter))
        self._known.put(tx, device_id, secret)

    def told_in(self, tx: Tx, device_id: str) -> None:
        """The key of a sensor that joined at another hub is in the vault now, or there no more.

        What that hub has taken is not known here: the first advertisement taken here says where it stands.
        """
        key = self._store.vault.fetch(tx, _row(device_id))
        if key is None:
            self._known.drop(tx, device_id)
        elif tx.one("SELECT 1 FROM devices WHERE id=?", (device_id,)) is not None:
            tx.run("INSERT OR IGNORE INTO sensors(device_id, counter) VALUES(?,-1)", (device_id,))
            row = tx.one("SELECT counter FROM sensors WHERE device_id=?", (device_id,))
            self._known.put(tx, device_id, SensorSecret(key, -1 if row is None else row[0]))

    def took_in(self, tx: Tx, device_id: str, counter: int) -> None:
        """An advertisement with this counter is taken in `tx`: none that is older will be."""
        known = self._known.get(device_id)
        if known is not None and counter > known.counter:
            tx.run("UPDATE sensors SET counter=? WHERE device_id=? AND counter<?", (counter, device_id, counter))
            self._known.put(tx, device_id, SensorSecret(known.key, counter))

    def _leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        if device.id in self._known:
            self._store.vault.forget(tx, _row(device.id))
            self._known.drop(tx, device.id)


def _row(device_id: str) -> str:
    """Where the vault has a sensor's key."""
    return f"sensors/{device_id}"


def _all(reader: Reader, vault: Vault) -> Iterator[tuple[str, SensorSecret]]:
    for device_id, counter in reader.db.execute("SELECT device_id, counter FROM sensors"):
        yield device_id, SensorSecret(vault.fetch(reader, _row(device_id)), counter)
