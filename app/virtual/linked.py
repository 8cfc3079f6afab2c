"""One link to the hub, from hello to its end: reports, commands, heartbeat (pairing/PROTOCOL.md, "Messages")."""

import asyncio
import secrets
from contextlib import suppress

from msgspec.structs import replace

from app.virtual.body import Changes
from app.virtual.children import OPEN_JOINING, Children
from app.virtual.obeying import obey, refusal
from app.virtual.parts import Parts
from pairing import device as memory
from pairing import wire
from pairing.channel import Channel
from pairing.errors import PairingError
from pairing.messages import (
    SILENCE_LIMIT,
    AdoptChild,
    Answer,
    Command,
    ForgetChild,
    FromDevice,
    FromHub,
    Hello,
    Hubs,
    Moved,
    PermitJoin,
    Ping,
    Pong,
    Report,
    Reset,
    Wifi,
    WifiAccepted,
    WifiKeep,
    WifiRefused,
    decode_from_hub,
    encode,
)
from pairing.pump import read_frame, write_frame
from pairing.wifi import UnfitNetworkError


class Linked:
    """A proved connection to a hub. The caller closes it."""

    def __init__(
        self, parts: Parts, hub_id: str, channel: Channel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._parts = parts
        self._hub_id = hub_id
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self._lock = asyncio.Lock()
        self._greeted = False
        self._hub_ahead: int | None = None  # ms, by its last pong

    async def stay(self) -> None:
        """Until the hub lets the device go. Raises PairingError when the link is lost, PowerLost."""
        self._parts.how.check_power("linked")
        await self._greet()
        beating = asyncio.create_task(self._beat())
        try:
            while await self._hear(await self._receive()):
                pass
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def say(self, message: FromDevice) -> None:
        """Raises PairingError."""
        if self._parts.how.slow:
            await asyncio.sleep(self._parts.how.slow)
        async with self._lock:
            frame = self._channel.seal(self._words(message))
            for _ in range(2 if self._parts.how.replays else 1):
                await write_frame(self._writer, frame)

    def _words(self, message: FromDevice) -> bytes:
        if self._parts.how.babbles and not isinstance(message, Hello):
            return secrets.token_bytes(64)
        return encode(message)

    async def say_reset(self) -> None:
        """As the last words, or the only ones, of this link. Raises PairingError."""
        if not self._greeted:
            await self._say_hello()
        await self.say(Reset())

    async def tell(self, message: FromDevice) -> None:
        """Say it, but for before the greeting: hello is first of all. Raises PairingError."""
        if self._greeted:
            await self.say(message)

    async def report(self, changes: Changes) -> None:
        """What is different now; before the greeting it is not said, since the greeting says everything."""
        if self._greeted:
            for service, values in changes.items():
                await self.say(Report(service, dict(values), self._parts.now_ms()))

    async def _say_hello(self) -> None:
        facts, wifi = self._parts.facts, self._parts.wifi
        name, change, trial = wifi.said() if wifi is not None else (None, None, False)
        state = self._parts.memory.state
        # A binding in the making is not talked of: its hub alone knows of it.
        hubs = tuple(binding.hub_id for binding in (state.active, state.standby) if binding is not None)
        await self.say(Hello(facts.firmware, facts.product, name, change, trial, hubs or None, state.epoch))

    async def _greet(self) -> None:
        body = self._parts.body
        await self._say_hello()
        self._greeted = True
        await self.say(Ping())  # what expires does so by the hub's clock
        await self.report({service.id: body.readable(service.id) for service in body.product.services})
        if self._parts.children is not None:
            await self._parts.children.present()

    async def _beat(self) -> None:
        with suppress(PairingError):
            while True:
                await asyncio.sleep(self._parts.place.heartbeat)
                await self.say(Ping())

    async def _receive(self) -> bytes:
        # The hub answers each ping: silence for longer means that it is gone.
        frame = await read_frame(self._reader, SILENCE_LIMIT, step="linked", limit=wire.MAX_FRAME)
        return self._channel.open(frame)

    async def _hear(self, raw: bytes) -> bool:
        match decode_from_hub(raw):
            case Command() as command:
                await self._obey(command)
            case Moved(endpoints):
                await self._parts.memory.change(lambda state: memory.moved(state, endpoints))
                self._parts.notices.tell("hub_moved", endpoints=[list(endpoint) for endpoint in endpoints])
            case Hubs() as told:
                return await self._hold_to(told)
            case Reset():
                await self._parts.memory.change(memory.unbind)
                self._parts.notices.tell("reset", by="hub")
                with suppress(PairingError):  # the hub may have closed already
                    await self.say(Reset())
                return False
            case Pong(at):
                self._hub_ahead = at - self._parts.now_ms()
            case Wifi() as order:
                await self._try_network(order)
            case WifiKeep(change):
                if self._parts.wifi is not None:
                    await self._parts.wifi.keep(change)
                await self._greet()
            case message if self._parts.children is not None:
                await self._of_children(self._parts.children, message)
        return True

    async def _hold_to(self, told: Hubs) -> bool:
        """Whether this link is with the hub that holds the device now; else it goes there."""
        state = await self._parts.memory.change(lambda state: memory.held_by(state, told))
        own, standby = state.active, state.standby
        if own is None:
            return True
        self._parts.notices.tell("hubs", hub=own.hub_id, standby=None if standby is None else standby.hub_id)
        return own.hub_id == self._hub_id

    async def _try_network(self, order: Wifi) -> None:
        wifi = self._parts.wifi
        if wifi is None or self._parts.how.refuses:
            await self.say(WifiRefused(order.change, self._parts.how.refuses or "wired"))
        elif wifi.on_it(order.change):
            await self._greet()
        else:
            try:
                wifi.check(order)
            except UnfitNetworkError as error:
                await self.say(WifiRefused(order.change, error.code))
                return
            await self.say(WifiAccepted(order.change))
            wifi.order(order)

    async def _of_children(self, children: Children, message: FromHub) -> None:
        match message:
            case PermitJoin(seconds):
                await children.permit(seconds)
            case AdoptChild(child):
                await children.present(child)
            case ForgetChild(child):
                await children.leave(child)

    async def _obey(self, command: Command) -> None:
        how = self._parts.how
        if how.deaf:
            return
        how.check_power("command")
        if command.child is not None:
            await self._obey_behind(command)
            return
        changes: Changes = {}
        answer = memory.answer_to(self._parts.memory.state, command.id)
        if answer is None:
            answer, changes = self._do(command)
            await self._keep(answer)
        how.check_power("answer")
        for _ in range(2 if how.twice else 1):
            await self.say(answer)
        await self.report(changes)
        if command.name == OPEN_JOINING and answer.ok and self._parts.children is not None:
            await self._parts.children.permit(int(command.params.get("seconds") or 0))

    async def _obey_behind(self, command: Command) -> None:
        if self._parts.children is None:
            await self.say(refusal(command, "no_such_child"))
        else:
            await self._parts.children.obey(command, self._hub_now())

    def _do(self, command: Command) -> tuple[Answer, Changes]:
        how, body, notices = self._parts.how, self._parts.body, self._parts.notices
        if how.refuses:
            return refusal(command, how.refuses), {}
        answer, changes = obey(body, command, self._hub_now())
        notices.tell(
            "command",
            kind=command.kind,
            service=command.service,
            **({"values": command.values} if command.values else {}),
            **({"name": command.name} if command.name else {}),
            ok=answer.ok,
            **({"error": answer.error} if answer.error else {}),
        )
        while body.shown:
            event, details = body.shown.pop(0)
            notices.tell(event, **details)
        return answer, changes

    def _hub_now(self) -> int | None:
        return None if self._hub_ahead is None else self._parts.now_ms() + self._hub_ahead

    async def _keep(self, answer: Answer) -> None:
        """On disk, with what was done, before it is said: after a power loss the same command is not done twice."""
        values = self._parts.body.kept()
        await self._parts.memory.change(lambda state: replace(memory.remember(state, answer), values=values))
