"""What a method's search and attempts hold of their session: but for notes, each call returns once it is durable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pairing.errors import PairingError
from pairing.methods.method import JoinFailedError
from pairing.session import events as ev
from pairing.session.log import Activation, Secrets
from pairing.session.states import Attempt, Candidate, SessionState

Dispatch: TypeAlias = Callable[[ev.Event], Awaitable[bool]]
"""Hands an event to the session; whether it was accepted, once that is durable."""

Post: TypeAlias = Callable[[ev.Event], None]
"""Hands an event to the session that nobody waits for: it is kept in its order."""


class SessionOverError(PairingError):
    """The session, or the attempt, has ended meanwhile: there is nothing more to report to."""

    code = "session_over"


class _Reporting:
    def __init__(self, session: SessionState, secrets: Secrets, dispatch: Dispatch, post: Post) -> None:
        self.session_id = session.id
        self.request = session.request
        self.secrets = secrets
        self._dispatch = dispatch
        self._post = post
        self._open = True

    def shut(self) -> None:
        """From now on every report raises SessionOverError: whoever reports is being stopped."""
        self._open = False

    async def tell(self, event: ev.Event) -> bool:
        """Hand an event to the session. Raises SessionOverError."""
        if not self._open:
            raise SessionOverError
        return await self._dispatch(event)

    def _note(self, event: ev.Event) -> None:
        if not self._open:
            raise SessionOverError
        self._post(event)


class Searching(_Reporting):
    """The `SearchContext` of one method."""

    def __init__(self, method: str, session: SessionState, secrets: Secrets, dispatch: Dispatch, post: Post) -> None:
        super().__init__(session, secrets, dispatch, post)
        self._method = method

    async def ready(self) -> None:
        await self.tell(ev.Ready(self._method))

    async def note(self, key: str, /, **detail: str) -> None:
        self._note(ev.SearchNoted(key, detail))

    async def heard(self, candidate: Candidate) -> None:
        await self.tell(ev.Heard(candidate))

    async def lost(self, candidate_id: str) -> None:
        await self.tell(ev.Lost(candidate_id))


class Attempting(_Reporting):
    """The `AttemptContext` of one attempt. The runner answers through the futures it leaves here."""

    def __init__(
        self, attempt: Attempt, session: SessionState, secrets: Secrets, dispatch: Dispatch, post: Post
    ) -> None:
        super().__init__(session, secrets, dispatch, post)
        self.number = attempt.number
        self.candidate = attempt.candidate
        self.activated: Activation | None = None
        loop = asyncio.get_running_loop()
        self.pin_given: asyncio.Future[str] = loop.create_future()
        self.answered: asyncio.Future[bool] = loop.create_future()
        self.registered: asyncio.Future[str | JoinFailedError] = loop.create_future()

    async def note(self, key: str, /, **detail: str) -> None:
        self._note(ev.Noted(self.number, key, detail))

    async def pin(self) -> str:
        known = self.secrets.get("pin")
        if known is not None:
            return known
        await self._must(ev.PinAsked(self.number))
        return await self.pin_given

    async def confirm(self, code: str) -> bool:
        await self._must(ev.CodeShown(self.number, code))
        return await self.answered

    async def join(self, activated: Activation) -> str:
        self.activated = activated
        await self._must(ev.Proven(self.number, activated.trust, activated.device_id))
        outcome = await self.registered
        if isinstance(outcome, JoinFailedError):
            raise outcome
        return outcome

    async def _must(self, event: ev.Event) -> None:
        if not await self.tell(event):
            raise SessionOverError
