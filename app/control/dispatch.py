"""What is open, in memory: in order per device, handed to links as they come up, expired as time passes."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Collection
from itertools import islice

from msgspec.structs import replace

from app.clock import Clock
from app.control import queries
from app.control.link import Link
from app.control.model import Command, Kind
from app.control.states import State
from app.store.store import Store
from app.store.tx import Reader

# How late an expiry may be told; the device itself is told the exact time.
EXPIRY_TICK_S = 0.5

# A device remembers its last 64 answers (pairing.messages.REMEMBERED_COMMANDS): what is sent again after a lost link is
# done once as long as no more than those are without an answer. What it has acknowledged is not sent again.
WINDOW = 32

# That a command was sent is written so much later, for many at once: what is lost with it is sent again, and answered
# once. A device that is there has mostly answered by then, which leaves nothing to write.
SENT_DELAY_S = 0.5

# A program that talks to devices which are silent has thousands end together: each act lets others into its commit.
EXPIRED_AT_ONCE = 64

# False: not written, they are due still.
Expire = Callable[[list[str]], Awaitable[bool]]
LinkOf = Callable[[str], Link | None]


class Dispatch:
    """Open commands. Everything here runs on the event loop, after the commit that it reflects."""

    def __init__(self, store: Store, link_of: LinkOf) -> None:
        self._clock: Clock = store.clock
        self._link_of = link_of
        self._open: dict[str, dict[str, Command]] = {}
        # Sent on the present link of their device, and neither acknowledged nor at their end.
        self._sent_to: dict[str, set[str]] = {}
        self._pumping: set[str] = set()
        self._due: list[tuple[int, str, str]] = []
        self._waiters: dict[str, set[asyncio.Future[Command]]] = {}
        self._sent = store.later(queries.set_sent, SENT_DELAY_S)
        store.keep_resident(self)

    def load(self, reader: Reader) -> None:
        """What the last stop left open; sent when their devices link."""
        for command in queries.open_commands(reader):
            self._keep(command)

    def messages(self, device_id: str) -> int:
        """How many of those are messages; asked from the writer's thread."""
        return sum(it.kind is Kind.MESSAGE for it in tuple(self._open.get(device_id, {}).values()))

    def count(self, device_id: str) -> int:
        """How many commands wait for a device."""
        return len(self._open.get(device_id, ()))

    def waiting(self) -> list[str]:
        """The devices for which commands wait."""
        return list(self._open)

    def get(self, device_id: str, command_id: str) -> Command | None:
        """An open command."""
        return self._open.get(device_id, {}).get(command_id)

    def as_it_stands(self, command: Command) -> Command:
        """A command as read from the disk, which learns only later that it was sent."""
        here = None if command.state.ended else self.get(command.device_id, command.id)
        return command if here is None else replace(command, state=here.state)

    def wishes(self, device_id: str, service: str) -> list[Command]:
        """Those of the shadow that have not ended; asked from the writer's thread."""
        waiting = tuple(self._open.get(device_id, {}).values())
        return [command for command in waiting if command.body.wish and command.body.service == service]

    def is_there(self, device_id: str) -> bool:
        """Whether commands are sent to the device as they come; asked from the writer's thread too."""
        link = self._link_of(device_id)
        return link is not None and link.is_online(device_id)

    def next_ids(self, device_id: str, limit: int, states: Collection[State], kinds: Collection[Kind]) -> list[str]:
        """The first of these kinds that wait for a device in these states; asked from the writer's thread."""
        now = self._clock.now().ms
        waiting = tuple(self._open.get(device_id, {}).values())
        fit = (it.id for it in waiting if it.state in states and it.kind in kinds and it.expires_at > now)
        return list(islice(fit, limit))

    def added(self, command: Command) -> None:
        """A new command is on disk: send it if its device is there."""
        self._keep(command)
        device_id = command.device_id
        link, sent = self._link_of(device_id), self._sent_to.get(device_id)
        # The usual case, without looking at the others: all before it are on their way, and there is room for it.
        if link is not None and sent is not None and len(sent) == len(self._open[device_id]) - 1 < WINDOW:
            if command.kind in link.carries:
                self._send(link, command, sent)
            return
        self._pump(device_id)

    def online(self, device_id: str) -> None:
        """The device has linked: everything that waits for it goes out, in order, again if it went out before."""
        self._sent_to.pop(device_id, None)
        self._pump(device_id)

    def listens(self, device_id: str) -> None:
        """The device listens to more than before on its present link: what waited for that goes out."""
        self._pump(device_id)

    def _pump(self, device_id: str) -> None:
        """Send what is next, in order, as far as the window and the link go."""
        link = self._link_of(device_id)
        if link is None or device_id not in self._open or not link.is_online(device_id):
            return
        if device_id in self._pumping:
            return
        self._pumping.add(device_id)
        try:
            self._send_next(link, device_id)
        finally:
            self._pumping.discard(device_id)

    def _send_next(self, link: Link, device_id: str) -> None:
        sent, waiting = self._sent_to.setdefault(device_id, set()), self._open[device_id]
        # Of messages, those on one topic keep their order; what the device does not listen to holds up nothing else.
        unheard: set[str] = set()
        for command_id in tuple(waiting) if len(sent) < WINDOW else ():
            command = waiting.get(command_id)
            if command is None or command_id in sent or not self._is_to_go(link, command):
                continue
            message = command.body.message
            if message is not None and message.topic in unheard:
                continue
            if len(sent) >= WINDOW:
                return
            if not self._send(link, command, sent):
                if message is None:
                    return
                unheard.add(message.topic)

    def _is_to_go(self, link: Link, command: Command) -> bool:
        fit = command.state is not State.DELIVERED and command.kind in link.carries
        return fit and command.expires_at > self._clock.now().ms

    def moved(self, command: Command) -> None:
        """The command is on disk in this state."""
        if command.state.ended:
            self._drop(command)
        else:
            self._stands(command)

    def acknowledged(self, device_id: str, command_id: str) -> None:
        """The device has it: it is not sent again."""
        if (command := self.get(device_id, command_id)) is not None:
            self._stands(replace(command, state=State.DELIVERED))

    def taken(self, device_id: str, commands: list[Command]) -> None:
        """A fetching device's `commands` are on disk; taken out of them is what it must not be given after all."""
        sent, waiting, now = self._sent_to.get(device_id, ()), self._open.get(device_id, {}), self._clock.now().ms
        fit = [it for it in commands if it.id in waiting and it.id not in sent and it.expires_at > now]
        for command in commands:
            if command.id in waiting and waiting[command.id].state is not State.DELIVERED:
                waiting[command.id] = command
        commands[:] = (it for it in fit if waiting[it.id].state is it.state)

    def _stands(self, command: Command) -> None:
        """An open command is in this state; what has been delivered stays so."""
        waiting = self._open.get(command.device_id, {})
        if command.id in waiting:
            waiting[command.id] = command
            self._sent_to.get(command.device_id, set()).discard(command.id)
            self._pump(command.device_id)

    def device_left(self, device_id: str) -> None:
        """There is no such device any more."""
        self._sent_to.pop(device_id, None)
        for command in self._open.pop(device_id, {}).values():
            self._tell(replace(command, state=State.FAILED))

    async def ended(self, command: Command, seconds: float) -> Command:
        """The command once it has ended, or as it stands after `seconds`."""
        if self.get(command.device_id, command.id) is None:
            return command
        waiter: asyncio.Future[Command] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(command.id, set()).add(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            return self.get(command.device_id, command.id) or command
        finally:
            self._waiters.get(command.id, set()).discard(waiter)

    async def run(self, expire: Expire) -> None:
        """Have what is due expired, for ever."""
        while True:
            await asyncio.sleep(EXPIRY_TICK_S)
            while (due := self._next_due()) and await expire(due):
                pass

    def _next_due(self) -> list[str]:
        due: list[str] = []
        now = self._clock.now().ms
        while self._due and self._due[0][0] <= now and len(due) < EXPIRED_AT_ONCE:
            _, command_id, device_id = heapq.heappop(self._due)
            if self.get(device_id, command_id) is not None:
                due.append(command_id)
        return due

    def again(self, command_ids: list[str]) -> None:
        """Their expiry could not be written: they are due still."""
        for commands in self._open.values():
            for command_id in set(command_ids) & commands.keys():
                self._push(commands[command_id])

    def _send(self, link: Link, command: Command, sent: set[str]) -> bool:
        """Whether it went out; one that is over does not."""
        device_id, is_new = command.device_id, command.state is State.QUEUED
        if command.expires_at <= self._clock.now().ms:
            return False
        # Noted first: a link may know at once that the device has it.
        sent.add(command.id)
        self._open[device_id][command.id] = replace(command, state=State.SENT)
        if not link.send(device_id, command):
            sent.discard(command.id)
            self._open[device_id][command.id] = command
            return False
        if is_new:
            self._sent.add(command.n)
        return True

    def _keep(self, command: Command) -> None:
        self._open.setdefault(command.device_id, {})[command.id] = command
        self._push(command)

    def _push(self, command: Command) -> None:
        heapq.heappush(self._due, (command.expires_at, command.id, command.device_id))

    def _drop(self, command: Command) -> None:
        commands = self._open.get(command.device_id)
        if commands is not None:
            commands.pop(command.id, None)
            self._sent_to.get(command.device_id, set()).discard(command.id)
            if not commands:
                del self._open[command.device_id]
                self._sent_to.pop(command.device_id, None)
        self._tell(command)
        self._pump(command.device_id)

    def _tell(self, command: Command) -> None:
        for waiter in self._waiters.pop(command.id, ()):
            if not waiter.done():
                waiter.set_result(command)
