"""A client and a device of protocomm played against each other in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from pairing.ap.setup import Connected, Connecting, SeenNetwork, Status
from pairing.errors import PairingError
from pairing.protocomm.calls import Call, Calls, EndpointRefusedError
from pairing.protocomm.client import Proof
from pairing.protocomm.device import Inside, SetupDevice
from pairing.wifi import Provisioned

T = TypeVar("T")

POP = "abcd1234"
TOKEN = b"EUa1b2c3d4WXYZ"
NETWORKS = tuple(SeenNetwork(f"Net {n}", f"02:00:00:00:00:{n:02x}", 1 + n % 11, -40 - n) for n in range(9))


@dataclass
class Lamp:
    """A device, and what it was told. Every call made to it is kept."""

    scheme: int = 2
    pop: str = POP
    takes_token: bool = True
    seed: int = 1
    networks: Sequence[SeenNetwork] = NETWORKS
    status: Status = field(default_factory=Connecting)
    told: list[Provisioned] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        inside = Inside(lambda: self.networks, self._join, lambda: self.status)
        entropy = Random(self.seed).randbytes
        proof = Proof(self.pop)
        self.device = SetupDevice(proof, inside, entropy=entropy, scheme=self.scheme, takes_token=self.takes_token)

    def _join(self, provisioned: Provisioned) -> None:
        self.told.append(provisioned)
        self.status = Connected("192.0.2.7")

    def answer(self, call: Call) -> bytes:
        self.calls.append(call)
        try:
            return self.device.answer(call.endpoint, call.body)
        except PairingError as error:
            raise EndpointRefusedError(error.code) from error


def play(talk: Calls[T], answer: Callable[[Call], bytes]) -> T:
    """The talk's result; what `answer` raises is thrown into it."""
    step: Callable[[], Call] = lambda: next(talk)  # noqa: E731
    while True:
        try:
            call = step()
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            said = answer(call)
        except PairingError as error:
            step = lambda error=error: talk.throw(error)  # type: ignore[misc]  # noqa: E731
        else:
            step = lambda said=said: talk.send(said)  # type: ignore[misc]  # noqa: E731
