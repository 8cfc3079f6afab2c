"""The half that EZ, AP, QR and wired have in common: the device is on the LAN, is heard, and is spoken to over TCP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeAlias

from pairing.activation import Activated, Offer, hub_talk
from pairing.errors import (
    ConnectionLostError,
    DeviceBusyError,
    MalformedMessageError,
    PairingError,
    PeerSilentError,
    ProofFailedError,
)
from pairing.identity import Identity
from pairing.mdns import Announcement, Gone, browse_devices
from pairing.methods.method import AttemptContext, MethodFailedError, SearchContext
from pairing.methods.places import Places
from pairing.methods.watched import Watched
from pairing.pump import pump
from pairing.session.states import Candidate
from pairing.talk import Entropy, Progress
from pairing.token import was_given

NEWS_WITHIN = 5.0
"""Seconds to hear where a device is that answers nowhere. One that has come back announces itself after 0.75 s at most
of probing (RFC 6762, 8.1) or answers our question within 0.12 s; what it says is read 1.1 s after what it said before
at most, and 1.1 s later once more, without what that replaced (`pairing.browser.UPDATE_INTERVAL`). The rest is for one
lost packet: it is repeated after a second."""

Offers: TypeAlias = Callable[[str, int], Awaitable[Offer]]
"""Makes a fresh offer for an attempt: session id, attempt number."""

Browse: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[Announcement | Gone]]]
"""Hears devices while the context lasts; `pairing.mdns.browse_devices`, with the interfaces to listen on."""

_TOLD_BY_THE_SESSION = ("confirming", "joining")
"""Steps of the talk that are states of the session, told by it."""


class OverLan:
    """Hears the devices that were given the session's token, and activates them. `identity` is the hub's.

    One for all methods: `browse` decides which interfaces are listened on, `entropy` is theirs as well.
    """

    def __init__(
        self,
        identity: Identity,
        offers: Offers,
        *,
        entropy: Entropy,
        browse: Browse = browse_devices,
        news_within: float = NEWS_WITHIN,
    ) -> None:
        self._identity = identity
        self._offers = offers
        self.entropy = entropy
        self.browse = browse
        self._news_within = news_within

    async def hear(self, context: SearchContext, method: str) -> None:
        """Say `ready`, then report as `method`'s every device with the session's token, until cancelled.

        Raises MethodFailedError where the network cannot be listened on.
        """
        token = bytes.fromhex(context.secrets["token"])
        reported: set[str] = set()
        async with self.browse() as browser:
            await context.ready()
            async for news in browser:
                if isinstance(news, Announcement) and _meant(news, token, context.request.device):
                    reported.add(news.id)
                    await context.heard(candidate_of(news, method, has_token=True))
                elif news.id in reported:
                    reported.discard(news.id)
                    await context.lost(news.id)

    async def hear_beside(
        self, watched: Watched, method: str, telling: Callable[[asyncio.TaskGroup], Awaitable[None]]
    ) -> None:
        """`hear` while `telling` has devices told, which begins once they would be heard. Ends with it, or raises what
        one of the two fails with. Tasks of the group are cancelled if any fails.
        """
        try:
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self.hear(watched, method))
                await watched.listening.wait()
                await telling(group)
                hearing.cancel()
        except BaseExceptionGroup as failures:
            # One has failed, and the others were cancelled for it.
            raise failures.exceptions[0] from None

    async def attempt(self, context: AttemptContext) -> None:
        """Activate a device that was given the session's token. Raises PairingError."""
        await self.activate(context, token=bytes.fromhex(context.secrets["token"]))

    async def activate(self, context: AttemptContext, *, token: bytes) -> None:
        """Connect to the candidate, prove each other, have it joined. Raises PairingError.

        Whoever copies what a device announces is heard at an address besides the device's own: where one does not
        answer, or is not who it says, the next is tried. Where none answers, the device may have just moved.
        """
        candidate, pin = context.candidate, await _pin(context)
        expect = candidate.id if context.request.host is None else context.request.device
        places = Places()
        places.add(candidate.addresses, candidate.port)
        failed: PairingError | None = None
        while True:
            while (connection := await places.first(context)) is not None:
                try:
                    streams = connection.reader, connection.writer
                    return await self._converse(context, *streams, pin=pin, token=token, expect=expect)
                except _NotHereError as error:
                    if isinstance(error.why, ProofFailedError):
                        await context.note("wrong_proof", address=connection.place.address)
                    failed = failed or error.why
            if failed is not None or not await self._has_moved(context, places):
                break
        raise failed or MethodFailedError(
            "unreachable", address=" ".join(candidate.addresses), port=str(candidate.port)
        )

    async def activate_over(
        self,
        context: AttemptContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        token: bytes,
        expect: str,
    ) -> None:
        """As `activate`, with whoever is at the other end of a connection that stands, and says that it is `expect`.

        Raises PairingError.
        """
        try:
            # A device that is heard over Bluetooth may be asked for by what is heard of its id.
            asked_for = context.request.device or ""
            if not (expect.startswith(context.candidate.id) and expect.startswith(asked_for)):
                raise ProofFailedError("another device answers", step="proving")
            pin = await _pin(context)
        except BaseException:
            writer.close()
            raise
        try:
            await self._converse(context, reader, writer, pin=pin, token=token, expect=expect)
        except _NotHereError as error:
            raise error.why from error

    async def _has_moved(self, context: AttemptContext, places: Places) -> bool:
        """Whether the candidate is heard, within `news_within`, at a place not known yet, which is added."""
        if context.request.host is not None:
            return False  # the person said where
        with suppress(TimeoutError, MethodFailedError):
            async with asyncio.timeout(self._news_within), self.browse() as browser:
                async for news in browser:
                    if not isinstance(news, Announcement) or news.id != context.candidate.id:
                        continue
                    if places.add(news.addresses, news.port):
                        return True
        return False

    async def _converse(
        self,
        context: AttemptContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        pin: str | None,
        token: bytes,
        expect: str | None,
    ) -> None:
        """Carry an activation out over a connection, with the session as its person and its disk."""
        try:
            offer = await self._offers(context.session_id, context.number)
        except BaseException:
            writer.close()
            raise
        talk = hub_talk(
            self._identity,
            offer,
            entropy=self.entropy,
            pin=pin,
            token=token,
            expect=expect,
        )
        proving = True

        async def on_progress(progress: Progress) -> None:
            if progress.step not in _TOLD_BY_THE_SESSION:
                await context.note(progress.step, **({"detail": progress.detail} if progress.detail else {}))

        async def on_confirm(code: str) -> bool:
            nonlocal proving
            proving = False
            return await context.confirm(code)

        async def on_commit(activated: Activated) -> None:
            nonlocal proving
            proving = False
            await context.join(activated)

        try:
            await pump(talk, reader, writer, on_progress=on_progress, on_confirm=on_confirm, on_commit=on_commit)
        except _ELSEWHERE as error:
            if proving:
                raise _NotHereError(error) from error
            raise


async def _pin(context: AttemptContext) -> str | None:
    """The label PIN where it is known or the device says it has one."""
    pin = context.secrets.get("pin")
    return await context.pin() if pin is None and context.candidate.auth == "pin" else pin


class _NotHereError(Exception):
    """Who answers at this address has proved nothing, for the reason `why`: the device may be at another."""

    def __init__(self, why: PairingError) -> None:
        super().__init__(str(why))
        self.why = why


_ELSEWHERE = (ProofFailedError, MalformedMessageError, PeerSilentError, ConnectionLostError, DeviceBusyError)


def candidate_of(heard: Announcement, method: str, *, has_token: bool = False) -> Candidate:
    """The announcer as a method's candidate."""
    return Candidate(
        id=heard.id,
        method=method,
        name=heard.name,
        product=heard.product,
        auth=heard.auth,
        addresses=heard.addresses,
        port=heard.port,
        has_token=has_token,
    )


def _meant(heard: Announcement, token: bytes, device: str | None) -> bool:
    """It has the token, and is free or asked for by id (then its own proof decides)."""
    return was_given(heard.hint, token, heard.id) and (not heard.paired or heard.id == device)
