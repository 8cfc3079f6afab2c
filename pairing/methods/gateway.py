"""Devices behind a gateway: a paired gateway lets devices join for a while, and says over its own link who did."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from pairing.messages import MAX_JOINING
from pairing.methods.method import AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.session.states import Candidate

NAME: Final = "gateway"
TRUST: Final = "gateway"
"""Of a device behind a gateway: its gateway's proven link speaks for it, and nothing else does."""
DEFAULT_SECONDS: Final = 180


class Newcomer(Struct, frozen=True):
    """A device behind the gateway that no home has. `id` is made of the gateway's and the child's own."""

    id: str
    product: str
    name: str = ""
    firmware: str = ""


class Left(Struct, frozen=True):
    """It is not behind the gateway any more."""

    id: str


News: TypeAlias = Newcomer | Left


class Gateways(Protocol):
    """The links of paired gateways."""

    def window(self, home: str, gateway: str, seconds: int) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """Devices may join behind this gateway of this home while the context lasts, for so long at most.

        Entered once the gateway says so; its news begin with those that wait behind it already, and end with the
        window. Raises MethodFailedError: gateway_offline, gateway_silent.
        """

    def adopt(self, child: str) -> None:
        """The device is in the home, durably: have the gateway say all of it."""


class JoinedChild(Struct, frozen=True):
    """What is registered of a device behind a gateway; it has no key of its own to the hub."""

    device_id: str
    gateway: str
    product: str
    name: str
    firmware: str
    trust: str = TRUST


class BehindGateway:
    """A `Method`: an attempt is a registration, since there is nothing to prove but the gateway's link."""

    name = NAME
    follows: Follows | None = None
    inputs: tuple[Input, ...] = (Input(name="gateway"), Input(name="seconds", optional=True))

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    async def search(self, context: SearchContext) -> None:
        gateway, anybody = context.request.inputs["gateway"], False
        async with self._gateways.window(context.request.home, gateway, _seconds(context)) as window:
            await context.ready()
            async for news in window:
                if isinstance(news, Newcomer):
                    anybody = True
                    await context.heard(_candidate(news))
                else:
                    await context.lost(news.id)
        if not anybody:
            raise MethodFailedError("no_child_joined", gateway=gateway)

    async def attempt(self, context: AttemptContext) -> None:
        child = context.candidate
        joined = JoinedChild(
            device_id=child.id,
            gateway=context.request.inputs["gateway"],
            product=child.product,
            name=child.name,
            firmware=child.facts.get("firmware", ""),
        )
        await context.join(joined)
        self._gateways.adopt(child.id)


def _seconds(context: SearchContext) -> int:
    given = context.request.inputs.get("seconds", str(DEFAULT_SECONDS))
    return min(max(int(given), 1), MAX_JOINING) if given.isascii() and given.isdigit() else DEFAULT_SECONDS


def _candidate(news: Newcomer) -> Candidate:
    return Candidate(
        id=news.id,
        method=NAME,
        name=news.name,
        product=news.product,
        facts={"firmware": news.firmware} if news.firmware else {},
    )
