"""Commands to devices of a mesh, in order for each: what is sent for them, and what comes of it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from app.clock import Clock
from app.control.model import Command, Kind
from app.control.service import Control
from app.links.mesh.placing import Placed
from app.links.mesh.speaking import KELVIN, Asking, Range, asking, service_of, setting, telling
from ble.errors import BleError
from ble.mesh.access import Message
from ble.mesh.client import MeshClient, NodeSilent, NoProxy
from ble.mesh.exchange import ByApp, QueueFull, Received
from ble.mesh.models.tid import NextTid
from ble.mesh.sequence import NumbersUsedUp

GROUP_ANSWERS_S = 2.0
"""How long the devices of a group have to answer the one message; who has not is spoken to by itself."""
_log = structlog.get_logger("doorstep.mesh")


class Obeying:
    """`app_key` is the index of the key that devices are spoken to with. `silent` is told of a node without answer."""

    def __init__(
        self, client: MeshClient, control: Control, clock: Clock, app_key: int, silent: Callable[[int], None]
    ) -> None:
        self.kelvin: dict[str, Range] = {}
        self.group_messages = 0
        self._client, self._control, self._clock, self._silent = client, control, clock, silent
        self.key = ByApp(app_key)
        self._tid = NextTid()
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, placed: Placed, command: Command) -> None:
        """Have it done after what came before it for that device."""
        self._run(self._in_turn([(placed, command)], None))

    def start_group(self, each: list[tuple[Placed, Command]], address: int) -> None:
        """Have the same done by all of these, who listen to `address`, with one message where that can be."""
        self._run(self._in_turn(each, address))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="mesh command")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """What is under way is left; it is handed over again."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _in_turn(self, each: list[tuple[Placed, Command]], address: int | None) -> None:
        held = [self._turns.setdefault(device, asyncio.Lock()) for device in sorted(one.device_id for one, _ in each)]
        taken: list[asyncio.Lock] = []
        try:
            for lock in held:
                await lock.acquire()
                taken.append(lock)
            left = each if address is None else await self._all_at_once(each, address)
            await asyncio.gather(*(self._alone(placed, command) for placed, command in left))
        finally:
            for lock in taken:
                lock.release()

    # one device

    async def _alone(self, placed: Placed, command: Command) -> None:
        """Until it is done, refused or over; a proxy that is away is waited for."""
        while self._is_open(command):
            try:
                values = await self._done(placed, command)
            except (NoProxy, QueueFull, NumbersUsedUp):
                await asyncio.sleep(0.5)
                continue
            except NodeSilent:
                self._silent(placed.address)
                await self._answered(command, error="node_silent")
            except BleError as error:
                await self._answered(command, error=error.code)
            else:
                await self._answered(command, values=values)
            return

    def _is_open(self, command: Command) -> bool:
        """What has ended meanwhile, because its device was frozen, is not begun any more."""
        is_there = self._control.dispatch.get(command.device_id, command.id) is not None
        return is_there and command.expires_at > self._clock.now().ms

    async def _done(self, placed: Placed, command: Command) -> dict[str, Any]:
        wanted = self._wanted(placed, command)
        told: dict[str, Any] = {}
        for each in wanted:
            told |= await self.ask(placed, each)
        return {name: value for name, value in told.items() if not command.body.values or name in command.body.values}

    def _wanted(self, placed: Placed, command: Command) -> list[Asking]:
        if command.kind is Kind.SET:
            return setting(placed.part, command.body.values, self._tid(), self.kelvin.get(placed.device_id, KELVIN))
        return asking(placed.part)

    async def ask(self, placed: Placed, each: Asking, tries: int | None = None) -> dict[str, Any]:
        """What the device says of the service it is controlled by. Raises BleError."""
        at = placed.at(each.element)
        answer = await self._client.request(at, each.message.message(), self.key, answers=(each.answer,), tries=tries)
        return self._values(placed, answer)

    def _values(self, placed: Placed, message: Message) -> dict[str, Any]:
        service, kelvin = service_of(placed.part), self.kelvin.get(placed.device_id, KELVIN)
        told = telling(placed.part, message, kelvin)
        return {name: value for one in told if one.service == service for name, value in one.values.items()}

    async def _answered(self, command: Command, values: dict[str, Any] | None = None, error: str | None = None) -> None:
        await self._control.answered(command.device_id, command.id, ok=error is None, values=values or {}, error=error)

    # a group

    async def _all_at_once(self, each: list[tuple[Placed, Command]], address: int) -> list[tuple[Placed, Command]]:
        """Those that have not answered the one message; all of them where it cannot be one."""
        steps = self._same_for_all([placed for placed, _ in each], each[0][1])
        told: dict[str, dict[str, Any]] = {placed.device_id: {} for placed, _ in each} if steps else {}
        try:
            for step in steps:
                answers = await self._answers(address, step)
                told = {device: values | answers[device] for device, values in told.items() if device in answers}
        except BleError as error:
            _log.info("a group was not reached at once", cause=error.code)
            return each
        for placed, command in each:
            if placed.device_id in told:
                said = told[placed.device_id]
                await self._answered(command, values={n: v for n, v in said.items() if n in command.body.values})
        return [(placed, command) for placed, command in each if placed.device_id not in told]

    def _same_for_all(self, placed: list[Placed], command: Command) -> list[list[tuple[Placed, Asking]]]:
        """The messages that all of them take, each with whom it is for; none where they would take different ones."""
        if command.kind is not Kind.SET:
            return []
        tid, values = self._tid(), command.body.values
        sets = [setting(one.part, values, tid, self.kelvin.get(one.device_id, KELVIN)) for one in placed]
        if any([each.message for each in one] != [each.message for each in sets[0]] for one in sets):
            return []
        return [list(zip(placed, step, strict=True)) for step in zip(*sets, strict=True)]

    async def _answers(self, address: int, step: list[tuple[Placed, Asking]]) -> dict[str, dict[str, Any]]:
        """What the devices say within a short time of one message to all of them. Raises BleError."""
        waiting = {(placed.at(asked.element), asked.answer): placed for placed, asked in step}
        told: dict[str, dict[str, Any]] = {}
        all_have = asyncio.Event()

        def heard(event: Received, message: Message) -> None:
            placed = waiting.get((event.src, message.opcode))
            if placed is not None:
                told[placed.device_id] = self._values(placed, message)
                if len(told) == len(step):
                    all_have.set()

        stop = self._client.on_message(heard)
        try:
            self.group_messages += 1
            await self._client.send(address, step[0][1].message.message(), self.key)
            with suppress(TimeoutError):
                async with asyncio.timeout(GROUP_ANSWERS_S):
                    await all_have.wait()
        finally:
            stop()
        return told
