"""One running session: takes events one at a time, makes each durable, carries out what follows, tells who watches."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TypeAlias

from pairing.errors import StorageFailedError
from pairing.methods.method import Method
from pairing.session import events as ev
from pairing.session.contexts import SessionOverError
from pairing.session.effects import Effect
from pairing.session.log import Entry, Registrar, SessionLog
from pairing.session.reducer import reduce
from pairing.session.states import SessionState, Step
from pairing.session.work import Work

logger = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[SessionState, Entry], None]
"""Told of every change, after it is durable and carried out. Must not block or raise."""

_NOTES = (ev.Noted, ev.SearchNoted)


class _Letter:
    """An event on its way in, when it came (ms), who waits for it, and a PIN where the event is that one was given."""

    def __init__(self, event: ev.Event, at: int, pin: str | None = None) -> None:
        self.event = event
        self.at = at
        self.pin = pin
        self.accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def answer(self, accepted: bool) -> None:
        if not self.accepted.done():
            self.accepted.set_result(accepted)

    def fail(self, error: Exception) -> None:
        if not self.accepted.done():
            self.accepted.set_exception(error)
            self.accepted.exception()  # nobody need be waiting any more


class Actor:
    """Runs one session from its present state to its end; `run` is its whole life."""

    def __init__(
        self,
        state: SessionState,
        secrets: Mapping[str, str],
        *,
        log: SessionLog,
        registrar: Registrar,
        methods: Mapping[str, Method],
        now: Callable[[], int],
        on_change: OnChange,
    ) -> None:
        self._state = state
        self.shown = state
        """The state last made known: durable, and carried out."""
        self._log = log
        self._work = Work(methods, registrar, self.dispatch, self.post)
        self._work.secrets.update(secrets)
        self._on_change = on_change
        # Inside a session time is monotonic: a clock that is set meanwhile neither ends nor prolongs it.
        self._loop = asyncio.get_running_loop()
        self._epoch = now() - self._loop.time() * 1000
        self._inbox: asyncio.Queue[_Letter] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._over = False

    async def dispatch(self, event: ev.Event, pin: str | None = None) -> bool:
        """Hand in an event; whether it meant anything, once it is durable and carried out.

        Raises StorageFailedError when it could not be made durable, SessionOverError when the session has ended before.
        """
        if self._over:
            raise SessionOverError
        letter = _Letter(event, self._now(), pin)
        self._inbox.put_nowait(letter)
        return await letter.accepted

    def post(self, event: ev.Event) -> None:
        """Hand in a note: kept in its order, and not waited for. Raises SessionOverError when the session has ended."""
        if self._over:
            raise SessionOverError
        self._inbox.put_nowait(_Letter(event, self._now()))

    async def run(self) -> None:
        """Live until a terminal state is reached or the task is cancelled; then everything is closed."""
        try:
            while not self._state.state.terminal:
                await self._take(self._with_notes(await self._next()))
        finally:
            try:
                await self._work.stop()
            finally:
                self._end()

    async def steps(self, after: int = 0) -> AsyncIterator[Step]:
        """The steps numbered above `after`, and every further one as it happens; ends with the session."""
        while True:
            changed, shown = self._changed, self.shown
            for step in shown.steps:
                if step.seq > after:
                    after = step.seq
                    yield step
            if shown.state.terminal or self._over:
                return
            await changed.wait()

    async def ended(self) -> SessionState:
        """The state the session ends in (or is in, should the runner close before)."""
        while not (self.shown.state.terminal or self._over):
            await self._changed.wait()
        return self.shown

    def _now(self) -> int:
        return int(self._epoch + self._loop.time() * 1000)

    async def _next(self) -> _Letter:
        if self._state.closing is not None:
            return await self._inbox.get()
        try:
            async with asyncio.timeout_at((self._state.expires_at - self._epoch) / 1000):
                return await self._inbox.get()
        except TimeoutError:
            return _Letter(ev.Expire(), self._now())

    def _with_notes(self, letter: _Letter) -> list[_Letter]:
        """A note and all that waits behind it, up to what is no note: kept by one write."""
        letters = [letter]
        while isinstance(letters[-1].event, _NOTES) and not self._inbox.empty():
            letters.append(self._inbox.get_nowait())
        return letters

    async def _take(self, letters: list[_Letter]) -> None:
        before = self._state
        try:
            await self._accept(letters)
        except Exception:
            logger.exception("pairing session %s: an event could not be kept or carried out", before.id)
            await self._break(before)
            for letter in letters:
                letter.fail(StorageFailedError())
        finally:
            for letter in letters:
                letter.fail(SessionOverError())  # unless answered: the runner closes

    async def _accept(self, letters: list[_Letter]) -> None:
        before = self._state
        effects: list[Effect] = []
        accepted: list[bool] = []
        for letter in letters:
            was = self._state
            self._state, more = reduce(was, letter.event, letter.at)
            effects += more
            accepted.append(self._state is not was)
        if self._state is not before:
            last = letters[-1]
            entry = self._entry(before, last.event)
            await self._log.append(self._state.id, entry, self._state)
            if last.pin is not None and isinstance(last.event, ev.PinGiven):
                self._work.pins[last.event.attempt] = last.pin
            await self._carry_out(effects)
            self._publish(entry)
        for letter, meant in zip(letters, accepted, strict=True):
            letter.answer(meant)

    def _entry(self, before: SessionState, event: ev.Event) -> Entry:
        seen = before.steps[-1].seq if before.steps else 0
        steps = tuple(step for step in self._state.steps if step.seq > seen)
        return Entry(at=self._now(), event=type(event).__name__, state=self._state.state, steps=steps)

    async def _break(self, before: SessionState) -> None:
        """End here and now. Where this cannot be kept either, the next start finds the session open and decides."""
        event = ev.Broken("storage_failed")
        self._state, effects = reduce(self._state, event, self._now())
        entry = self._entry(before, event)
        try:
            await self._log.append(self._state.id, entry, self._state)
        except Exception:
            logger.warning("pairing session %s: its end could not be kept", self._state.id, exc_info=True)
        await self._carry_out(effects)
        self._publish(entry)

    async def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            await self._work.do(effect, self._state)
        if self._state.state.terminal:
            await self._work.stop()

    def _publish(self, entry: Entry) -> None:
        self.shown = self._state
        try:
            self._on_change(self._state, entry)
        except Exception:
            logger.exception("pairing session %s: its change could not be told", self._state.id)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _end(self) -> None:
        self._over = True
        while not self._inbox.empty():
            self._inbox.get_nowait().fail(SessionOverError())
        self._changed.set()
