"""Segmented messages on their way out (Mesh Protocol 1.1, 3.5.3.3): what is acknowledged, and what is due again."""

from msgspec import Struct

from ble.mesh.address import is_unicast
from ble.mesh.lower import Ack, Segment
from ble.mesh.timing import Timing


class Outgoing(Struct, kw_only=True):
    """One segmented message. `due` is when what is missing is sent again, or given up."""

    handle: int
    net_index: int
    src: int
    dst: int
    ttl: int
    seq: int
    segments: tuple[Segment, ...]
    due: float = 0.0
    acked: int = 0
    tried: int = 0
    stalled: int = 0

    @property
    def unicast(self) -> bool:
        return is_unicast(self.dst)

    @property
    def done(self) -> bool:
        return self.acked == (1 << len(self.segments)) - 1

    @property
    def missing(self) -> list[Segment]:
        return [segment for segment in self.segments if not self.acked >> segment.number & 1]

    def answers(self, src: int, dst: int, ack: Ack) -> bool:
        """Whether the acknowledgement is of this message: by the node itself, or by its friend."""
        mine = dst == self.src and ack.seq_zero == self.seq & 0x1FFF
        return mine and self.unicast and (src == self.dst or ack.for_another)

    def acknowledge(self, block: int) -> bool:
        """Take in what has come; whether that was any progress. Bits of segments that do not exist are ignored."""
        before = self.acked
        self.acked |= block & ((1 << len(self.segments)) - 1)
        if self.acked != before:
            self.stalled = 0
        return self.acked != before

    def next_round(self, now: float, timing: Timing) -> list[Segment]:
        """The segments to send now; none where it is to be given up, or has been sent often enough to a group."""
        most = timing.tries if self.unicast else timing.multicast_tries
        if self.tried >= most or self.stalled >= timing.tries_without_progress:
            return []
        self.tried += 1
        self.stalled += 1
        self.due = now + (timing.retransmit(self.ttl) if self.unicast else timing.multicast_s)
        return self.missing
