"""The Wi-Fi networks a home knows: given by its admins, or learnt when a device joined with one."""

from msgspec.structs import replace

from app.caller import Caller, demand
from app.errors import NotFound
from app.homes.model import Home
from app.homes.standing import Standings
from app.onboarding import network_queries as queries
from app.onboarding.network_model import Network, NetworkView, WifiNetworkUnknown, view_of
from app.policy import Action, Actor
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from pairing.wifi import WifiNetwork

MOST = KEEP["wifi_networks"].most or 1


class Networks:
    """Who may pair may see, use and change them. A password goes into the vault, and comes out for devices only."""

    def __init__(self, store: Store, standings: Standings) -> None:
        self._store = store
        self._standings = standings

    async def list(self, actor: Actor, home_id: str) -> list[NetworkView]:
        """A home's networks, the one used last first; raises NotFound, Refused."""
        demand(actor, Action.PAIR, self._standings.home(actor, home_id), self._store.clock.now())
        found = await self._store.read(lambda reader: queries.of_home(reader, home_id))
        return [view_of(network) for network in found]

    async def keep(self, by: Caller, home_id: str, wifi: WifiNetwork) -> NetworkView:
        """Know this network, in place of what was known of its name; raises NotFound, Refused, TooMany."""
        return await self._store.write(
            lambda tx: self.keep_in(tx, by, home_id, wifi), once=by.once, returns=NetworkView
        )

    def keep_in(self, tx: Tx, by: Caller, home_id: str, wifi: WifiNetwork) -> NetworkView:
        """`keep` inside `tx`."""
        self._demand(tx, by, home_id)
        if queries.named(tx, home_id, wifi.ssid) is None:
            demand_room(tx, "wifi_networks", home_id)
        return view_of(self._put(tx, by.actor, home_id, wifi))

    async def forget(self, by: Caller, home_id: str, network_id: str) -> None:
        """Know it no more; devices that use it stay on it. Raises NotFound, Refused."""
        await self._store.write(
            lambda tx: self.forget_in(tx, by, home_id, network_id), once=by.once, returns=type(None)
        )

    def forget_in(self, tx: Tx, by: Caller, home_id: str, network_id: str) -> None:
        """`forget` inside `tx`."""
        self._demand(tx, by, home_id)
        network = queries.get(tx, home_id, network_id)
        if network is None:
            raise NotFound
        self.forgotten_in(tx, by.actor, network)

    async def known(self, home_id: str, ssid: str) -> WifiNetwork:
        """The network of this name with its password, for who has been let to pair; raises WifiNetworkUnknown."""
        return await self._store.read(lambda reader: self.known_in(reader, home_id, ssid))

    def known_in(self, reader: Reader, home_id: str, ssid: str) -> WifiNetwork:
        """`known` inside a read."""
        network = queries.named(reader, home_id, ssid)
        wifi = None if network is None else self._opened(reader, network)
        if wifi is None:
            raise WifiNetworkUnknown
        return wifi

    def _opened(self, reader: Reader, network: Network) -> WifiNetwork | None:
        """None while its password, that another hub of the home was told, has not come here."""
        password = self._store.vault.fetch(reader, _row(network)) if network.secured else b""
        return None if password is None else WifiNetwork(network.ssid, password.decode(), network.bssid)

    def joined_in(self, tx: Tx, actor: Actor, home_id: str, wifi: WifiNetwork) -> None:
        """A device has joined with it: it works. Where too many are known, the one unused longest makes room."""
        old = queries.named(tx, home_id, wifi.ssid)
        if old is None:
            for network in queries.of_home(tx, home_id)[MOST - 1 :]:
                self.forgotten_in(tx, actor, network)
        elif self._opened(tx, old) == wifi:
            queries.put(tx, replace(old, used_at=tx.now))
            return
        self._put(tx, actor, home_id, wifi, used_at=tx.now)

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """The home goes, and what it knows."""
        for network in queries.of_home(tx, home.id):
            self._drop(tx, network)

    def known_so_in(self, tx: Tx, actor: Actor, network: Network, old: Network | None) -> None:
        """A network is as another hub of the home knows it; its password comes by itself."""
        if not network.secured and old is not None and old.secured:
            self._store.vault.forget(tx, _row(network))
        queries.put(tx, network)
        if old is None or replace(old, used_at=network.used_at) != network:
            tx.record(actor, _told("wifi_network.added" if old is None else "wifi_network.replaced", network))

    def forgotten_in(self, tx: Tx, actor: Actor, network: Network) -> None:
        """A network is known no more, for who has asked policy."""
        self._drop(tx, network)
        tx.record(actor, _told("wifi_network.removed", network))

    def _demand(self, tx: Tx, by: Caller, home_id: str) -> None:
        demand(by.actor, Action.PAIR, self._standings.home_in(tx, by.actor, home_id), tx.moment)

    def _put(self, tx: Tx, actor: Actor, home_id: str, wifi: WifiNetwork, used_at: int | None = None) -> Network:
        old = queries.named(tx, home_id, wifi.ssid)
        fresh = Network(tx.new_id(), home_id, wifi.ssid, wifi.bssid, bool(wifi.password), tx.now, used_at)
        network = fresh if old is None else replace(fresh, id=old.id, created_at=old.created_at)
        if used_at is None and old is not None:
            network = replace(network, used_at=old.used_at)
        self._store.vault.forget(tx, _row(network))
        if wifi.password:
            self._store.vault.keep(tx, _row(network), wifi.password.encode())
        queries.put(tx, network)
        tx.record(actor, _told("wifi_network.added" if old is None else "wifi_network.replaced", network))
        return network

    def _drop(self, tx: Tx, network: Network) -> None:
        self._store.vault.forget(tx, _row(network))
        queries.delete(tx, network.id)


def _row(network: Network) -> str:
    return f"wifi_network/{network.id}"


def _told(event: str, network: Network) -> Change:
    data = {"ssid": network.ssid, "bssid": network.bssid}
    return Change(event, "wifi_network", network.id, network.home_id, Action.PAIR, data)
