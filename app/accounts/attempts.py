"""Wrong attempts, counted per account and per address in a capped table."""

import ipaddress
from collections import OrderedDict
from typing import Final

from msgspec import Struct

from app.accounts.model import TooManyAttempts

MS: Final = 1000
# An IPv6 host has a whole /64 to come from.
IPV6_NETWORK_BITS: Final = 64


class Allowance(Struct, frozen=True):
    """`most` attempts within a window of `window_s` seconds, for at most `tracked` names at a time."""

    most: int
    window_s: float
    tracked: int = 10_000


# 10 in 15 minutes are 960 guesses a day at one account: hopeless against eight characters nobody published, and a
# person who mistypes is back within the quarter of an hour.
PER_ACCOUNT: Final = Allowance(10, 900)
# One address may be a whole household behind a router, or one thief who tries three passwords on ten accounts.
PER_ADDRESS: Final = Allowance(30, 900)


class _Window:
    __slots__ = ("count", "ends")

    def __init__(self, ends: int) -> None:
        self.ends = ends
        self.count = 0


class Attempts:
    """Counts before it is known whether an attempt succeeds, so that many at once cannot slip through.

    The table holds `tracked` windows; beyond that the oldest gives way. Whoever could push one out by coming from that
    many addresses (10,000) gains 10 guesses for it.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def take(self, name: str, now_ms: int) -> None:
        """Count one attempt of `name`; raises TooManyAttempts when it has none left."""
        window = self._windows.get(name)
        if window is None or window.ends <= now_ms:
            window = self._begin(name, now_ms)
        if window.count >= self._allowance.most:
            raise TooManyAttempts(retry_after=max(1, -(-(window.ends - now_ms) // MS)))
        window.count += 1

    def give_back(self, name: str) -> None:
        """That attempt was right: it does not count."""
        window = self._windows.get(name)
        if window is not None and window.count > 0:
            window.count -= 1

    def forget(self, name: str) -> None:
        """`name` has shown who they are."""
        self._windows.pop(name, None)

    def _begin(self, name: str, now_ms: int) -> _Window:
        self._windows.pop(name, None)
        if len(self._windows) >= self._allowance.tracked:
            self._windows.popitem(last=False)
        window = self._windows[name] = _Window(now_ms + round(self._allowance.window_s * MS))
        return window

    def __len__(self) -> int:
        return len(self._windows)


def peer_of(address: str) -> str:
    """Who counts as one peer: an IPv4 address, or an IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
