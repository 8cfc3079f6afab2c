"""A radio in monitor mode: `python -m tests.lan.overhear INTERFACE [KEY]`, run on a host.

It says `listening`, then, as one JSON line, the first credentials it makes out of what passes, and how many frames (and
how many of them to groups) and seconds that took from the first one on. The decoders are given destination, length and
time, and nothing else.
"""

import socket
import sys
import time

import msgspec

from pairing.ez.monitor import decoders

HEADER = 42
"""What Ethernet, IPv4 and UDP add to a payload; where in it are the type and the protocol."""
GROUP, IPV4, UDP = b"\x01\x00\x5e", b"\x08\x00", 17


def main(interface: str, key: str = "") -> None:
    """Until something is decoded."""
    listener = decoders.every(key.encode())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as ears:
        ears.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        ears.bind((interface, 0x0003))
        print("listening", flush=True)
        first, frames, groups = 0.0, 0, 0
        while True:
            frame = ears.recv(65536)
            if frame[12:14] != IPV4 or len(frame) < HEADER or frame[23] != UDP or not frame[0] & 1:
                continue
            now = time.monotonic()
            first, frames, groups = first or now, frames + 1, groups + (frame[:3] == GROUP)
            if (found := listener.hear(frame[:6], len(frame), now)) is not None:
                break
    said = {"encoding": found.encoding, "ssid": found.network.ssid, "password": found.network.password}
    told = {**said, "token": found.token.decode(), "frames": frames, "groups": groups, "seconds": round(now - first, 2)}
    print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
