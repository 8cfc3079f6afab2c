"""The device's provisioning talk, carried out on octets: PDUs in, PDUs out, and what a person would see."""

from collections.abc import Callable

from ble.errors import BleError
from ble.mesh.provisioning.device import Joined
from ble.mesh.provisioning.errors import ProvisioningTimedOut
from ble.mesh.provisioning.talk import Action, Answer, Ask, Receive, Send, Show, Talk


class Joining:
    """One attempt. `joined` is there once it succeeded; `ended` once it is over either way.

    `shown` is what the device shows now (output OOB); `typed` gives what a person enters at it (input OOB).
    """

    def __init__(self, talk: Talk[Joined], now: float, typed: Callable[[], str]) -> None:
        self.joined: Joined | None = None
        self.ended = False
        self.shown = ""
        self._talk = talk
        self._typed = typed
        self._out: list[bytes] = []
        self._until = now
        self._go_on(lambda: self._talk.send(None), now)

    @property
    def deadline(self) -> float | None:
        return None if self.ended else self._until

    def take_out(self) -> list[bytes]:
        out, self._out = self._out, []
        return out

    def receive(self, pdu: bytes, now: float) -> None:
        if not self.ended:
            self._go_on(lambda: self._talk.send(pdu), now)

    def tick(self, now: float) -> None:
        if not self.ended and now >= self._until:
            self._go_on(lambda: self._talk.throw(ProvisioningTimedOut("nothing in time")), now)

    def stop(self) -> None:
        """The connection has ended."""
        self.ended = True
        self._talk.close()

    def _go_on(self, resume: Callable[[], Action], now: float) -> None:
        """Until it waits for a PDU, or has ended."""
        try:
            action = resume()
            while not isinstance(action, Receive):
                action = self._talk.send(self._carry_out(action))
            self._until = now + action.timeout
        except StopIteration as stop:
            self.joined, self.ended = stop.value, True
        except BleError:
            self.ended = True

    def _carry_out(self, action: Action) -> Answer:
        match action:
            case Send(pdu):
                self._out.append(pdu)
            case Show(_, value):
                self.shown = value
            case Ask():
                return self._typed()
        return None
