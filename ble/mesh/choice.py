"""Which proxy to connect to: of our network, near, and not one that has just failed (pure; `now` is passed in)."""

from collections.abc import Iterable

from msgspec import Struct

from ble.mesh.advert_proof import is_of
from ble.radio import Advertisement, uuid16

PROXY_SERVICE = uuid16(0x1828)
HEARD_S = 60.0
"""How long an advertisement counts."""
FIRST_PENALTY_S, LAST_PENALTY_S = 2.0, 120.0
MAX_CANDIDATES = 64


class _Candidate(Struct):
    rssi: int
    at: float
    said: bytes
    failed: int = 0
    shunned_until: float = 0.0


class Choice:
    """The proxies that are heard. `failed` shuns one for longer each time, `served` makes it good again."""

    def __init__(self) -> None:
        self._heard: dict[str, _Candidate] = {}

    def hear(self, advert: Advertisement, keys: Iterable[bytes], addresses: Iterable[int], now: float) -> bool:
        """Take an advertisement in; whether it is of a proxy of the network of these keys and nodes."""
        said = advert.service_data.get(PROXY_SERVICE)
        if not said:
            return False
        known = self._heard.get(advert.address)
        nodes = tuple(addresses)
        if not (known and known.said == said) and not any(is_of(said, key, nodes) for key in keys):
            return False
        if known:
            known.rssi, known.at, known.said = advert.rssi, now, said
        else:
            self._make_room()
            self._heard[advert.address] = _Candidate(rssi=advert.rssi, at=now, said=said)
        return True

    def best(self, now: float) -> str | None:
        """The nearest one that may be tried now."""
        usable = {a: c for a, c in self._heard.items() if now - c.at <= HEARD_S and c.shunned_until <= now}
        return max(usable, key=lambda address: usable[address].rssi, default=None)

    def next_try(self, now: float) -> float | None:
        """When one that has failed may be tried again; None where there is none."""
        return min((c.shunned_until for c in self._heard.values() if c.shunned_until > now), default=None)

    def failed(self, address: str, now: float) -> None:
        """It could not be connected to, or the connection ended."""
        candidate = self._heard.get(address)
        if candidate:
            candidate.shunned_until = now + min(FIRST_PENALTY_S * 2**candidate.failed, LAST_PENALTY_S)
            candidate.failed = min(candidate.failed + 1, 16)

    def served(self, address: str) -> None:
        """It carries our messages."""
        candidate = self._heard.get(address)
        if candidate:
            candidate.failed, candidate.shunned_until = 0, 0.0

    def _make_room(self) -> None:
        if len(self._heard) >= MAX_CANDIDATES:
            del self._heard[min(self._heard, key=lambda address: self._heard[address].at)]
