"""Says when a device is first announced on the wire: `python -m tests.lan.ears INTERFACE`, run on a host.

It says `listening`, then for each device a JSON line with its id and the moment, in seconds of the monotonic clock,
which is one for all processes of a machine.
"""

import re
import socket
import sys
import time

import msgspec

IPV4 = b"\x08\x00"
MDNS = (5353).to_bytes(2, "big")
HEADER = 42
RESPONSE = 0x80
DEVICE = re.compile(rb"d-[a-z2-7]{24}")


def main(interface: str) -> None:
    """Until it is killed."""
    known: set[bytes] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as ears:
        ears.bind((interface, 0x0003))
        print("listening", flush=True)
        while True:
            frame = ears.recv(65536)
            now = time.monotonic()
            if frame[12:14] != IPV4 or frame[36:38] != MDNS or not frame[HEADER + 2] & RESPONSE:
                continue
            for device in set(DEVICE.findall(frame)) - known:
                known.add(device)
                print(msgspec.json.encode({"id": device.decode(), "at": now}).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
