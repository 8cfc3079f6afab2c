"""Provisioning over a GATT connection (MshPRT 1.1, 5.2.2 and 7.1): carries a provisioning talk out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ble.errors import BleError, Disconnected, Malformed
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.errors import ProvisioningTimedOut
from ble.mesh.provisioning.provisioner import Provisioned
from ble.mesh.provisioning.talk import PERSON_TIMEOUT_S, Accept, Action, Answer, Ask, Assign, Receive, Send, Show, Talk
from ble.mesh.proxy import Kind, Reassembly, segments
from ble.radio import Connection, uuid16

SERVICE = uuid16(0x1827)
DATA_IN = uuid16(0x2ADB)
DATA_OUT = uuid16(0x2ADC)

T = TypeVar("T")

MAX_WAITING = 16
"""Messages that a device may be ahead of us: honest ones are never ahead by more than one."""

OnAssign: TypeAlias = Callable[[Assign], Awaitable[ProvisioningData]]
OnAsk: TypeAlias = Callable[[Ask], Awaitable[str]]
OnAccept: TypeAlias = Callable[[Accept], Awaitable[bool]]
OnShow: TypeAlias = Callable[[Show], Awaitable[None]]
OnStep: TypeAlias = Callable[[str], None]


async def _nobody_asks(_: Ask) -> str:
    return ""


async def _nobody_objects(_: Accept) -> bool:
    return True


async def _nobody_sees(_: Show) -> None:
    return None


def _nobody_watches(_: str) -> None:
    return None


async def pump(
    talk: Talk[Provisioned],
    connection: Connection,
    *,
    on_assign: OnAssign,
    on_ask: OnAsk = _nobody_asks,
    on_accept: OnAccept = _nobody_objects,
    on_show: OnShow = _nobody_sees,
    on_step: OnStep = _nobody_watches,
    person_timeout: float = PERSON_TIMEOUT_S,
) -> Provisioned:
    """The talk's node. Raises what the talk raises, BleError of the connection included.

    `on_assign` chooses the addresses and returns once they and the device key are durable; `on_ask` reads from a person
    what the device shows, and `on_accept` whether it is the one meant, within `person_timeout` seconds; `on_step` hears
    the name of each step. Cancellation ends the talk at any await; the connection stays the caller's, who closes it in
    every case but success as well (5.4.4).
    """
    incoming = _Incoming()
    connection.on_disconnect(incoming.ended)
    await connection.subscribe(DATA_OUT, incoming.heard)
    shell = _Shell(connection, incoming, on_assign, on_ask, on_accept, on_show, on_step, person_timeout)
    try:
        return await _drive(talk, shell)
    finally:
        talk.close()


async def _drive(talk: Talk[Provisioned], shell: "_Shell") -> Provisioned:
    answer: Answer = None
    failed: BleError | None = None
    while True:
        try:
            action = talk.throw(failed) if failed else talk.send(answer)
        except StopIteration as stop:
            result: Provisioned = stop.value
            return result
        answer, failed = None, None
        try:
            answer = await shell.carry_out(action)
        except BleError as error:
            failed = error


class _Incoming:
    """What the device notified: whole provisioning PDUs in order, then the error that ended it."""

    def __init__(self) -> None:
        self._reassembly = Reassembly()
        self._queue: asyncio.Queue[bytes | BleError] = asyncio.Queue()

    def heard(self, pdu: bytes) -> None:
        if self._queue.qsize() >= MAX_WAITING:
            return
        try:
            whole = self._reassembly.feed(pdu, time.monotonic())
        except Malformed as error:
            self._queue.put_nowait(error)
            return
        if whole is not None and whole.kind is Kind.PROVISIONING:
            self._queue.put_nowait(whole.data)

    def ended(self) -> None:
        self._queue.put_nowait(Disconnected("the device ended the connection"))

    async def next(self) -> bytes:
        item = await self._queue.get()
        if isinstance(item, BleError):
            raise item
        return item


@dataclass(frozen=True, slots=True)
class _Shell:
    connection: Connection
    incoming: _Incoming
    on_assign: OnAssign
    on_ask: OnAsk
    on_accept: OnAccept
    on_show: OnShow
    on_step: OnStep
    person_timeout: float

    async def carry_out(self, action: Action) -> Answer:
        match action:
            case Send(pdu):
                for part in segments(Kind.PROVISIONING, pdu, self.connection.max_write):
                    await self.connection.write(DATA_IN, part, response=False)
            case Receive(timeout, step):
                self.on_step(step)
                return await _within(timeout, step, self.incoming.next())
            case Show():
                await self.on_show(action)
            case Ask():
                self.on_step("ask")
                return await _within(self.person_timeout, "ask", self.on_ask(action))
            case Accept():
                self.on_step("accept")
                return await _within(self.person_timeout, "accept", self.on_accept(action))
            case Assign():
                return await self.on_assign(action)
        return None


async def _within(seconds: float, step: str, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ProvisioningTimedOut(f"nothing within {seconds:g} s: {step}") from error
