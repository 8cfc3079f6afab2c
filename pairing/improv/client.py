"""The client's side of Improv: a `Setup` over a GATT connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ble.radio import Connection
from pairing.ap.setup import Connected, Connecting, Failed, Reason, SeenNetwork, Status
from pairing.errors import ConnectionLostError, MalformedMessageError, PairingError, PeerSilentError
from pairing.gatt import profile
from pairing.gatt.failures import translated
from pairing.improv import messages
from pairing.improv.messages import Capability, Error, Gathering, Packet, State, Verb
from pairing.wifi import WifiNetwork

ANSWER_TIMEOUT = 10.0
"""Seconds for an answer; a device scans all channels before it answers SCAN."""
JOIN_TIMEOUT = 60.0
"""Seconds for a device to say what became of its joining: firmware tries for half a minute."""

MAX_UNHEARD = 16
_UNABLE = Error.UNABLE_TO_CONNECT.name.lower()


class AuthorizationNeededError(PairingError):
    """The device takes a network only after somebody has pressed its button."""

    code = "authorization_needed"
    retryable = True


class RefusedCommandError(PairingError):
    """The device has answered a command with an error that is none of the network's."""

    code = "device_refused"
    retryable = True


@asynccontextmanager
async def improv_setup(connection: Connection) -> AsyncIterator["ImprovSetup"]:
    """A `Setup` over a connection to an Improv device. Raises PairingError."""
    setup = ImprovSetup(connection)
    with translated("reaching"):
        await setup.open()
    yield setup


class ImprovSetup:
    """What an Improv device can be asked; the connection is the caller's."""

    reports = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._gathering = Gathering()
        self._results: asyncio.Queue[Packet | PairingError] = asyncio.Queue(MAX_UNHEARD)
        self._status: Status = Connecting()
        self._joining = False
        self._state_changed = asyncio.Event()
        self.capabilities = Capability.NONE
        self.state = State.AUTHORIZED
        self.redirect = ""
        connection.on_disconnect(self._lost)

    async def open(self) -> None:
        """Hear what the device says, and read what it can. Raises BleError, PairingError."""
        connection = self._connection
        await connection.subscribe(messages.STATE, self._state_heard)
        await connection.subscribe(messages.ERROR, self._error_heard)
        await connection.subscribe(messages.RESULT, self._result_heard)
        self.state = messages.state_of(await connection.read(messages.STATE))
        self.capabilities = messages.capabilities_of(await connection.read(messages.CAPABILITIES))

    async def authorized(self, seconds: float) -> None:
        """Return once somebody has pressed the device's button. Raises AuthorizationNeededError after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self.state is State.AUTHORIZATION_REQUIRED:
                    self._state_changed.clear()
                    await self._state_changed.wait()
        except TimeoutError as error:
            raise AuthorizationNeededError(step="authorizing") from error

    async def identify(self) -> bool:
        """Have the device show itself; False where it cannot."""
        if Capability.IDENTIFY not in self.capabilities:
            return False
        with translated("identifying"):
            await self._write(Packet(Verb.IDENTIFY))
        return True

    async def info(self) -> messages.Info | None:
        """What it says of itself; None where it cannot."""
        if Capability.INFO not in self.capabilities:
            return None
        return messages.info_of(await self._ask(Packet(Verb.INFO), "asking"))

    async def scan(self) -> tuple[SeenNetwork, ...]:
        """The networks the device sees, strongest first; none where it cannot say."""
        if Capability.SCAN not in self.capabilities:
            return ()
        return messages.networks_of(await self._ask(Packet(Verb.SCAN), "scanning"))

    async def send(self, network: WifiNetwork, token: bytes) -> bool:
        """Have it join the network; the token goes where a device has a place for it. Raises PairingError."""
        if self.state is State.AUTHORIZATION_REQUIRED:
            raise AuthorizationNeededError(step="sending")
        takes = bool(token) and profile.TOKEN in self._connection.characteristics(profile.SERVICE)
        with translated("sending"):
            if takes:
                await self._connection.write(profile.TOKEN, token, response=True)
            self._status, self._joining = Connecting(), True
            await self._write(messages.wifi(network))
        return takes

    async def status(self) -> Status:
        """What has become of it, waited for. Raises PairingError: the device refused, or is gone."""
        if isinstance(self._status, Connecting) and self._joining:
            try:
                self.redirect = messages.redirect_of(await self._answer("joining_wifi", JOIN_TIMEOUT))
                self._status = Connected()
            except PeerSilentError:
                pass
            except RefusedCommandError as error:
                if error.detail != _UNABLE:
                    raise
                self._status = Failed(Reason.AUTH)
        return self._status

    async def _ask(self, packet: Packet, step: str) -> Packet:
        with translated(step):
            await self._write(packet)
        answer = await self._answer(step, ANSWER_TIMEOUT)
        if answer.verb != packet.verb:
            raise MalformedMessageError("result of another command", step=step)
        return answer

    async def _write(self, packet: Packet) -> None:
        while not self._results.empty():  # what came of an older command
            self._results.get_nowait()
        for part in messages.parts(messages.pack(packet), self._connection.max_write):
            await self._connection.write(messages.COMMAND, part, response=True)

    async def _answer(self, step: str, seconds: float) -> Packet:
        try:
            async with asyncio.timeout(seconds):
                said = await self._results.get()
        except TimeoutError as error:
            raise PeerSilentError(f"nothing within {seconds:g} s", step=step) from error
        if isinstance(said, PairingError):
            said.step = step
            raise said
        return said

    def _state_heard(self, raw: bytes) -> None:
        with suppress(MalformedMessageError):
            self.state = messages.state_of(raw)
            self._state_changed.set()

    def _error_heard(self, raw: bytes) -> None:
        with suppress(MalformedMessageError):
            match messages.error_of(raw):
                case Error.NONE:
                    pass
                case Error.NOT_AUTHORIZED:
                    self._hear(AuthorizationNeededError())
                case error:
                    self._hear(RefusedCommandError(error.name.lower()))

    def _result_heard(self, raw: bytes) -> None:
        try:
            packet = self._gathering.add(raw)
        except MalformedMessageError as error:
            self._hear(error)
        else:
            if packet is not None:
                self._hear(packet)

    def _lost(self) -> None:
        self._hear(ConnectionLostError("disconnected"))

    def _hear(self, said: Packet | PairingError) -> None:
        with suppress(asyncio.QueueFull):  # a device that says more than it was asked is not listened to
            self._results.put_nowait(said)
