"""How a paired device without a network is linked: it is connected to by its hub, over Bluetooth LE."""

import asyncio
from contextlib import suppress
from functools import partial

from app.virtual.finding import Heard
from app.virtual.linking import Linking, Reached, marks_of
from app.virtual.misbehaviour import PowerLost
from pairing.errors import LinkRefusedError, PairingError
from pairing.pump import close
from pairing.racing import first_of


class Accepting(Linking):
    """`accept` is given each stream that a hub opens; the device speaks first."""

    # A hub holds few connections over Bluetooth, and its devices take turns of a minute: waiting is no sign.
    patience = 10
    _turn = 0

    async def run(self) -> None:
        """Whoever is to be linked comes by itself."""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Link, with each binding in turn where one is refused; returns when the link is over."""
        known = self._parts.memory
        state = known.state
        if not (bindings := self._to_try()):
            await close(writer)
            return
        binding = bindings[self._turn % len(bindings)]
        try:
            channel = await self._proved(binding, reader, writer)
        except LinkRefusedError as error:
            self._turn += 1
            await self._refused(binding, error)
        except PairingError as error:
            self._turn += 1
            self._parts.notices.tell("not_linked", code=error.code)
        else:
            with suppress(PowerLost):
                reached = Reached(binding, None, channel, reader, writer)
                await first_of(self._stay(reached), known.until(partial(self._over, marks_of(state))))

    async def _round(self, heard: Heard | None = None) -> None:
        """Nobody is connected to."""
