"""The device's side of Improv, without any radio: parts that are written come in, what is to be notified comes out."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from pairing.ap.setup import SeenNetwork
from pairing.errors import MalformedMessageError
from pairing.improv import messages
from pairing.improv.messages import Error, Gathering, Info, Packet, State, Verb
from pairing.token import TOKEN_SIZE
from pairing.wifi import Provisioned, UnfitNetworkError, network_of

MAX_HOSTNAME = 255

Notified: TypeAlias = tuple[str, bytes]
"""Characteristic and value; whoever notifies cuts it to what one notification takes."""


class Inside(Struct, frozen=True):
    """What the device does: sees networks, joins one (`joined` or `not_joined` is told later), shows itself."""

    networks: Callable[[], Sequence[SeenNetwork]]
    join: Callable[[Provisioned], None]
    identify: Callable[[], None]


class ImprovDevice:
    """A device that waits for its network. `authorized` False: somebody must press its button first."""

    def __init__(self, info: Info, inside: Inside, *, authorized: bool = True, hostname: str = "doorstep") -> None:
        self._info = info
        self._inside = inside
        self._gathering = Gathering()
        self._hostname = hostname
        self._token = b""
        self.state = State.AUTHORIZED if authorized else State.AUTHORIZATION_REQUIRED
        self.error = Error.NONE
        self.capabilities = messages.ALL

    @property
    def service_data(self) -> bytes:
        """What its advertisement carries under 0x4677."""
        return bytes([self.state, self.capabilities, 0, 0, 0, 0])

    def read(self, characteristic: str) -> bytes:
        """What a characteristic holds now."""
        held = {
            messages.STATE: bytes([self.state]),
            messages.ERROR: bytes([self.error]),
            messages.CAPABILITIES: bytes([self.capabilities]),
        }
        return held.get(characteristic, b"")

    def take_token(self, token: bytes) -> None:
        """The session's token, from Doorstep's own service. Raises MalformedMessageError."""
        if len(token) != TOKEN_SIZE:
            raise MalformedMessageError("token")
        self._token = token

    def write(self, part: bytes) -> list[Notified]:
        """A part of a command has come."""
        try:
            packet = self._gathering.add(part)
        except MalformedMessageError:
            self._gathering.forget()
            return [self._fail(Error.INVALID_PACKET)]
        if packet is None:
            return []
        return [self._fail(Error.NONE), *self._do(packet)]

    def authorize(self) -> list[Notified]:
        """Somebody has pressed the button."""
        return [self._become(State.AUTHORIZED)] if self.state is State.AUTHORIZATION_REQUIRED else []

    def joined(self, redirect: str = "") -> list[Notified]:
        """It is on its network; its page is at `redirect`."""
        texts = (redirect.encode(),) if redirect else ()
        return [self._become(State.PROVISIONED), _result(Packet(Verb.WIFI, texts))]

    def not_joined(self) -> list[Notified]:
        """It could not join the network."""
        return [self._fail(Error.UNABLE_TO_CONNECT), self._become(State.AUTHORIZED)]

    def forget_client(self) -> None:
        """The client is gone; what it had begun to write is no command."""
        self._gathering.forget()

    def _do(self, packet: Packet) -> list[Notified]:
        match packet.verb:
            case Verb.WIFI:
                return self._join(packet)
            case Verb.IDENTIFY:
                self._inside.identify()
                return []
            case Verb.INFO:
                info = self._info
                said = (info.firmware, info.version, info.hardware, info.name)
                return [_result(Packet(Verb.INFO, tuple(text.encode() for text in said)))]
            case Verb.SCAN:
                return [_result(_seen(self._inside.networks()))]
            case Verb.HOSTNAME:
                return self._name(packet)
            case _:
                return [self._fail(Error.UNKNOWN_COMMAND)]

    def _join(self, packet: Packet) -> list[Notified]:
        if self.state is not State.AUTHORIZED:
            return [self._fail(Error.NOT_AUTHORIZED)]
        try:
            ssid, password = (text.decode() for text in packet.texts)
            network = network_of(ssid, password)
        except (ValueError, UnfitNetworkError):
            return [self._fail(Error.INVALID_PACKET)]
        self._inside.join(Provisioned(network, self._token))
        return [self._become(State.PROVISIONING)]

    def _name(self, packet: Packet) -> list[Notified]:
        if packet.texts:
            if self.state is not State.AUTHORIZED:
                return [self._fail(Error.NOT_AUTHORIZED)]
            name = packet.texts[0]
            if not name.replace(b"-", b"").isalnum() or name[:1] == b"-" or len(name) > MAX_HOSTNAME - 1:
                return [self._fail(Error.BAD_HOSTNAME)]
            self._hostname = name.decode("ascii", "replace")
        return [_result(Packet(Verb.HOSTNAME, (self._hostname.encode(),)))]

    def _become(self, state: State) -> Notified:
        self.state = state
        return messages.STATE, bytes([state])

    def _fail(self, error: Error) -> Notified:
        self.error = error
        return messages.ERROR, bytes([error])


def _seen(networks: Sequence[SeenNetwork]) -> Packet:
    """As many of them, strongest first, as one packet carries."""
    texts: list[bytes] = []
    for network in sorted(networks, key=lambda each: -each.rssi):
        more = [network.ssid.encode(), str(network.rssi).encode(), b"NO" if network.open else b"WPA2"]
        if sum(len(text) + 1 for text in (*texts, *more)) > messages.MAX_DATA:
            break
        texts += more
    return Packet(Verb.SCAN, tuple(texts))


def _result(packet: Packet) -> Notified:
    return messages.RESULT, messages.pack(packet)
