"""`python -m tests.bench.pairing`: from a device's first announcement on the wire to its first answered command.

Hub, phone and lamps are processes on hosts of their own. Beside it, in the same run, what zeroconf itself takes to make
sure that a name is free before it announces it. The ratio is what counts; absolute figures are this machine's.
"""

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from pairing.device import FileDeviceStore, new_state
from tests.lan.house import WAIT, House, Lamp, living
from tests.lan.lan import ROOT, Host, Lan

PIN = "48151623"
PATIENCE = 60.0
GOAL_MS = 50.0
# How long one registration takes that asks first whether somebody has the name, seconds.
PROBING = """
import asyncio, time
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from zeroconf import InterfaceChoice

async def main():
    zeroconf = AsyncZeroconf(interfaces=InterfaceChoice.All)
    await zeroconf.zeroconf.async_wait_for_start()
    kind = "_probe._tcp.local."
    info = AsyncServiceInfo(kind, "x." + kind, port=1, server="x.local.", parsed_addresses=["192.168.77.250"])
    began = time.monotonic()
    await zeroconf.async_register_service(info)
    print(time.monotonic() - began)
    await zeroconf.async_close()

asyncio.run(main())
"""


@asynccontextmanager
async def program(host: Host, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """What a program on the host says."""
    process = await asyncio.create_subprocess_exec(
        *host.through, sys.executable, *arguments, stdout=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def probing(house: House) -> float:
    """Seconds."""
    async with house.guest() as host, program(host, "-c", PROBING) as said:
        return float(await said.readline())


async def announced(ears: asyncio.StreamReader, device_id: str) -> float:
    """When the device first said that it is there."""
    async with asyncio.timeout(WAIT):
        while True:
            heard = msgspec.json.decode(await ears.readline())
            if heard["id"] == device_id:
                return float(heard["at"])


async def pairing(house: House, ears: asyncio.StreamReader, folder: Path, *, pin: bool) -> tuple[float, float]:
    """Seconds from the announcement to the end of the session, and to the first answer to a command."""
    state = new_state(secrets.token_bytes)
    lamp_id, file = state.identity.device_id, folder / f"{state.identity.device_id}.json"
    await asyncio.to_thread(FileDeviceStore(file).save, state)
    label = ("--pin", PIN) if pin else ()
    path = await house.start(device_id=lamp_id, **({"pin": PIN} if pin else {}))
    await house.until(path, "searching")
    following = asyncio.create_task(house.phone.done("FOLLOW", path))
    async with house.guest() as host, Lamp(host, "--state", file, *label):
        session = await following
        joined = time.monotonic()
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])
        obeyed = time.monotonic()
        began = await announced(ears, lamp_id)
    return joined - began, obeyed - began


async def measured(runs: int) -> dict[str, Any]:
    """Milliseconds, medians; `ratios` are to zeroconf's own time."""
    with tempfile.TemporaryDirectory(prefix="doorstep-bench-") as name:
        folder = Path(name)
        async with (
            Lan() as lan,
            living(lan, folder / "hub", patience=PATIENCE) as house,
            program(house.hub_host, "-m", "tests.lan.ears", "eth0") as ears,
        ):
            await ears.readline()
            probes, by_pin, by_code = [], [], []
            for run in range(runs):
                print(f"run {run + 1} of {runs}", file=sys.stderr)
                probes.append(await probing(house))
                by_pin.append(await pairing(house, ears, folder, pin=True))
                by_code.append(await pairing(house, ears, folder, pin=False))
    own = 1000 * median(probes)
    figures = {
        "zeroconf makes sure of the name": own,
        "announced to joined, label PIN": 1000 * median(joined for joined, _ in by_pin),
        "announced to controllable, label PIN": 1000 * median(obeyed for _, obeyed in by_pin),
        "announced to joined, code agreed to at once": 1000 * median(joined for joined, _ in by_code),
        "announced to controllable, code agreed to at once": 1000 * median(obeyed for _, obeyed in by_code),
    }
    return {
        "runs": runs,
        "median_ms": {what: round(ms, 1) for what, ms in figures.items()},
        "ratios": {what: round(ms / own, 4) for what, ms in figures.items()},
        "goal_ms": GOAL_MS,
    }


def show(found: dict[str, Any]) -> None:
    """As a table."""
    table = Table(title=f"Pairing on a wire, medians of {found['runs']}; Doorstep should add {GOAL_MS:.0f} ms at most")
    table.add_column("what")
    table.add_column("ms", justify="right")
    table.add_column("to zeroconf's own", justify="right")
    for what, ms in found["median_ms"].items():
        table.add_row(what, f"{ms:.1f}", f"{found['ratios'][what]:.3f}")
    Console().print(table)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(measured(given.runs))
    if given.json:
        print(msgspec.json.encode(found).decode())
    else:
        show(found)


if __name__ == "__main__":
    main()
