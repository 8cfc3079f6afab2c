"""How a hub is set up that is to be killed: with the methods it has, or with two that a test can tell apart."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from msgspec import Struct

from app.onboarding.service import Onboarding
from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, Method, SearchContext
from pairing.methods.over_lan import OverLan
from pairing.methods.qr_shown import QrShown

WIFI = (Input(name="ssid"), Input(name="wifi_password", secret=True), TOKEN)


class Way(Struct, frozen=True):
    """Numbers by their dotted names, and whether the hub has `Unheard` and `ByPhone` instead of its methods."""

    numbers: Mapping[str, int] = {}
    two: bool = False

    def set_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every hub of this process is like that."""
        for name, value in self.numbers.items():
            monkeypatch.setattr(name, value)
        if self.two:
            _have_two(monkeypatch)


WIRED = Way()
# Which of two is for the person to say; both have been heard by then on any machine.
OF_TWO = Way({"pairing.session.searching.SETTLE_MS": 2_000})
# What came onto the network while the hub was off is heard in less on loopback.
ANY = Way({"pairing.session.turns.HEAR_MS": 300}, two=True)


class Unheard:
    """Says "ez", and that nobody understands it."""

    name = "ez"
    inputs = WIFI
    follows: Follows | None = None

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        raise NotImplementedError


class ByPhone:
    """Says "ap": the phone tells the device its network, which is heard on the LAN then."""

    name = "ap"
    inputs = WIFI
    follows: Follows | None = Follows(methods=("ez",), after=0.3)

    def __init__(self, lan: OverLan) -> None:
        self._lan = lan

    async def search(self, context: SearchContext) -> None:
        await self._lan.hear(context, self.name)

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)


def _have_two(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Onboarding.open

    async def opened(onboarding: Onboarding, methods: Sequence[Method]) -> int:
        (lan,) = [method._lan for method in methods if isinstance(method, QrShown)]
        return await inner(onboarding, [Unheard(), ByPhone(lan)])

    monkeypatch.setattr(Onboarding, "open", opened)
