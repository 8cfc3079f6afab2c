"""`python -m tests.bench.mesh`: mesh messages a second, down to sealed segments and up again, on one core.

Figures are this machine's. Crypto and Python together, without protocol timers, radio or disk.
"""

import time
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from ble.mesh.exchange import ByApp, Received
from ble.mesh.proxy import Whole
from ble.mesh.stack import Stack
from tests.ble.mesh.pairs import NODE, WALL, carry, pair, reserve

MESSAGES = 300
ROUNDS = 5
SIZES = (4, 11, 60, 376)


def sealed(size: int) -> tuple[float, list[list[Whole]], Stack]:
    """Seconds to encrypt and segment the messages; what they became, and the node that can read it."""
    hub, node = pair()
    made, spent = [], 0.0
    for number in range(MESSAGES):
        reserve(hub)
        reserve(node)
        before = time.perf_counter()
        handle = hub.send(NODE, number.to_bytes(2, "big") + bytes(size - 2), ByApp(0), 0.0)
        made.append(hub.take_out())
        spent += time.perf_counter() - before
        hub.cancel(handle, 0.0)
    return spent, made, node


def opened(made: list[list[Whole]], node: Stack) -> float:
    """Seconds to decrypt and reassemble them; their acknowledgements are made, too."""
    before = time.perf_counter()
    for wholes in made:
        reserve(node)
        for whole in wholes:
            node.receive(whole, 0.0, WALL)
        node.tick(0.0)
        node.take_out()
    spent = time.perf_counter() - before
    assert sum(isinstance(event, Received) for event in node.take_events()) == MESSAGES
    return spent


def both_ways() -> float:
    """Seconds for a question and its answer at both ends, all layers."""
    hub, node = pair()
    before = time.perf_counter()
    for _ in range(MESSAGES):
        reserve(hub)
        reserve(node)
        hub.send(NODE, b"\x82\x02\x01\x00", ByApp(0), 0.0)
        carry(hub, node)
        node.send(hub.state.address, b"\x82\x04\x01", ByApp(0), 0.0)
        carry(hub, node)
    return time.perf_counter() - before


def main() -> None:
    table = Table("octets", "PDUs", "down: messages/s", "up: messages/s")
    for size in SIZES:
        runs = []
        for _ in range(ROUNDS):
            down, made, node = sealed(size)
            runs.append((down, opened(made, node), len(made[0])))
        table.add_row(
            str(size),
            str(runs[0][2]),
            f"{MESSAGES / median(run[0] for run in runs):,.0f}",
            f"{MESSAGES / median(run[1] for run in runs):,.0f}",
        )
    console = Console()
    console.print(table)
    console.print(f"OnOff Set and its Status, both ends: {_each(both_ways):.2f} ms")


def _each(run: Callable[[], float]) -> float:
    return median(run() for _ in range(ROUNDS)) / MESSAGES * 1000


if __name__ == "__main__":
    main()
