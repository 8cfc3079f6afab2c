"""When segments are sent again, acknowledged, and given up (Mesh Protocol 1.1, 3.5.3 and 4.2.47; 1.0.1, 3.5.3.3)."""

from msgspec import Struct


class Timing(Struct, frozen=True, kw_only=True):
    """The defaults of 1.1's SAR Transmitter and SAR Receiver states, but for more tries: a proxy's link drops some."""

    retransmit_s: float = 0.2
    retransmit_per_hop_s: float = 0.05
    tries: int = 6
    """How often a segment is sent to one node at most."""
    tries_without_progress: int = 5
    multicast_tries: int = 3
    multicast_s: float = 0.25
    incomplete_s: float = 10.0
    """After which a message whose next segment does not come is dropped."""
    ack_s: float = 0.06
    """Time the receiver gives each segment to come in, before it acknowledges."""
    ack_most: float = 2.5
    """How many segments it waits for at most."""
    ack_per_hop_s: float = 0.0

    def retransmit(self, ttl: int) -> float:
        """How long to wait for an acknowledgement."""
        return self.retransmit_s + self.retransmit_per_hop_s * ttl

    def ack(self, ttl: int, last: int) -> float:
        """How long to wait for further segments; `last` is the number of the last one."""
        return self.ack_s * min(last + 0.5, self.ack_most) + self.ack_per_hop_s * ttl


PROTOCOL_1_1 = Timing()
PROTOCOL_1_0 = Timing(ack_s=0.15, ack_most=1.0, ack_per_hop_s=0.05, tries=4, tries_without_progress=4)
"""1.0.1 has minimums: 150 ms + 50 ms a hop to acknowledge, 200 ms + 50 ms a hop to send again, 10 s to give up."""
