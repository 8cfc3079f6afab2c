"""Which proxy to connect to: of our network, near, and not one that has just failed (pure; `now` is passed in)."""

from collections.abc import Iterable
from functools import lru_cache

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
    failed: int = 0
    shunned_until: float = 0.0


@lru_cache(maxsize=512)
def _recognised(said: bytes, keys: tuple[bytes, ...], addresses: tuple[int, ...]) -> bool:
    """Kept, as the same is heard ten times a second, and neighbours' networks are tried with every node of ours."""
    return any(is_of(said, key, addresses) for key in keys)


class Choice:
    """The proxies that are heard. `failed` shuns one for longer each time, `served` makes it good again."""

    def __init__(self) -> None:
        self._heard: dict[str, _Candidate] = {}

    def hear(self, advert: Advertisement, keys: Iterable[bytes], addresses: Iterable[int], now: float) -> bool:
        """Take an advertisement in; whether it is of a proxy of the network of these keys and nodes."""
        said = advert.service_data.get(PROXY_SERVICE)
        if not said:
            return False
        if not _recognised(said, tuple(keys), tuple(addresses)):
            return False
        known = self._heard.get(advert.address)
        if known:
            known.rssi, known.at = advert.rssi, now
        else:
            self._make_room()
            self._heard[advert.address] = _Candidate(rssi=advert.rssi, at=now)
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
