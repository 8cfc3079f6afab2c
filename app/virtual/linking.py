"""How a paired device comes back to its hub: known endpoints first, then by listening, with growing pauses."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from msgspec.structs import replace

from app.virtual.body import Changes
from app.virtual.finding import Heard, listening
from app.virtual.linked import Linked
from app.virtual.misbehaviour import PowerLost, misbehave, waiting
from app.virtual.parts import Parts
from pairing import device as memory
from pairing import wire
from pairing.channel import Channel
from pairing.device import Binding, DeviceState
from pairing.errors import LinkRefusedError, PairingError, StorageFailedError
from pairing.link import device_talk
from pairing.messages import Endpoint, FromDevice
from pairing.pump import close, pump
from pairing.racing import first_of

CONNECT_TIMEOUT = 5.0
LAST_WORDS = 5.0
MAX_ENDPOINTS = 8
# Of a binding: its hub, and what proves the device to it.
Mark: TypeAlias = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Reached:
    """A hub that has proved itself; `endpoint` None: over Bluetooth."""

    binding: Binding
    endpoint: Endpoint | None
    channel: Channel
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Linking:
    """`free` is set while no hub is pairing the device: a binding in the making is not tried."""

    # How many times `astray_after` it is without its hub before it tries another.
    patience = 1

    def __init__(self, parts: Parts, free: asyncio.Event, died: Callable[[str], None]) -> None:
        self._parts = parts
        self._free = free
        self._died = died
        self._used: Mark | None = None
        self._linked: Linked | None = None
        self._refused_since: dict[bytes, float] = {}
        # When it last was with its hub, or began to look for it (monotonic, s).
        self._alone_since = time.monotonic()

    async def run(self) -> None:
        """For as long as the device is on."""
        known = self._parts.memory
        with suppress(PowerLost):
            while True:
                state = await known.until(lambda state: bool(state.candidates))
                await first_of(self._keep_linked(), known.until(partial(self._over, marks_of(state))))

    def _over(self, marks: tuple[Mark, ...], state: DeviceState) -> bool:
        """Whether the binding to work with is no longer the one of `marks`, the state's when the work began."""
        return self._used not in marks_of(state) if self._used is not None else marks_of(state) != marks

    async def report(self, changes: Changes) -> None:
        """Tell the hub, if it is linked; a hub that is not will hear everything when it is."""
        if self._linked is not None:
            with suppress(PairingError):
                await self._linked.report(changes)

    async def say(self, message: FromDevice) -> None:
        """Tell the hub, if it is linked."""
        if self._linked is not None:
            with suppress(PairingError):
                await self._linked.tell(message)

    async def say_reset(self) -> None:
        """Tell the hub that the device is being reset by hand, where a link stands or can be made soon."""
        with suppress(PairingError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                if self._linked is not None:
                    await self._linked.say_reset()
                elif (reached := await self._round()) is not None:
                    try:
                        await self._linked_with(reached).say_reset()
                    finally:
                        await close(reached.writer)

    async def _keep_linked(self) -> None:
        while True:
            await self._stay(await self._reach())
            await asyncio.sleep(self._parts.place.retry_first)

    async def _reach(self) -> Reached:
        if (reached := await self._round()) is not None:
            return reached
        place = self._parts.place
        self._parts.notices.tell("searching")
        async with listening(self._knows, place.interfaces) as heard:
            for pause in _pauses(place.retry_first, place.retry_most):
                jittered = pause * (1 + self._parts.chance.random() / 2)
                await heard.wait(jittered)
                if (reached := await self._round(heard)) is not None:
                    return reached
        raise AssertionError("pauses have no end")

    def _knows(self, hub_id: str) -> bool:
        return any(binding.hub_id == hub_id for binding in self._parts.memory.state.known)

    def _to_try(self) -> tuple[Binding, ...]:
        state, alone = self._parts.memory.state, time.monotonic() - self._alone_since
        return state.known if alone >= self.patience * self._parts.place.astray_after else state.candidates

    async def _round(self, heard: Heard | None = None) -> Reached | None:
        """One attempt with each binding at each endpoint."""
        for binding in self._to_try():
            said = () if heard is None else heard.endpoints(binding.hub_id)
            for endpoint in dict.fromkeys((*said, *binding.endpoints)):
                await self._free.wait()
                try:
                    return await self._attempt(binding, endpoint)
                except LinkRefusedError as error:
                    await self._refused(binding, error)
                    break
                except (PairingError, OSError):
                    continue  # nobody there, or somebody who is not the hub
        return None

    async def _attempt(self, binding: Binding, endpoint: Endpoint) -> Reached:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(*endpoint, limit=wire.MAX_FRAME)
        except UnicodeError as error:  # a name no resolver takes
            raise OSError(str(error)) from error
        return Reached(binding, endpoint, await self._proved(binding, reader, writer), reader, writer)

    async def _proved(self, binding: Binding, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Channel:
        """A channel to the hub of this binding; closes the connection where it raises PairingError."""
        how = self._parts.how
        shown = replace(binding, credential=self._parts.entropy(32)) if how.wrong_credential else binding
        talk = device_talk(self._parts.memory.state.identity, shown, entropy=self._parts.entropy)
        polite = replace(how, silent=False, dies_at="")
        return await pump(
            misbehave(talk, polite), reader, writer, on_progress=waiting(_ignore_progress), keep_open=True
        )

    def _linked_with(self, reached: Reached) -> Linked:
        return Linked(self._parts, reached.binding.hub_id, reached.channel, reached.reader, reached.writer)

    async def _refused(self, binding: Binding, error: LinkRefusedError) -> None:
        now = time.monotonic()
        waited = now - self._refused_since.setdefault(binding.credential, now)
        self._parts.notices.tell("link_refused", hub=binding.hub_id, reason=error.reason)
        with suppress(StorageFailedError):  # it is refused again next time
            state = await self._parts.memory.change(lambda state: memory.refused(state, binding, error.reason, waited))
            if not state.candidates:
                self._parts.notices.tell("reset", by="hub")

    async def _stay(self, reached: Reached) -> None:
        self._used = _mark(reached.binding)
        self._linked = self._linked_with(reached)
        where = _where(reached.endpoint)
        code = "closed"
        try:
            await self._parts.memory.change(lambda state: _linked(state, reached))
            self._parts.notices.tell("linked", hub=reached.binding.hub_id, **where)
            await self._linked.stay()
        except PairingError as error:
            code = error.code
        except PowerLost as loss:
            reached.writer.transport.abort()
            self._died(loss.step)
            raise
        finally:
            self._used = self._linked = None
            self._alone_since = time.monotonic()
            await close(reached.writer)
            self._parts.notices.tell("unlinked", hub=reached.binding.hub_id, code=code)


def _linked(state: DeviceState, reached: Reached) -> DeviceState:
    """The state after a link came up: its binding is the hub's, and this is where the hub is."""
    state = memory.linked(state, reached.binding)
    if state.active is None or state.active.hub_id != reached.binding.hub_id:
        return state
    if reached.endpoint is None or reached.endpoint in state.active.endpoints:
        return state
    return memory.moved(state, (reached.endpoint, *state.active.endpoints)[:MAX_ENDPOINTS])


def _where(endpoint: Endpoint | None) -> dict[str, Any]:
    """Of the hub, as it is told; None: it has connected over Bluetooth."""
    return {"over": "bluetooth"} if endpoint is None else {"host": endpoint[0], "port": endpoint[1]}


def marks_of(state: DeviceState) -> tuple[Mark, ...]:
    """What tells the bindings of a state apart from others, wherever their hubs are reached."""
    return tuple(_mark(binding) for binding in state.known)


def _mark(binding: Binding) -> Mark:
    return binding.hub_id, binding.credential


def _pauses(first: float, most: float) -> Iterator[float]:
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, most)


async def _ignore_progress(_: object) -> None:
    return None
