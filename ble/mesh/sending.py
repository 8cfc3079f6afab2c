"""The way down: access payloads become network PDUs, and segmented ones are sent until they are acknowledged."""

from collections import deque

from msgspec import Struct

from ble.errors import BleError
from ble.mesh import keyring, lower, network, upper
from ble.mesh.exchange import ByApp, Event, KeyName, NotSent, QueueFull, Sent
from ble.mesh.keys import aid, flooding
from ble.mesh.network import NetworkPdu
from ble.mesh.outgoing import Outgoing
from ble.mesh.proxy import Kind, Whole
from ble.mesh.sequence import NumbersUsedUp, Sequence
from ble.mesh.state import MeshState
from ble.mesh.timing import Timing

MAX_QUEUED = 256


class Wanted(Struct, frozen=True, kw_only=True):
    """An access payload to be sent."""

    handle: int
    src: int
    dst: int
    payload: bytes
    key: KeyName
    ttl: int
    label: bytes
    szmic: bool

    @property
    def fits_one(self) -> bool:
        """Whether it goes without segments."""
        return not self.szmic and len(self.payload) + 4 <= lower.MAX_UNSEGMENTED_ACCESS


class Sending:
    """Everything that is on its way out. To one destination one segmented message goes at a time; the others wait."""

    def __init__(self, state: MeshState, sequence: Sequence, timing: Timing) -> None:
        self.out: list[Whole] = []
        self.events: list[Event] = []
        self._state, self._sequence, self._timing = state, sequence, timing
        self._outgoing: dict[int, Outgoing] = {}
        self._waiting: deque[Wanted] = deque()

    @property
    def under_way(self) -> tuple[Outgoing, ...]:
        return tuple(self._outgoing.values())

    def send(self, wanted: Wanted, now: float) -> None:
        """Raises KeyUnknown, NumbersUsedUp, QueueFull, Malformed."""
        keyring.sealing(self._state, wanted.key)
        ahead = [*(one.dst for one in self.under_way), *(one.dst for one in self._waiting)]
        if wanted.fits_one or wanted.dst not in ahead:
            self._start(wanted, now)
            return
        if len(self._waiting) >= MAX_QUEUED:
            raise QueueFull(f"{len(self._waiting)} wait")
        self._waiting.append(wanted)

    def cancel(self, handle: int, now: float) -> None:
        self._waiting = deque(wanted for wanted in self._waiting if wanted.handle != handle)
        gone = self._outgoing.pop(handle, None)
        if gone:
            self._follow(gone.dst, now)

    def tick(self, now: float) -> None:
        for outgoing in self.under_way:
            if outgoing.due <= now and outgoing.handle in self._outgoing:
                self._round(outgoing, now)

    def acknowledged(self, outgoing: Outgoing, block: int, now: float) -> None:
        """A block of 0 says that the node cannot take the message now."""
        if not block:
            self._end(outgoing, now, "peer_busy")
        elif outgoing.acknowledge(block):
            if outgoing.done:
                self._end(outgoing, now, "")
            else:
                self._round(outgoing, now)

    def seal(
        self,
        payload: bytes,
        *,
        ctl: bool,
        src: int,
        dst: int,
        ttl: int,
        net_index: int,
        seq: int | None = None,
        kind: Kind = Kind.NETWORK,
    ) -> None:
        """Put out one network PDU. Raises KeyUnknown, NumbersUsedUp, Malformed."""
        material = flooding(keyring.net_key(self._state, net_index).sending)
        index = self._state.iv.sending
        seq = self._sequence.take(index) if seq is None else seq
        pdu = NetworkPdu(ctl=ctl, ttl=ttl, seq=seq, src=src, dst=dst, payload=payload)
        self.out.append(Whole(kind, network.seal(pdu, material, index, proxy=kind is Kind.CONFIGURATION)))

    def _start(self, wanted: Wanted, now: float) -> None:
        net_index, secret = keyring.sealing(self._state, wanted.key)
        application = isinstance(wanted.key, ByApp)
        seq = self._sequence.take(self._state.iv.sending)
        envelope = upper.Envelope(
            application=application,
            szmic=wanted.szmic,
            seq=seq,
            src=wanted.src,
            dst=wanted.dst,
            iv_index=self._state.iv.sending,
        )
        sealed = upper.seal(wanted.payload, secret, envelope, wanted.label)
        name = aid(secret) if application else 0
        if wanted.fits_one:
            pdu = lower.pack(lower.Access(application, name, sealed))
            self.seal(pdu, ctl=False, src=wanted.src, dst=wanted.dst, ttl=wanted.ttl, net_index=net_index, seq=seq)
            self.events.append(Sent(wanted.handle))
            return
        outgoing = Outgoing(
            handle=wanted.handle,
            net_index=net_index,
            src=wanted.src,
            dst=wanted.dst,
            ttl=wanted.ttl,
            seq=seq,
            segments=lower.cut(sealed, ctl=False, head=application << 6 | name, szmic=wanted.szmic, seq=seq),
        )
        self._outgoing[wanted.handle] = outgoing
        self._round(outgoing, now, seq)

    def _round(self, outgoing: Outgoing, now: float, seq: int | None = None) -> None:
        segments = outgoing.next_round(now, self._timing)
        if not segments:
            self._end(outgoing, now, "not_acknowledged" if outgoing.unicast else "")
            return
        try:
            for segment in segments:
                self._segment(outgoing, segment, seq)
                seq = None
        except NumbersUsedUp:
            return  # whoever drives the stack writes a block when it sees that; the next round sends the rest

    def _segment(self, outgoing: Outgoing, segment: lower.Segment, seq: int | None) -> None:
        self.seal(
            lower.pack(segment),
            ctl=False,
            src=outgoing.src,
            dst=outgoing.dst,
            ttl=outgoing.ttl,
            net_index=outgoing.net_index,
            seq=seq,
        )

    def _end(self, outgoing: Outgoing, now: float, cause: str) -> None:
        del self._outgoing[outgoing.handle]
        self.events.append(NotSent(outgoing.handle, cause) if cause else Sent(outgoing.handle))
        self._follow(outgoing.dst, now)

    def _follow(self, dst: int, now: float) -> None:
        """Start what waited for this destination."""
        following = next((wanted for wanted in self._waiting if wanted.dst == dst), None)
        if following is None:
            return
        self._waiting.remove(following)
        try:
            self._start(following, now)
        except BleError as error:
            self._outgoing.pop(following.handle, None)
            self.events.append(NotSent(following.handle, error.code))
            self._follow(dst, now)
