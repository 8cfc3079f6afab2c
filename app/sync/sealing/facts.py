"""Secrets as facts of their home: between the vault and what the log has of them, sealed (PROTOCOL.md 8)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog

from app.store.hub import read_hub
from app.store.tx import Reader, Tx
from app.store.vault import Vault
from app.sync import queries as sync_queries
from app.sync.kinds import Fields, Item, Watch
from app.sync.sealing import places
from app.sync.sealing.crypto import SealBroken
from app.sync.sealing.model import HomeKey, Sealed, sealed_by, sealed_of
from app.sync.sealing.ring import Keys, Ring, current

_KEPT: Final = "(SELECT row FROM secrets WHERE row={})"
_log = structlog.get_logger("doorstep.sync")

# Told inside the act: the secret at a place (what follows its beginning) is another now, or gone.
Told = Callable[[Tx, str], None]


class SecretFacts:
    """`app.sync.kinds.Kind` of `secret`, whose ids are places in the vault.

    `on_kept`, by the beginning of a place: who keeps more of such a secret than the vault does. At a cloud there is
    nothing of it but the log.
    """

    name: Final = "secret"
    watches: Final = (
        Watch("secrets", "$.row", places.home_sql("$.row")),
        # A secret goes with its device to another home, and may have been there before its device or network.
        Watch("devices", _KEPT.format("'bindings/'||$.hardware_id"), "$.home_id", ("home_id",)),
        Watch("devices", _KEPT.format("'device-secrets/'||$.id||'/primary'"), "$.home_id", ("home_id",)),
        Watch("devices", _KEPT.format("'device-secrets/'||$.id||'/secondary'"), "$.home_id", ("home_id",)),
        Watch("devices", _KEPT.format("'sensors/'||$.id"), "$.home_id", ("home_id",)),
        Watch("wifi_networks", _KEPT.format("'wifi_network/'||$.id"), "$.home_id", ("home_id",)),
    )

    def __init__(self, vault: Vault, ring: Ring, on_kept: Mapping[str, Told], *, is_cloud: bool) -> None:
        self._vault = vault
        self._ring = ring
        self._on_kept = on_kept
        self._is_cloud = is_cloud
        # Homes of which something was put since this was last asked that is not sealed as it would be now.
        self.stale: set[str] = set()

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol. What this hub cannot open (yet) stands as it is known."""
        keys = {} if self._is_cloud else self._ring.keys_in(reader, home_id)
        return self.sealed_in(reader, home_id, entity_id, known, keys)

    def sealed_in(
        self, reader: Reader, home_id: str, place: str, known: Fields | None, keys: Keys
    ) -> dict[str, Any] | None:
        """`read_in` with the home's keys at hand."""
        key, was = current(keys), None if known is None else sealed_of(known.get("sealed"))
        if key is None or (known is not None and (was is None or was.key not in keys)):
            return None if known is None else dict(known)
        secret = self._vault.fetch(reader, place) if places.is_of_homes(place) else None
        if secret is None or places.home_of(reader, place) != home_id:
            return None
        same = was is not None and was.is_of(keys[was.key], home_id, place, secret)
        if known is not None and was is not None and same and was.key == key.id:
            return dict(known)
        return {"sealed": sealed_by(key, home_id, place, secret, again=same).text()}

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol."""
        return () if self._is_cloud else places.of_home(reader, home_id)

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: whose it is, where its place says so."""
        beginning, _, rest = entity_id.partition("/")
        first = rest.partition("/")[0]
        kind = {"device-secrets": "device", "sensors": "device", "wifi_network": "wifi_network"}.get(beginning)
        return () if kind is None else ((kind, first),)

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol. What does not open yet is put once it does (`app.sync.sealing.keeping`)."""
        if self._is_cloud:
            return
        if (hub_id := read_hub(tx).hub_id) is not None and sync_queries.shared(tx, home_id) is not None:
            self._ring.accept_in(tx, home_id, hub_id)
        keys = self._ring.keys_in(tx, home_id)
        for item in items:
            if not places.is_of_homes(item.id) or not self._is_for_in(tx, home_id, item):
                continue
            if item.fields is None:
                if not self._tells_farewell_in(tx, home_id, item.id):
                    self._forget_in(tx, item.id)
            elif (sealed := sealed_of(item.fields.get("sealed"))) is not None and sealed.key in keys:
                if keys[sealed.key] is not current(keys):
                    self.stale.add(home_id)
                self._keep_in(tx, home_id, item.id, keys[sealed.key], sealed)

    def _is_for_in(self, tx: Tx, home_id: str, item: Item) -> bool:
        """Whether a home may say what stands at a place: not another's, and no key of a mesh that this hub runs."""
        owner = places.home_of(tx, item.id)
        if item.id.startswith("mesh/"):
            runs = tx.one("SELECT 1 FROM mesh_networks WHERE home_id=?", (home_id,)) is not None
            return owner == home_id and not runs
        if owner is None:
            # Its device comes later, or has gone; what is here already may be another home's.
            return item.fields is None or self._vault.fetch(tx, item.id) is None
        return owner == home_id

    def _tells_farewell_in(self, tx: Tx, home_id: str, place: str) -> bool:
        """Whether a device is yet to be told by this hub, which it knows by that secret, that it was let go."""
        beginning = "bindings/"
        if not place.startswith(beginning) or sync_queries.shared(tx, home_id) is None:
            return False
        held = "SELECT holder IS NULL OR holder=(SELECT hub_id FROM hub) FROM devices WHERE hardware_id=?"
        row = tx.one(held, (place.removeprefix(beginning),))
        return row is None or bool(row[0])

    def _keep_in(self, tx: Tx, home_id: str, place: str, key: HomeKey, sealed: Sealed) -> None:
        try:
            secret = sealed.opened(key, home_id, place)
        except SealBroken:
            _log.warning("a secret does not open with the key it names", home=home_id, place=place)
            return
        if self._vault.fetch(tx, place) != secret:
            self._vault.keep(tx, place, secret)
        self._tell_in(tx, place)

    def _forget_in(self, tx: Tx, place: str) -> None:
        if self._vault.drop(tx, place):
            self._tell_in(tx, place)

    def _tell_in(self, tx: Tx, place: str) -> None:
        for beginning, told in self._on_kept.items():
            if place.startswith(beginning):
                told(tx, place.removeprefix(beginning))


class HomeKeyFacts:
    """`app.sync.kinds.Kind` of `home_key`: in the log alone, but what was opened of them goes with its home."""

    name: Final = "home_key"
    watches: Final[tuple[Watch, ...]] = ()

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol."""
        return None if known is None else dict(known)

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol: none that the log does not have."""
        return ()

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: nothing."""
        return ()

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol. A log that merely lacks a key takes none from this hub."""
        if any(item.fields is None for item in items) and sync_queries.shared(tx, home_id) is None:
            self._ring.forget_in(tx, home_id)
