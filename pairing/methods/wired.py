"""The wired method: the device is on the LAN already. Found by mDNS or by its address, then spoken to over TCP."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from pairing.activation import Activated, Offer, hub_talk
from pairing.identity import Identity
from pairing.mdns import Announcement, Gone, browse_devices
from pairing.methods.method import AttemptContext, Input, MethodFailedError, SearchContext
from pairing.pump import pump
from pairing.session.states import Candidate, Request
from pairing.talk import Entropy, Progress, Talk
from pairing.text import clean

NAME = "wired"

CONNECT_TIMEOUT = 5.0
"""Seconds for one address; a LAN answers in milliseconds or, behind client isolation, never."""
HINT_AFTER = 15.0
"""Seconds of silence after which the person is told what to look at."""
PATIENCE = 120.0
"""Seconds until the search gives up."""

Offers: TypeAlias = Callable[[str, int], Awaitable[Offer]]
"""Makes a fresh offer for an attempt: session id, attempt number."""

Browse: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[Announcement | Gone]]]
"""Hears devices while the context lasts; `pairing.mdns.browse_devices`, with the interfaces to listen on."""


class Wired:
    """A `Method`. `identity` is the hub's; `browse` decides which interfaces are listened on."""

    name = NAME
    inputs: tuple[Input, ...] = (
        Input(name="pin", secret=True, optional=True),
        Input(name="token", secret=True, optional=True),
    )

    def __init__(
        self,
        identity: Identity,
        offers: Offers,
        *,
        entropy: Entropy,
        browse: Browse = browse_devices,
        hint_after: float = HINT_AFTER,
        patience: float = PATIENCE,
    ) -> None:
        self._identity = identity
        self._offers = offers
        self._entropy = entropy
        self._browse = browse
        self._hint_after = hint_after
        self._patience = patience

    async def search(self, context: SearchContext) -> None:
        if context.request.host is not None:
            candidate = _by_address(context.request, context.request.host)
            await context.ready()
            await context.heard(candidate)
            return
        try:
            async with asyncio.timeout(self._patience), self._browse() as browser:
                await context.ready()
                await self._listen(context, browser)
        except TimeoutError:
            return

    async def _listen(self, context: SearchContext, browser: AsyncIterator[Announcement | Gone]) -> None:
        hint = asyncio.create_task(self._hint(context))
        try:
            async for news in browser:
                hint.cancel()
                if isinstance(news, Announcement) and _eligible(news, context.request):
                    await context.heard(_candidate(news))
                else:
                    await context.lost(news.id)
        finally:
            hint.cancel()
            await asyncio.gather(hint, return_exceptions=True)

    async def _hint(self, context: SearchContext) -> None:
        await asyncio.sleep(self._hint_after)
        await context.note("nothing_heard", hint="check_power_and_cable")

    async def attempt(self, context: AttemptContext) -> None:
        candidate = context.candidate
        pin = context.secrets.get("pin")
        if pin is None and candidate.auth == "pin":
            pin = await context.pin()
        talk = hub_talk(
            self._identity,
            await self._offers(context.session_id, context.number),
            entropy=self._entropy,
            pin=pin,
            token=bytes.fromhex(context.secrets.get("token", "")),
            expect=candidate.id if context.request.host is None else context.request.device,
        )
        await converse(talk, context, *await _connect(context))


async def converse(
    talk: Talk[Activated], context: AttemptContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry an activation out over a connection, with the session as its person and its disk."""

    async def on_progress(progress: Progress) -> None:
        if progress.step not in _TOLD_BY_THE_SESSION:
            await context.note(progress.step, **({"detail": progress.detail} if progress.detail else {}))

    async def on_commit(activated: Activated) -> None:
        await context.join(activated)

    await pump(talk, reader, writer, on_progress=on_progress, on_confirm=context.confirm, on_commit=on_commit)


_TOLD_BY_THE_SESSION = ("confirming", "joining")
"""Steps of the talk that are states of the session, told by it."""


def _by_address(request: Request, host: str) -> Candidate:
    try:
        # A name would have to be looked up, which tells others; and where it leads is for others to say.
        ipaddress.ip_address(host)
    except ValueError:
        raise MethodFailedError("bad_address", address=clean(host)) from None
    if not 0 < request.port < 65536:
        raise MethodFailedError("bad_address", address=clean(host), port=str(request.port))
    candidate_id = request.device or f"{host}:{request.port}"
    return Candidate(id=candidate_id, method=NAME, addresses=(host,), port=request.port)


def _eligible(heard: Announcement, request: Request) -> bool:
    """Free, or asked for by id: whether a paired device may be paired anew is its own decision, proven."""
    return not heard.paired or heard.id == request.device


def _candidate(heard: Announcement) -> Candidate:
    return Candidate(
        id=heard.id,
        method=NAME,
        name=heard.name,
        product=heard.product,
        auth=heard.auth,
        addresses=heard.addresses,
        port=heard.port,
    )


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
