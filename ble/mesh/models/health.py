"""Health: faults, their test, and drawing attention (MshPRT 1.1, 4.3.3 and 4.4.3)."""

from typing import ClassVar

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.wire import U8, U16, Rest, WireMessage, table

SERVER, CLIENT = ModelId(0x0002), ModelId(0x0003)
MAX_DIVISOR = 15


class _Faults(WireMessage, frozen=True):
    """`faults` are one octet each: below 0x80 the Bluetooth SIG's (table 4.26), above the company's."""

    test: U8
    company: U16
    faults: Rest


class CurrentStatus(_Faults, frozen=True):
    OPCODE: ClassVar = 0x04


class FaultStatus(_Faults, frozen=True):
    OPCODE: ClassVar = 0x05


class FaultClear(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x802F
    company: U16


class FaultClearUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8030
    company: U16


class FaultGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8031
    company: U16


class FaultTest(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8032
    test: U8
    company: U16


class FaultTestUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8033
    test: U8
    company: U16


class PeriodGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8034


class PeriodSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8035
    divisor: U8


class PeriodSetUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8036
    divisor: U8


class PeriodStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8037
    divisor: U8


class AttentionGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8004


class AttentionSet(WireMessage, frozen=True):
    """`seconds` of blinking, or whatever the device does; 0 ends it."""

    OPCODE: ClassVar = 0x8005
    seconds: U8


class AttentionSetUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8006
    seconds: U8


class AttentionStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8007
    seconds: U8


MESSAGES = table(
    (
        CurrentStatus,
        FaultStatus,
        FaultClear,
        FaultClearUnacknowledged,
        FaultGet,
        FaultTest,
        FaultTestUnacknowledged,
        PeriodGet,
        PeriodSet,
        PeriodSetUnacknowledged,
        PeriodStatus,
        AttentionGet,
        AttentionSet,
        AttentionSetUnacknowledged,
        AttentionStatus,
    )
)


class HealthServer(AtRest):
    """Faults that are and were, for one company. Attention counts down by itself."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, company: int) -> None:
        self._company = company
        self._current: tuple[int, ...] = ()
        self._registered: tuple[int, ...] = ()
        self._test = 0
        self._divisor = 0
        self._attention_until = 0.0

    def fault(self, *faults: int) -> None:
        """What is wrong now; what was wrong stays registered until it is cleared."""
        self._current = faults
        self._registered = tuple(dict.fromkeys((*self._registered, *faults)))

    def attend(self, seconds: int, now: float) -> None:
        self._attention_until = now + seconds

    def attention(self, now: float) -> int:
        return max(0, round(self._attention_until - now))

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        match message:
            case FaultGet(company) | FaultClear(company) | FaultClearUnacknowledged(company):
                return self._faults(message, company)
            case FaultTest(test, company) | FaultTestUnacknowledged(test, company):
                return self._tested(message, test, company)
            case PeriodGet() | PeriodSet() | PeriodSetUnacknowledged():
                return self._period(message)
            case AttentionGet() | AttentionSet() | AttentionSetUnacknowledged():
                return self._attend(message, heard.now)
        return None

    def _faults(self, message: WireMessage, company: int) -> WireMessage | None:
        if company != self._company:
            return None
        if not isinstance(message, FaultGet):
            self._registered = ()
        return None if isinstance(message, FaultClearUnacknowledged) else self._registered_status()

    def _tested(self, message: WireMessage, test: int, company: int) -> WireMessage | None:
        if company != self._company:
            return None
        self._test = test
        self.fault(*self._current)
        return self._registered_status() if isinstance(message, FaultTest) else None

    def _registered_status(self) -> FaultStatus:
        return FaultStatus(self._test, self._company, bytes(self._registered))

    def _period(self, message: WireMessage) -> WireMessage | None:
        if isinstance(message, PeriodSet | PeriodSetUnacknowledged):
            if message.divisor > MAX_DIVISOR:
                raise Malformed("a divisor that is prohibited")
            self._divisor = message.divisor
        return None if isinstance(message, PeriodSetUnacknowledged) else PeriodStatus(self._divisor)

    def _attend(self, message: WireMessage, now: float) -> WireMessage | None:
        if isinstance(message, AttentionSet | AttentionSetUnacknowledged):
            self.attend(message.seconds, now)
        return None if isinstance(message, AttentionSetUnacknowledged) else AttentionStatus(self.attention(now))

    def status(self, now: float) -> CurrentStatus:
        return CurrentStatus(self._test, self._company, bytes(self._current))
