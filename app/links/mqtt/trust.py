"""TLS as clients of MQTT see it: the hub's own certificate, and whose signatures their certificates may have."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from app import tls

# Whoever puts an authority into the data folder, or takes one out, sees it count within this time.
LOOK_EVERY_S: Final = 10.0
_log = structlog.get_logger("doorstep.mqtt")


class Trust:
    """`context` is the next connection's. `certificate` is the hub's; `authorities` are PEM, "" for none, and block.

    A change of authorities makes another context, so that neither one taken away nor a session begun under it counts
    any more. Connections that are open stay: whose certificate still proves a device is admission's to say.
    """

    def __init__(self, certificate: Callable[[], Awaitable[tls.Certificate]], authorities: Callable[[], str]) -> None:
        self._certificate = certificate
        self._authorities = authorities
        # As they were read last, whether or not they could be used.
        self._read = ""
        self._renewing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.context: ssl.SSLContext

    async def open(self) -> None:
        """Raises TlsError. With authorities that cannot be read none is trusted, and it is logged."""
        await self._show("")
        await self.look()
        self._looking = asyncio.create_task(self._look_on(), name="mqtt-authorities")

    def close(self) -> None:
        """End what runs by itself; safe after an `open` that failed."""
        for task in (self._looking, self._renewing):
            if task is not None:
                task.cancel()

    async def look(self) -> None:
        """Trust who is named now, and nobody else, from the next connection on; what cannot be read changes nothing."""
        try:
            authorities = await asyncio.to_thread(self._authorities)
            if authorities != self._read:
                self._read = authorities
                await self._show(authorities)
                _log.info("device authorities changed", asked=bool(authorities))
        except (tls.TlsError, ssl.SSLError, OSError, ValueError) as error:
            _log.warning("device authorities cannot be read; those before stay", error=str(error))

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def _show(self, authorities: str) -> None:
        certificate = await self._certificate()
        self.context = await asyncio.to_thread(_context, certificate, authorities)
        if self._renewing is not None:
            self._renewing.cancel()
        self._renewing = asyncio.create_task(tls.keep_renewed(self.context, certificate, self._certificate))


def _context(certificate: tls.Certificate, authorities: str) -> ssl.SSLContext:
    """A device need have no certificate; one that it shows must lead to an authority, or be one itself. Blocks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate.file, certificate.key_file)
    if authorities:
        # What stands beside certificates is for people, in whatever letters.
        context.load_verify_locations(cadata=authorities.encode("ascii", "replace").decode())
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_OPTIONAL
        # A session that is taken up again shows no certificate anew, and one may have expired since.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context
