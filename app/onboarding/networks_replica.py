"""Wi-Fi networks as facts of their home (app/sync). A password is none: it travels sealed, as a secret."""

from collections.abc import Iterable, Mapping, Sequence
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
        """See the Protocol. Who stands here is of all that there are to be then, in whatever order they come."""
        known = {it.id: it for it in queries.of_home(tx, home_id)}
        by = {item.id: item.by.actor for item in items}
        named = _one_of_a_name(_wanted(tx, home_id, known, items))
        stays = {it.id: it for it in named.values()}
        for old in known.values():
            if old.id not in stays:
                self._networks.forgotten_in(tx, by[old.id if old.id in by else named[old.ssid].id], old)
        changed = [(now, known.get(now.id)) for now in stays.values() if now != known.get(now.id)]
        for now, former in changed:
            if former is not None and former.ssid != now.ssid:
                queries.delete(tx, now.id)  # another may have its name now
        for now, former in changed:
            self._networks.known_so_in(tx, by[now.id], now, former)


def _wanted(reader: Reader, home_id: str, known: Mapping[str, Network], items: Sequence[Item]) -> Iterable[Network]:
    wanted = dict(known)
    for item in items:
        fact = _fact(item.fields)
        if item.fields is None:
            wanted.pop(item.id, None)
        elif fact is not None and queries.place_for(reader, home_id, item.id):
            wanted[item.id] = Network(item.id, home_id, **msgspec.structs.asdict(fact))
    return wanted.values()


def _one_of_a_name(networks: Iterable[Network]) -> dict[str, Network]:
    """The one used last, by name."""
    return {it.ssid: it for it in sorted(networks, key=_last_used)}


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
