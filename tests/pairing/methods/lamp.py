"""A lamp on loopback: a real server speaking the device's half, announced by real mDNS, and breakable."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pairing.activation import device_talk
from pairing.device import DeviceState, Facts, new_state
from pairing.errors import ConnectionLostError, PairingError
from pairing.identity import Identity
from pairing.mdns import announcing, device_service
from pairing.pump import pump
from pairing.talk import Progress

ALL: set[str] = set()
"""The ids of this process's lamps."""


class Lamp:
    """`pin`: of its label. `token`: what it was told. `silent`: says nothing to a connection. `dies_at`: the step of
    its talk it breaks off in.
    """

    def __init__(
        self,
        *,
        pin: str | None = None,
        announced: bool = True,
        dies_at: str = "",
        silent: bool = False,
        token: bytes = b"",
    ) -> None:
        self.state: DeviceState = new_state(secrets.token_bytes)
        ALL.add(self.id)
        self.pin = pin
        self.token = token
        self.announced = announced
        self.dies_at = dies_at
        self.silent = silent
        self.code = ""
        self.errors: list[PairingError] = []
        self.port = 0
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def id(self) -> str:
        return self.state.identity.device_id

    @property
    def identity(self) -> Identity:
        return self.state.identity

    @asynccontextmanager
    async def on(self) -> AsyncIterator["Lamp"]:
        """Powered: it listens, and announces itself."""
        async with AsyncExitStack() as stack:
            server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
            stack.callback(server.close)
            self.port = server.sockets[0].getsockname()[1]
            if self.announced:
                auth = "pin" if self.pin else "open"
                service = device_service(
                    self.id, product="lamp", port=self.port, paired=self.state.paired, auth=auth, name="Lamp"
                )
                await stack.enter_async_context(announcing(service))
            try:
                yield self
            finally:
                await self.quiet()

    async def quiet(self) -> None:
        """Wait until it speaks with nobody."""
        async with asyncio.timeout(30):
            await asyncio.gather(*self._talks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._connected(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.silent:
                await reader.read()
                return
            talk = device_talk(
                self.state,
                Facts(product="lamp", name="Lamp"),
                entropy=secrets.token_bytes,
                pin=self.pin,
                token=self.token,
            )
            await pump(talk, reader, writer, on_progress=self._progress, on_commit=self._save)
        except PairingError as error:
            self.errors.append(error)
        finally:
            writer.close()

    async def _progress(self, progress: Progress) -> None:
        if progress.step == "code":
            self.code = progress.detail
        if progress.step == self.dies_at:
            raise PowerLost

    async def _save(self, state: DeviceState) -> None:
        self.state = state


class PowerLost(ConnectionLostError):
    """The lamp went off: it says nothing any more, the connection is just gone."""
