"""The devices behind a virtual gateway: they join while it lets them, are kept with its state, and obey through it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from app.devices.product.catalogue import built_in
from app.devices.product.model import Product
from app.virtual.body import Body, Changes
from app.virtual.kinds import body_of
from app.virtual.memory import KeptChild, KeptState, Memory
from app.virtual.notices import Notices
from app.virtual.obeying import obey, refusal
from pairing.messages import (
    MAX_CHILDREN,
    REMEMBERED_COMMANDS,
    Answer,
    Child,
    ChildLeft,
    Command,
    FromDevice,
    Joining,
    Report,
)

FIRMWARE = "1.0.0"
OPEN_JOINING = "open_joining"
"""The gateway product's own command for what `permit_join` does."""


class Children:
    """`say` tells the hub, where one is linked; it is set once there is a link to say it on."""

    def __init__(self, gateway: Body, memory: Memory, notices: Notices, *, waiting: Sequence[Product] = ()) -> None:
        self._gateway = gateway
        self._memory = memory
        self._notices = notices
        self._waiting = list(waiting[len(memory.state.children) :])
        self._bodies: dict[str, Body] = {}
        self._away: set[str] = set()
        self._window: asyncio.Task[None] | None = None
        self.say: Callable[[FromDevice], Awaitable[None]] = _to_nobody

    @property
    def ids(self) -> tuple[str, ...]:
        """What the gateway calls them."""
        return tuple(self._memory.state.children)

    async def close(self) -> None:
        """The gateway goes off: nothing is open."""
        if self._window is not None:
            self._window.cancel()
            await asyncio.gather(self._window, return_exceptions=True)
            self._window = None

    # joining

    async def permit(self, seconds: int) -> None:
        """Let devices join for so long, 0: no longer."""
        was_open = self._window is not None
        await self.close()
        await self.say(Joining(seconds))
        if seconds:
            self._notices.tell("joining_open", seconds=seconds)
            self._window = asyncio.create_task(self._open(seconds))
        elif was_open:
            self._notices.tell("joining_closed")

    async def _open(self, seconds: int) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self.join(self._waiting.pop(0))
                await asyncio.Event().wait()
        except TimeoutError:
            self._window = None
            self._notices.tell("joining_closed")
            await self.say(Joining(0))

    async def join(self, product: Product) -> str:
        """A device of this product joins; what the gateway calls it. Raises ValueError where it may not."""
        if self._window is None:
            raise ValueError("the gateway lets no device join")
        if len(self.ids) >= MAX_CHILDREN or product.gateway:
            raise ValueError(f"no {product.id} fits behind this gateway any more")
        child = secrets.token_hex(8)
        new = KeptChild(product.id, body_of(product).kept())
        await self._memory.change(lambda state: _with(state, child, new))
        self._notices.tell("child_joined", child=child, product=product.id)
        await self._count()
        await self.present(child)
        return child

    async def leave(self, child: str) -> None:
        """It is reset, or let go by the hub: behind the gateway no more."""
        known = child in self.ids
        await self._memory.change(lambda state: _with(state, child, None))
        self._bodies.pop(child, None)
        self._away.discard(child)
        await self.say(ChildLeft(child))
        if known:
            self._notices.tell("child_left", child=child)
            await self._count()

    async def reach(self, child: str, *, online: bool) -> None:
        """It is out of the gateway's reach, or back. Raises ValueError."""
        if child not in self.ids:
            raise ValueError(f"there is no child {child}")
        (self._away.discard if online else self._away.add)(child)
        await self.present(child)

    async def present(self, child: str | None = None) -> None:
        """Say who is behind the gateway, or that this one is, and all that can be read of it."""
        for each in self.ids if child is None else (child,) if child in self.ids else ():
            online = each not in self._away
            await self.say(Child(each, self._memory.state.children[each].product, fw=FIRMWARE, online=online))
            if online:
                body = self._body(each)
                await self._report(each, {s.id: body.readable(s.id) for s in body.product.services})

    # living

    async def obey(self, command: Command, hub_now_ms: int | None) -> None:
        """Do it once, and answer; the answer is kept before it is said."""
        child = command.child or ""
        if child not in self.ids or child in self._away:
            await self.say(refusal(command, "no_such_child" if child not in self.ids else "child_offline"))
            return
        kept = self._memory.state.children[child]
        answer = next((given for given in kept.answered if given.id == command.id), None)
        changes: Changes = {}
        if answer is None:
            body = self._body(child)
            answer, changes = obey(body, command, hub_now_ms)
            await self._keep(child, answer)
            self._show(child, body, command, answer)
        await self.say(answer)
        await self._report(child, changes)

    async def tick(self, seconds: float, chance: Random) -> None:
        """Let that time pass for all of them."""
        for child in self.ids:
            await self._report(child, self._body(child).tick(seconds, chance))

    def _body(self, child: str) -> Body:
        if child not in self._bodies:
            kept = self._memory.state.children[child]
            product = built_in().get(kept.product)
            assert product is not None  # it joined as one of them
            self._bodies[child] = body_of(product)
            self._bodies[child].wake(kept.values)
        return self._bodies[child]

    async def _keep(self, child: str, answer: Answer) -> None:
        values = self._body(child).kept()

        def change(state: KeptState) -> KeptState:
            if (kept := state.children.get(child)) is None:
                return state
            answered = (*kept.answered, answer)[-REMEMBERED_COMMANDS:]
            return _with(state, child, replace(kept, values=values, answered=answered))

        await self._memory.change(change)

    def _show(self, child: str, body: Body, command: Command, answer: Answer) -> None:
        details: dict[str, Any] = {"kind": command.kind, "service": command.service, "values": command.values}
        self._notices.tell("command", child=child, ok=answer.ok, **details)
        for event, shown in body.shown:
            self._notices.tell(event, child=child, **shown)
        body.shown.clear()

    async def _report(self, child: str, changes: Changes) -> None:
        if child not in self._away:
            for service, values in changes.items():
                await self.say(Report(service, dict(values), time.time_ns() // 1_000_000, child))

    async def _count(self) -> None:
        for service, values in self._gateway.put("hub", {"children": len(self.ids)}).items():
            await self.say(Report(service, dict(values)))


def _with(state: KeptState, child: str, kept: KeptChild | None) -> KeptState:
    others = {name: each for name, each in state.children.items() if name != child}
    return replace(state, children=others if kept is None else {**others, child: kept})


async def _to_nobody(_: FromDevice) -> None:
    """While there is no hub."""
