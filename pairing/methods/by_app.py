"""The method of apps that speak to devices themselves: they are given the session's token, and the device announces.

What the app does (a broadcast, the device's setup network, a code) and which network it names is nothing the hub knows.
"""

import asyncio

from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.over_lan import OverLan

NAME = "by_app"

PATIENCE = 300.0
"""Seconds until the search gives up: as long as apps are told that a token lives."""


class ByApp:
    """A `Method`, of devices on `lan`."""

    name = NAME
    # Named, so that nobody waits for an app who did not say that there is one.
    inputs: tuple[Input, ...] = (Input(name="app"), Input(name="pin", secret=True, optional=True), TOKEN)
    follows: Follows | None = None

    def __init__(self, lan: OverLan, *, patience: float = PATIENCE) -> None:
        self._lan = lan
        self._patience = patience

    async def search(self, context: SearchContext) -> None:
        await context.note("app_tells")
        try:
            async with asyncio.timeout(self._patience):
                await self._lan.hear(context, NAME)
        except TimeoutError:
            raise MethodFailedError("not_found") from None

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)
