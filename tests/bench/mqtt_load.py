"""A load cheaper than any broker: publishes encoded beforehand, PUBACKs counted by their octets.

Acknowledgements of one connection come in the order of its messages (MQTT-4.6.0-2), so that four octets are one, and
so many messages may follow. One thread, epoll, two system calls for each burst.
"""

import select
import socket
import sys
import time
from dataclasses import dataclass

import msgspec

TOPIC = b"bench/up/properties/report"
PAYLOAD = 128
RING = 2000
ACK = 4


@dataclass
class Load:
    """What was counted; `worst_ms` is the longest a connection waited for any acknowledgement."""

    acks: int
    seconds: float
    worst_ms: float


def connect(port: int, number: int, keep_alive: int = 600) -> socket.socket:
    """A client of 3.1.1 that is admitted."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = b"".join(len(each).to_bytes(2, "big") + each for each in (b"load-%05d" % number, b"bench", b"open sesame"))
    body = b"\x00\x04MQTT\x04\xc2" + keep_alive.to_bytes(2, "big") + fields
    made.sendall(b"\x10" + bytes((len(body),)) + body)
    if made.recv(4) != b"\x20\x02\x00\x00":
        raise SystemExit(f"client {number} was not admitted")
    return made


def message(packet_id: int, payload: int = PAYLOAD) -> bytes:
    """One QoS 1 publish."""
    body = len(TOPIC).to_bytes(2, "big") + TOPIC + packet_id.to_bytes(2, "big") + b"x" * payload
    length = len(body)
    head = bytes((length,)) if length < 128 else bytes((length & 0x7F | 0x80, length >> 7))
    return b"\x32" + head + body


def run(port: int, connections: int, window: int, seconds: float) -> Load:
    """Keep `window` messages in flight on each of so many connections for so long."""
    ring = b"".join(message(1 + n) for n in range(RING))
    size = len(ring) // RING
    ring += ring[: window * size]
    clients = [connect(port, n) for n in range(connections)]
    poll, by_fd = select.epoll(), {client.fileno(): at for at, client in enumerate(clients)}
    sent, owed, last = [window] * connections, [0] * connections, [0.0] * connections
    begin = time.perf_counter()
    for at, client in enumerate(clients):
        client.sendall(ring[: window * size])
        poll.register(client.fileno(), select.EPOLLIN)
        last[at] = begin
    acks, worst, now = 0, 0.0, begin
    while now - begin < seconds:
        for fd, _ in poll.poll(1):
            at = by_fd[fd]
            octets = clients[at].recv(65536)
            if not octets:
                raise SystemExit("a connection was closed")
            whole, owed[at] = divmod(owed[at] + len(octets), ACK)
            if not whole:
                continue
            acks += whole
            begin_at = sent[at] % RING * size
            clients[at].sendall(ring[begin_at : begin_at + whole * size])
            sent[at] += whole
            worst, last[at] = max(worst, now - last[at]), now
        now = time.perf_counter()
    return Load(acks, now - begin, worst * 1000)


if __name__ == "__main__":
    print(msgspec.json.encode(run(*(int(each) for each in sys.argv[1:4]), float(sys.argv[4]))).decode())  # type: ignore[call-arg]
