"""The wired method: the device is on the LAN already. Found by mDNS or by its address, then spoken to over TCP."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator

from pairing.mdns import Announcement, Gone
from pairing.methods.method import AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.over_lan import OverLan, candidate_of
from pairing.session.states import Candidate, Request
from pairing.text import clean

NAME = "wired"

HINT_AFTER = 15.0
"""Seconds of silence after which the person is told what to look at."""
PATIENCE = 120.0
"""Seconds until the search gives up."""


class Wired:
    """A `Method`, of devices on `lan`."""

    name = NAME
    inputs: tuple[Input, ...] = (
        Input(name="pin", secret=True, optional=True),
        Input(name="token", secret=True, optional=True),
    )
    follows: Follows | None = None

    def __init__(
        self,
        lan: OverLan,
        *,
        hint_after: float = HINT_AFTER,
        patience: float = PATIENCE,
    ) -> None:
        self._lan = lan
        self._hint_after = hint_after
        self._patience = patience

    async def search(self, context: SearchContext) -> None:
        if context.request.host is not None:
            candidate = _by_address(context.request, context.request.host)
            await context.ready()
            await context.heard(candidate)
            return
        try:
            async with asyncio.timeout(self._patience), self._lan.browse() as browser:
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
                    await context.heard(candidate_of(news, NAME))
                else:
                    await context.lost(news.id)
        finally:
            hint.cancel()
            await asyncio.gather(hint, return_exceptions=True)

    async def _hint(self, context: SearchContext) -> None:
        await asyncio.sleep(self._hint_after)
        await context.note("nothing_heard", hint="check_power_and_cable")

    async def attempt(self, context: AttemptContext) -> None:
        # A token the session has made is carried by other methods; a device on a cable has one only if it was given.
        token = context.secrets.get("token", "") if context.request.method == NAME else ""
        await self._lan.activate(context, token=bytes.fromhex(token))


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
    """Free, or asked for by id: whether a paired device may be paired anew is its own decision, proven.

    One with a session's token is for the methods that carry one, where these are in use as well.
    """
    if heard.hint and request.method != NAME:
        return False
    return (not heard.paired and not heard.hint) or heard.id == request.device
