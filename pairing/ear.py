"""What stands between a socket and who listens to it: knows from whom a datagram is, and hears nobody out for ever."""

import asyncio
from collections import OrderedDict
from typing import Any

from pairing.interfaces import is_loopback

# A device says a few things when it appears and is quiet then; a reflector repeats a whole network. What is more than
# this is unheard: whoever has something to say says it again.
AT_ONCE = 400
PER_SECOND = 40.0
MAX_SOURCES = 1_024


class Sources:
    """How much each source has said lately; `current` is whose datagram is being heard now."""

    def __init__(self) -> None:
        self.current = ""
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def may_speak(self, source: str, now: float) -> bool:
        """Count a datagram of `source` at `now` (s, monotonic); whether it is heard. This machine's own always are."""
        if is_loopback(source):
            return True
        left, at = self._left.pop(source, (float(AT_ONCE), now))
        left = min(left + (now - at) * PER_SECOND, float(AT_ONCE))
        heard = left >= 1.0
        self._left[source] = (left - heard, now)
        if len(self._left) > MAX_SOURCES:
            self._left.popitem(last=False)
        return heard


class Ear(asyncio.DatagramProtocol):
    """A datagram protocol in front of another (which need not be derived from one), hearing what sources may say."""

    def __init__(self, inner: Any, sources: Sources) -> None:
        self._inner = inner
        self._sources = sources
        self._now = asyncio.get_running_loop().time

    def connection_made(self, transport: Any) -> None:
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def error_received(self, exc: Exception) -> None:
        self._inner.error_received(exc)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        source = str(addr[0]).removeprefix("::ffff:")  # IPv4, where a socket hears both
        if not self._sources.may_speak(source, self._now()):
            return
        self._sources.current = source
        try:
            self._inner.datagram_received(data, addr)
        finally:
            self._sources.current = ""


def put_ear(transport: asyncio.DatagramTransport, sources: Sources) -> None:
    """Have `transport` heard through `sources`; doing it again changes nothing."""
    inner = transport.get_protocol()
    if not isinstance(inner, Ear):
        transport.set_protocol(Ear(inner, sources))
