"""Two talks against each other over a link that the test makes: perfect, or one that delays, doubles and breaks."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from ble.errors import BleError, Disconnected
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.device import Device, Joined
from ble.mesh.provisioning.errors import ProvisioningTimedOut
from ble.mesh.provisioning.pdus import HMAC, Capabilities, InputAction, OobType, OutputAction
from ble.mesh.provisioning.provisioner import Provisioned
from ble.mesh.provisioning.talk import Answer, Ask, Assign, Receive, Send, Show, Talk

NET_KEY = bytes.fromhex("efb2255e6422d330088e09bb015ed707")
DATA = ProvisioningData(net_key=NET_KEY, net_key_index=0x0567, flags=0, iv_index=0x01020304, unicast=0x0B0C)
STATIC = bytes(range(16))
PLAIN = Device(capabilities=Capabilities(elements=1))
ALL = Device(
    capabilities=Capabilities(
        elements=3,
        algorithms=0b11,
        oob_type=OobType.STATIC,
        output_size=6,
        output_actions=sum(1 << action for action in OutputAction),
        input_size=4,
        input_actions=sum(1 << action for action in InputAction),
    ),
    static=STATIC,
)
ONLY_HMAC = 1 << HMAC


@dataclass
class Side:
    """One end: its talk, what waits for it, and how it ended."""

    talk: Talk[Any]
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    answer: Answer = None
    due: Receive | None = None
    until: float = 0.0
    result: Any = None
    error: BleError | None = None
    ended: bool = False


@dataclass
class Weather:
    """What the link does. `delay` is the most a PDU takes in seconds; the rest are chances for each PDU."""

    delay: float = 0.0
    doubled: float = 0.0
    broken: float = 0.0


@dataclass
class Pair:
    """The two ends in virtual time."""

    provisioner: Side
    device: Side
    weather: Weather = field(default_factory=Weather)
    drawn: random.Random = field(default_factory=lambda: random.Random(0))
    mistyped: bool = False
    data: ProvisioningData = DATA
    down: bool = False
    now: float = 0.0
    shown: str = ""
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    assigned: list[Assign] = field(default_factory=list)
    steps: int = 0

    def run(self) -> "Pair":
        """Until both have ended. A link that ended for one ends for the other."""
        while not (self.provisioner.ended and self.device.ended):
            self.steps += 1
            assert self.steps < 500, "a talk that never ends"
            moved = self._advance(self.provisioner) | self._advance(self.device)
            if not moved:
                self._pass_time()
        return self

    def _other(self, side: Side) -> Side:
        return self.device if side is self.provisioner else self.provisioner

    def _advance(self, side: Side) -> bool:
        if side.ended:
            return False
        if side.due:
            if not (side.waiting and side.waiting[0][0] <= self.now):
                return False
            side.due, side.answer = None, side.waiting.popleft()[1]
        self._step(side)
        return True

    def _step(self, side: Side, thrown: BleError | None = None) -> None:
        try:
            action = side.talk.throw(thrown) if thrown else side.talk.send(side.answer)
        except StopIteration as stop:
            side.result, side.ended = stop.value, True
            return
        except BleError as error:
            side.error, side.ended = error, True
            return
        side.answer = None
        if self.down and isinstance(action, Send | Receive):
            self._step(side, Disconnected("the link has ended"))
        else:
            self._carry_out(side, action)

    def _carry_out(self, side: Side, action: Any) -> None:
        match action:
            case Send(pdu):
                self._send(side, pdu)
            case Receive(timeout, _):
                side.due, side.until = action, self.now + timeout
            case Show(_, value):
                self.shown = value
            case Ask(_, size):
                side.answer = "0" * size if self.mistyped else self.shown or self._peek(side)
            case Assign():
                self.assigned.append(action)
                side.answer = self.data

    def _peek(self, side: Side) -> str:
        """The person looks at the other end, which may only now come to show it."""
        other = self._other(side)
        while not self.shown and self._advance(other):
            pass
        return self.shown or "0"

    def _send(self, side: Side, pdu: bytes) -> None:
        name = "provisioner" if side is self.provisioner else "device"
        self.sent.append((name, pdu))
        if self.drawn.random() < self.weather.broken:
            self._break()
            return
        queue = self._other(side).waiting
        earliest = queue[-1][0] if queue else self.now
        for _ in range(2 if self.drawn.random() < self.weather.doubled else 1):
            queue.append((max(earliest, self.now + self.drawn.random() * self.weather.delay), pdu))

    def _break(self) -> None:
        """PB-GATT loses nothing: the link ends, with whatever was under way."""
        self.down = True
        for side in (self.provisioner, self.device):
            side.waiting.clear()
            if side.due:
                side.due = None
                self._step(side, Disconnected("the link ended"))

    def _pass_time(self) -> None:
        """On to what happens next: a PDU arrives, or a wait is over (at once where the other end has gone)."""
        waiting = [side for side in (self.provisioner, self.device) if side.due and not side.ended]
        times = {id(side): self._next(side) for side in waiting}
        side = min(waiting, key=lambda one: times[id(one)])
        self.now = max(self.now, times[id(side)])
        if not side.waiting or side.waiting[0][0] > self.now:
            gone = self._other(side).ended
            side.due = None
            self._step(side, Disconnected("the peer has gone") if gone else ProvisioningTimedOut("nothing in time"))

    def _next(self, side: Side) -> float:
        if side.waiting:
            return min(side.waiting[0][0], side.until)
        return self.now if self._other(side).ended else side.until

    @property
    def node(self) -> Provisioned:
        if self.provisioner.error:
            raise self.provisioner.error
        assert isinstance(self.provisioner.result, Provisioned)
        return self.provisioner.result

    @property
    def joined(self) -> Joined:
        if self.device.error:
            raise self.device.error
        assert isinstance(self.device.result, Joined)
        return self.device.result


def pair(provisioner: Talk[Provisioned], device: Talk[Any], **more: Any) -> Pair:
    """The two, not yet run."""
    return Pair(Side(provisioner), Side(device), **more)
