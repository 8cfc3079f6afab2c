"""`python -m tests.bench.provisioning`: what it costs to make a mesh node, both ends together, without any radio.

Beside it, in the same run, what the cryptography itself takes (two key pairs and two exchanges on P-256). The ratio is
what counts; absolute figures are this machine's.
"""

import argparse
import secrets
import time
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.device import Device, join
from ble.mesh.provisioning.keys import KeyPair
from ble.mesh.provisioning.pdus import CMAC, HMAC, Capabilities
from ble.mesh.provisioning.provisioner import provision
from tests.ble.mesh.prov_pairs import pair


def provisioning(algorithm: int) -> Callable[[], None]:
    device = Device(capabilities=Capabilities(elements=1, algorithms=1 << algorithm))

    def once() -> None:
        done = pair(provision(Choice(), entropy=secrets.token_bytes), join(device, entropy=secrets.token_bytes)).run()
        assert done.node.device_key == done.joined.device_key

    return once


def exchanges() -> None:
    ours, theirs = KeyPair(), KeyPair()
    assert ours.exchange(theirs.point) == theirs.exchange(ours.point)


def milliseconds(work: Callable[[], None], count: int) -> float:
    """The median of so many."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.provisioning")
    parser.add_argument("--count", type=int, default=500)
    count = parser.parse_args().count
    bare = milliseconds(exchanges, count)
    table = Table("what", "ms", "times the curve alone")
    table.add_row("P-256 alone, both ends", f"{bare:.2f}", "1.0")
    for name, algorithm in (("CMAC", CMAC), ("HMAC-SHA256", HMAC)):
        taken = milliseconds(provisioning(algorithm), count)
        table.add_row(f"provisioning with {name}, both ends", f"{taken:.2f}", f"{taken / bare:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
