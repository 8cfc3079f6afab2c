"""The half that EZ, AP, QR and wired have in common: the device is on the LAN, is heard, and is spoken to over TCP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from pairing.activation import Activated, Offer, hub_talk
from pairing.identity import Identity
from pairing.mdns import Announcement, Gone, browse_devices
from pairing.methods.method import AttemptContext, MethodFailedError, SearchContext
from pairing.pump import pump
from pairing.session.states import Candidate
from pairing.talk import Entropy, Progress, Talk
from pairing.token import was_given

CONNECT_TIMEOUT = 5.0
"""Seconds for one address; a LAN answers in milliseconds or, behind client isolation, never."""

Offers: TypeAlias = Callable[[str, int], Awaitable[Offer]]
"""Makes a fresh offer for an attempt: session id, attempt number."""

Browse: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[Announcement | Gone]]]
"""Hears devices while the context lasts; `pairing.mdns.browse_devices`, with the interfaces to listen on."""

_TOLD_BY_THE_SESSION = ("confirming", "joining")
"""Steps of the talk that are states of the session, told by it."""


class OverLan:
    """Hears the devices that were given the session's token, and activates them. `identity` is the hub's."""

    def __init__(
        self, identity: Identity, offers: Offers, *, entropy: Entropy, browse: Browse = browse_devices
    ) -> None:
        self._identity = identity
        self._offers = offers
        self._entropy = entropy
        self._browse = browse

    async def hear(self, context: SearchContext, method: str) -> None:
        """Say `ready`, then report as `method`'s every device with the session's token, until cancelled.

        Raises MethodFailedError where the network cannot be listened on.
        """
        token = bytes.fromhex(context.secrets["token"])
        reported: set[str] = set()
        async with self._browse() as browser:
            await context.ready()
            async for news in browser:
                if isinstance(news, Announcement) and _meant(news, token, context.request.device):
                    reported.add(news.id)
                    await context.heard(candidate_of(news, method))
                elif news.id in reported:
                    reported.discard(news.id)
                    await context.lost(news.id)

    async def attempt(self, context: AttemptContext) -> None:
        """Activate a device that was given the session's token. Raises PairingError."""
        await self.activate(context, token=bytes.fromhex(context.secrets["token"]))

    async def activate(self, context: AttemptContext, *, token: bytes) -> None:
        """Connect to the candidate, prove each other, have it joined. Raises PairingError."""
        candidate, request = context.candidate, context.request
        pin = context.secrets.get("pin")
        if pin is None and candidate.auth == "pin":
            pin = await context.pin()
        talk = hub_talk(
            self._identity,
            await self._offers(context.session_id, context.number),
            entropy=self._entropy,
            pin=pin,
            token=token,
            expect=candidate.id if request.host is None else request.device,
        )
        await _converse(talk, context, *await _connect(context))


def candidate_of(heard: Announcement, method: str) -> Candidate:
    """The announcer as a method's candidate."""
    return Candidate(
        id=heard.id,
        method=method,
        name=heard.name,
        product=heard.product,
        auth=heard.auth,
        addresses=heard.addresses,
        port=heard.port,
    )


def _meant(heard: Announcement, token: bytes, device: str | None) -> bool:
    """It has the token, and is free or asked for by id (then its own proof decides)."""
    return was_given(heard.hint, token, heard.id) and (not heard.paired or heard.id == device)


async def _converse(
    talk: Talk[Activated], context: AttemptContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry an activation out over a connection, with the session as its person and its disk."""

    async def on_progress(progress: Progress) -> None:
        if progress.step not in _TOLD_BY_THE_SESSION:
            await context.note(progress.step, **({"detail": progress.detail} if progress.detail else {}))

    async def on_commit(activated: Activated) -> None:
        await context.join(activated)

    await pump(talk, reader, writer, on_progress=on_progress, on_confirm=context.confirm, on_commit=on_commit)


async def _connect(context: AttemptContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of the candidate's addresses, newest first, that takes one."""
    candidate = context.candidate
    for address in candidate.addresses:
        await context.note("connecting", address=address, port=str(candidate.port))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await asyncio.open_connection(address, candidate.port)
        except (OSError, TimeoutError):
            continue
    raise MethodFailedError("unreachable", address=" ".join(candidate.addresses), port=str(candidate.port))
