"""The runner: starts sessions, resumes those a stop of the hub left open, and takes the person's words to them."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress

from pairing.errors import PairingError, StorageFailedError
from pairing.methods.method import TOKEN, Method
from pairing.session import events as ev
from pairing.session.actor import Actor, OnChange
from pairing.session.contexts import SessionOverError
from pairing.session.log import Registrar, Secrets, SessionLog
from pairing.session.states import ANY, Later, Request, SessionState, State, Step, new_session
from pairing.talk import Entropy
from pairing.token import make_token

MAX_PIN = 64


class MethodUnavailableError(PairingError):
    """The hub has no such method, or what it needs was not given (named in `detail`)."""

    code = "no_method"


class TooManySessionsError(PairingError):
    """As many sessions are open as may be; one must end first."""

    code = "too_many_sessions"
    retryable = True


class UnknownSessionError(PairingError):
    """No open session has this id."""

    code = "unknown_session"


class NotNowError(PairingError):
    """The session is in a state (`detail`) where this means nothing."""

    code = "not_now"


class InvalidPinError(PairingError):
    """A PIN has 1 to 64 characters."""

    code = "invalid_pin"


def _check_pin(pin: str) -> None:
    if not 0 < len(pin) <= MAX_PIN:
        raise InvalidPinError


class Runner:
    """All open sessions of a hub.

    `now` is the wall clock in milliseconds; `new_id` makes session ids; `on_change` is told of every change after it is
    durable. One task a session; none is left after `close`.
    """

    def __init__(
        self,
        *,
        log: SessionLog,
        registrar: Registrar,
        methods: Sequence[Method],
        now: Callable[[], int],
        new_id: Callable[[], str],
        on_change: OnChange = lambda state, entry: None,
        limit: int = 32,
        entropy: Entropy = secrets.token_bytes,
    ) -> None:
        self._log = log
        self._registrar = registrar
        self._methods = {method.name: method for method in methods}
        self._now = now
        self._new_id = new_id
        self._on_change = on_change
        self._limit = limit
        self._entropy = entropy
        self._starting = 0
        self._closed = False
        self._open: dict[str, tuple[Actor, asyncio.Task[None]]] = {}

    @property
    def methods(self) -> tuple[Method, ...]:
        return tuple(self._methods.values())

    def __len__(self) -> int:
        """How many sessions are open."""
        return sum(not actor.shown.state.terminal for actor, _ in self._open.values())

    async def start(
        self, request: Request, given: Secrets | None = None, session_id: str | None = None
    ) -> SessionState:
        """Open a session (`session_id`: under this id); its state, once durable and the search is under way.

        Raises MethodUnavailableError, InvalidPinError, TooManySessionsError, StorageFailedError, SessionOverError
        once closed, and what `SessionLog.create` raises.
        """
        if self._closed:
            raise SessionOverError
        known = dict(given or {})
        methods, later = self._plan(request, known)
        if not methods:
            raise MethodUnavailableError(self._missing(request, known))
        if "pin" in known:
            _check_pin(known["pin"])
        if any(i == TOKEN for name in self._usable(request, known) for i in self._methods[name].inputs):
            known.setdefault(TOKEN.name, make_token(self._entropy).hex())
        if len(self) + self._starting >= self._limit:
            raise TooManySessionsError
        state = new_session(session_id or self._new_id(), request, self._now())
        self._starting += 1
        try:
            await self._log.create(state, known)
        finally:
            self._starting -= 1
        if self._closed:
            raise SessionOverError  # it is kept: the next start resumes it
        actor = self._launch(state, known)
        await actor.dispatch(ev.Begin(methods, later))
        return actor.shown

    async def resume_all(self) -> int:
        """Take up every session a stop of the hub left open: each goes on or ends with a cause. How many there were."""
        stored = await self._log.open_sessions()
        resumed = [s for s in stored if s.state.id not in self._open]
        for session in resumed:
            actor = self._launch(session.state, session.secrets)
            plan = self._plan(session.state.request, session.secrets)
            with suppress(StorageFailedError):  # that one has ended; the others still want resuming
                await actor.dispatch(ev.Resumed(*plan))
        return len(resumed)

    async def cancel(self, session_id: str) -> SessionState:
        """End the session; its last state. A registration under way is awaited: it may turn out to have joined."""
        actor = self._actor(session_id)
        try:
            await actor.dispatch(ev.Cancel())
        except SessionOverError:
            return actor.shown
        return await actor.ended()

    async def finish(self, session_id: str) -> SessionState:
        """That is all: no further devices. It ends with those being spoken to, at once where there are none."""
        actor = self._actor(session_id)
        with suppress(SessionOverError):
            await actor.dispatch(ev.Finish())
        return actor.shown

    async def confirm(self, session_id: str, accepted: bool, attempt: int | None = None) -> SessionState:
        """The person's word on the code shown. Raises NotNowError when none is (or names no attempt of several)."""
        number = attempt or self._waiting(session_id, State.CONFIRMING)
        return await self._say(session_id, ev.Confirmed(number, accepted))

    async def choose(self, session_id: str, candidate_id: str) -> SessionState:
        """The person's choice among the candidates. Raises NotNowError when there is none to make, or no such one."""
        return await self._say(session_id, ev.Chosen(candidate_id))

    async def provide(self, session_id: str, pin: str, attempt: int | None = None) -> SessionState:
        """The PIN on the label, asked for in state `asking`. Raises NotNowError when it is not, InvalidPinError."""
        number = attempt or self._waiting(session_id, State.ASKING)
        _check_pin(pin)
        return await self._say(session_id, ev.PinGiven(number), pin)

    def get(self, session_id: str) -> SessionState | None:
        """The state of an open session as last made known; None for one that has ended (see the log) or never was."""
        found = self._open.get(session_id)
        return found[0].shown if found else None

    def watch(self, session_id: str, after: int = 0) -> AsyncIterator[Step]:
        """The session's steps numbered above `after`, as they happen, to its end. Raises UnknownSessionError."""
        return self._actor(session_id).steps(after)

    async def ended(self, session_id: str) -> SessionState:
        """The state the session ends in, once it has. Raises UnknownSessionError."""
        return await self._actor(session_id).ended()

    async def close(self) -> None:
        """Stop every session where it is; `resume_all` of the next start takes them up."""
        self._closed = True
        tasks = [task for _, task in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _launch(self, state: SessionState, secrets: Mapping[str, str]) -> Actor:
        actor = Actor(
            state,
            secrets,
            log=self._log,
            registrar=self._registrar,
            methods=self._methods,
            now=self._now,
            on_change=self._on_change,
        )
        task = asyncio.create_task(actor.run(), name=f"pairing session {state.id}")
        self._open[state.id] = (actor, task)
        task.add_done_callback(lambda _: self._open.pop(state.id, None))
        return actor

    def _usable(self, request: Request, secrets: Mapping[str, str]) -> tuple[str, ...]:
        """The names of the methods meant that have all they need."""
        given = set(secrets) | set(request.inputs)
        meant = self._methods.values() if request.method == ANY else filter(None, [self._methods.get(request.method)])
        return tuple(m.name for m in meant if all(i.name in given for i in m.inputs if i.required))

    def _plan(self, request: Request, secrets: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[Later, ...]]:
        """The methods that search at once, and those whose turn may come."""
        usable = self._usable(request, secrets)
        later = []
        for method in (self._methods[name] for name in usable):
            before = () if method.follows is None else tuple(n for n in method.follows.methods if n in usable)
            if method.follows is not None and before:
                after_ms = int(method.follows.after * 1000)
                later.append(Later(method=method.name, follows=before, after_ms=after_ms))
        waiting = [each.method for each in later]
        return tuple(name for name in usable if name not in waiting), tuple(later)

    def _missing(self, request: Request, secrets: Mapping[str, str]) -> str:
        method = self._methods.get(request.method)
        if method is None:
            return request.method
        given = set(secrets) | set(request.inputs)
        return " ".join(i.name for i in method.inputs if i.required and i.name not in given)

    def _actor(self, session_id: str) -> Actor:
        found = self._open.get(session_id)
        if found is None:
            raise UnknownSessionError
        return found[0]

    def _waiting(self, session_id: str, state: State) -> int:
        """The one attempt in that state."""
        shown = self._actor(session_id).shown
        waiting = [a.number for a in shown.open_attempts if a.state is state]
        if len(waiting) != 1:
            raise NotNowError(shown.state)
        return waiting[0]

    async def _say(self, session_id: str, event: ev.Event, pin: str | None = None) -> SessionState:
        actor = self._actor(session_id)
        try:
            accepted = await actor.dispatch(event, pin)
        except SessionOverError as error:
            raise UnknownSessionError from error
        if not accepted:
            raise NotNowError(actor.shown.state)
        return actor.shown
