"""A load cheaper than any broker: publishes encoded beforehand, PUBACKs counted by their octets.

Acknowledgements of one connection come in the order of its messages (MQTT-4.6.0-2), so that four octets are one, and
so many messages may follow. One thread, epoll, two system calls for each burst.
"""

import select
import socket
import sys
import time

import msgspec
from msgspec import Struct

TOPIC = b"bench/up/properties/report"
PAYLOAD = 128
RING = 2000
ACK = 4


class Load(Struct):
    """What was counted. `busy`: the part of the time this program itself computed; `worst_ms` without any answer."""

    acks: int
    seconds: float
    busy: float
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


def full(port: int, connections: int, window: int, seconds: float) -> Load:
    """Keep `window` messages in flight on each of so many connections for so long."""
    ring = b"".join(message(1 + n) for n in range(RING))
    size = len(ring) // RING
    ring += ring[: window * size]
    clients = [connect(port, n) for n in range(connections)]
    poll, by_fd = select.epoll(), {client.fileno(): at for at, client in enumerate(clients)}
    sent, over, last = [window] * connections, [0] * connections, [time.perf_counter()] * connections
    used, begin = time.process_time(), time.perf_counter()
    for client in clients:
        client.sendall(ring[: window * size])
        poll.register(client.fileno(), select.EPOLLIN)
    acks, worst, now = 0, 0.0, begin
    while now - begin < seconds:
        for fd, _ in poll.poll(1):
            at = by_fd[fd]
            octets = clients[at].recv(65536)
            if not octets:
                raise SystemExit("a connection was closed")
            whole, over[at] = divmod(over[at] + len(octets), ACK)
            if whole:
                acks += whole
                turn = sent[at] % RING * size
                clients[at].sendall(ring[turn : turn + whole * size])
                sent[at] += whole
                worst, last[at] = max(worst, now - last[at]), now
        now = time.perf_counter()
    return Load(acks, now - begin, (time.process_time() - used) / (now - begin), worst * 1000)


def paced(port: int, connections: int, seconds: float) -> Load:
    """A report a second from each connection, spread over the second; returns when all are acknowledged."""
    clients = [connect(port, n) for n in range(connections)]
    poll = select.epoll()
    by_fd = {client.fileno(): client for client in clients}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    used, begin = time.process_time(), time.perf_counter()
    total, sent, octets, worst = int(connections * seconds), 0, 0, 0.0
    while octets < total * ACK:
        now = time.perf_counter() - begin
        while sent < total and sent / connections <= now:
            clients[sent % connections].sendall(message(1 + sent // connections % 60000))
            sent += 1
        before = time.perf_counter()
        for fd, _ in poll.poll(0.001):
            octets += len(by_fd[fd].recv(65536))
        worst = max(worst, time.perf_counter() - before)
    taken = time.perf_counter() - begin
    return Load(octets // ACK, taken, (time.process_time() - used) / taken, worst * 1000)


def idle(port: int, connections: int) -> None:
    """Hold so many open until a line is read."""
    clients = [connect(port, n) for n in range(connections)]
    print(len(clients), flush=True)
    sys.stdin.readline()


def main() -> None:
    """`full PORT CONNECTIONS WINDOW SECONDS`, `paced PORT CONNECTIONS SECONDS` or `idle PORT CONNECTIONS`."""
    what, port, connections, *more = sys.argv[1:]
    if what == "idle":
        idle(int(port), int(connections))
        return
    if what == "full":
        load = full(int(port), int(connections), int(more[0]), float(more[1]))
    else:
        load = paced(int(port), int(connections), float(more[0]))
    print(msgspec.json.encode(load).decode())


if __name__ == "__main__":
    main()
