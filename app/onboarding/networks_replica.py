"""Wi-Fi networks as facts of their home (app/sync). A password is none: it travels sealed, as a secret."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from app.clock import LAST_MS
from app.onboarding import network_queries as queries
from app.onboarding.network_model import Network
from app.onboarding.networks import Networks
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch, filled, fitting
from pairing.wifi import UnfitNetworkError, network_of

_FIELDS: Final = ("ssid", "bssid", "secured", "created_at", "used_at")


class _NetworkFact(Struct, frozen=True, kw_only=True):
    ssid: Annotated[str, Meta(min_length=1, max_length=32)]
    bssid: Annotated[str, Meta(max_length=32)] = ""
    secured: bool = False
    created_at: Annotated[int, Meta(ge=0, le=LAST_MS)] = 0
    used_at: Annotated[int, Meta(ge=0, le=LAST_MS)] | None = None


class NetworkFacts:
    """`app.sync.kinds.Kind` of `wifi_network`.

    A home knows one network of a name. Where two hubs learnt it apart, the one that was used last stands here.
    """

    name: Final = "wifi_network"
    watches: Final = (Watch("wifi_networks", "$.id", "$.home_id", ("home_id", *_FIELDS)),)

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol."""
        found = queries.get(reader, home_id, entity_id)
        if found is None:
            return None
        return filled({name: getattr(found, name) for name in _FIELDS})

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol."""
        return sorted(network.id for network in queries.of_home(reader, home_id))

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: nothing."""
        return ()

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol."""
        gone = {item.id for item in items if item.fields is None}
        for item in items:
            old = queries.get(tx, home_id, item.id)
            if item.fields is None and old is not None:
                self._networks.forgotten_in(tx, item.by.actor, old)
            fact = _fact(item.fields)
            if fact is not None and queries.place_for(tx, home_id, item.id):
                self._put_in(tx, item, Network(item.id, home_id, **msgspec.structs.asdict(fact)), old, gone)

    def _put_in(self, tx: Tx, item: Item, now: Network, old: Network | None, gone: set[str]) -> None:
        other = queries.named(tx, now.home_id, now.ssid)
        if other is not None and other.id != now.id:
            if _last_used(other) > _last_used(now) and other.id not in gone:
                if old is not None:
                    # It has another name than it had.
                    self._networks.forgotten_in(tx, item.by.actor, old)
                return
            self._networks.forgotten_in(tx, item.by.actor, other)
        if now != old:
            self._networks.known_so_in(tx, item.by.actor, now, old)


def _last_used(network: Network) -> tuple[int, str]:
    return network.used_at or network.created_at, network.id


def _fact(fields: Fields | None) -> _NetworkFact | None:
    """None where no device could ever join such a network."""
    fact = fitting(_NetworkFact, fields)
    try:
        if fact is not None:
            network_of(fact.ssid, "", fact.bssid)
    except UnfitNetworkError:
        return None
    return fact
