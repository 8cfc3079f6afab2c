"""What a session has running: the tasks of its searches, attempts and registrations, and how they are stopped."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from pairing.errors import PairingError, StorageFailedError
from pairing.methods.method import JoinFailedError, Method, MethodFailedError
from pairing.session import effects as fx
from pairing.session import events as ev
from pairing.session.contexts import Attempting, Dispatch, Post, Searching, SessionOverError
from pairing.session.log import JoinRefusedError, Registrar
from pairing.session.states import SessionState

logger = logging.getLogger(__name__)

JOIN_TIMEOUT = 30.0
"""Seconds a registration may take before it is looked up whether it has happened."""

STOP_TIMEOUT = 10.0
"""Seconds a method may take to close what it has open, once cancelled."""


class Work:
    """Carries out effects. Whatever it starts reports back as events through `dispatch`, and ends with `stop`."""

    def __init__(self, methods: Mapping[str, Method], registrar: Registrar, dispatch: Dispatch, post: Post) -> None:
        self.secrets: dict[str, str] = {}
        self.pins: dict[int, str] = {}
        """What the person has typed, by attempt: another device has another label."""
        self._methods = methods
        self._registrar = registrar
        self._dispatch = dispatch
        self._post = post
        self._searches: dict[str, tuple[asyncio.Task[None], Searching]] = {}
        self._attempts: dict[int, tuple[asyncio.Task[None], Attempting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: set[asyncio.Task[None]] = set()

    async def do(self, effect: fx.Effect, session: SessionState) -> None:
        """Carry out one effect of `session` as it is now."""
        match effect:
            case fx.StopSearch(methods):
                await self._stop_searches(methods)
            case fx.StopAttempt(number):
                await self._stop_attempt(number)
            case fx.StartSearch(methods):
                for name in methods:
                    self._start_search(self._methods[name], session)
            case fx.StartAttempt(number):
                self._start_attempt(number, session)
            case fx.Settle(after_ms):
                self._job(self._say(ev.Settled(), after_ms / 1000))
            case fx.Await(method, after_ms):
                self._job(self._say(ev.Due(method), after_ms / 1000))
            case fx.CheckJoined(number):
                self._job(self._check_joined(session, number))
            case _:
                self._answer(effect, session)

    def _answer(self, effect: fx.Effect, session: SessionState) -> None:
        """The effects an attempt is waiting for."""
        match effect:
            case fx.SupplyPin(number):
                _resolve(self._attempts[number][1].pin_given, self.pins.pop(number))
            case fx.Answer(number, accepted):
                _resolve(self._attempts[number][1].answered, accepted)
            case fx.Refuse(number, cause):
                _resolve(self._attempts[number][1].registered, JoinFailedError(cause))
            case fx.Join(number):
                self._job(self._join(session, number, self._attempts[number][1]))

    async def stop(self) -> None:
        """Cancel everything, and return when it has ended."""
        for _, context in (*self._searches.values(), *self._attempts.values()):
            context.shut()
        await self._stop_tasks(self._tasks)

    async def _stop_tasks(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        """Cancel the tasks and see them end. One that is stopping already is left to close what it has open."""
        tasks = set(tasks)
        for task in tasks - self._stopping:
            task.cancel()
        self._stopping |= tasks
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for task in late:
            logger.error("a pairing task does not stop: %r", task)

    def _job(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._stopping.discard)
        return task

    async def _say(self, event: ev.Event, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await _report(self._dispatch, event)

    def _start_search(self, method: Method, session: SessionState) -> None:
        context = Searching(method.name, session, self.secrets, self._dispatch, self._post)
        self._searches[method.name] = (self._job(self._search(method, context)), context)

    def _start_attempt(self, number: int, session: SessionState) -> None:
        attempt = session.attempts[number - 1]
        context = Attempting(attempt, session, self.secrets, self._dispatch, self._post)
        method = self._methods[attempt.candidate.method]
        self._attempts[number] = (self._job(self._attempt(method, context)), context)

    async def _search(self, method: Method, context: Searching) -> None:
        try:
            await method.search(context)
            event: ev.Event = ev.SearchEnded(method.name)
        except Exception as error:
            event = ev.SearchFailed(method.name, *_cause(error, "network_unavailable"))
        await _report(context.tell, event)

    async def _attempt(self, method: Method, context: Attempting) -> None:
        try:
            await method.attempt(context)
            event: ev.Event = ev.AttemptEnded(context.number)
        except Exception as error:
            event = ev.AttemptFailed(context.number, *_cause(error, "connection_lost"))
        await _report(context.tell, event)

    async def _join(self, session: SessionState, number: int, context: Attempting) -> None:
        assert context.activated is not None  # Proven comes from `context.join` only
        try:
            async with asyncio.timeout(JOIN_TIMEOUT):
                device = await self._registrar.join(session, number, context.activated)
            event: ev.Registered | ev.NotRegistered = ev.Registered(number, device)
        except JoinRefusedError as refused:
            event = ev.NotRegistered(number, refused.cause, refused.detail)
        except Exception:
            logger.exception("pairing session %s: registration failed", session.id)
            found = await self._looked_up(session, number)
            event = ev.Registered(number, found) if found else ev.NotRegistered(number, "storage_failed")
        await _report(self._dispatch, event)
        outcome = JoinFailedError(event.cause) if isinstance(event, ev.NotRegistered) else event.device
        _resolve(context.registered, outcome)

    async def _looked_up(self, session: SessionState, number: int) -> str | None:
        try:
            async with asyncio.timeout(JOIN_TIMEOUT):
                return await self._registrar.joined(session, number)
        except Exception:
            logger.exception("pairing session %s: cannot tell whether the device was registered", session.id)
            return None

    async def _check_joined(self, session: SessionState, number: int) -> None:
        try:
            async with asyncio.timeout(JOIN_TIMEOUT):
                device = await self._registrar.joined(session, number)
        except Exception:
            logger.exception("pairing session %s: cannot tell whether the device was registered", session.id)
            await _report(self._dispatch, ev.Broken("storage_failed"))
            return
        if device is None:
            await _report(self._dispatch, ev.Undone(number))
            return
        await _report(self._dispatch, ev.Registered(number, device))
        await _report(self._dispatch, ev.AttemptEnded(number))

    async def _stop_searches(self, methods: tuple[str, ...]) -> None:
        searches = [self._searches.pop(name) for name in methods if name in self._searches]
        for _, context in searches:
            context.shut()
        await self._stop_tasks(task for task, _ in searches)

    async def _stop_attempt(self, number: int) -> None:
        if number not in self._attempts:
            return
        task, context = self._attempts.pop(number)
        context.shut()
        await self._stop_tasks([task])


async def _report(tell: Dispatch, event: ev.Event) -> None:
    """Tell how something ended, to whom it may no longer concern."""
    try:
        await tell(event)
    except (SessionOverError, StorageFailedError):
        logger.debug("a pairing session ended before %s", type(event).__name__)


def _resolve(future: "asyncio.Future[Any]", value: object) -> None:
    if not future.done():
        future.set_result(value)


def _cause(error: Exception, for_os_error: str) -> tuple[str, dict[str, str]]:
    """The cause and the facts of what a method raised. Anything unforeseen is logged: it is a defect."""
    if isinstance(error, MethodFailedError):
        return error.code, error.facts
    if isinstance(error, PairingError):
        return error.code, {"at": error.step} if error.step else {}
    if isinstance(error, OSError):
        return for_os_error, {"reason": type(error).__name__}
    logger.error("a pairing method failed unforeseen", exc_info=error)
    return "pairing_failed", {}
