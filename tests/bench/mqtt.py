"""`python -m tests.bench.mqtt`: our MQTT endpoint beside Mosquitto and amqtt, in one run, a core each.

200 connections with 20 QoS 1 messages in flight. Ours acknowledges what is on disk; beside it the same with nothing
written, which is what the other two do. Then the memory of an idle connection, and how late the event loop is while
500 devices report once a second. Ratios count, absolute figures are this machine's.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tests import outside
from tests.bench.__main__ import ROOT, cpu_us, free_port, resident_mb
from tests.bench.mqtt_load import Load, connect

MOSQUITTO = "/usr/sbin/mosquitto"
CONNECTIONS, WINDOW = 200, 20
GOALS = "goals: on disk at least 0.15 of Mosquitto and 2 of amqtt; under 4 kB a connection; p99 under 20 ms"
_AMQTT = """
import asyncio, logging, sys
from amqtt.broker import Broker

async def main():
    logging.disable(logging.CRITICAL)
    listener = {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1], "max_connections": 10000}}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": listener, "plugins": plugins})
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Server(Struct):
    """One that runs: its process, and where."""

    process: subprocess.Popen[bytes]
    port: int

    def ask(self) -> tuple[list[float], int]:
        """Of ours: how late the loop was since it was asked last (ms), and how many messages are on disk."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        lags, _, count = self.process.stdout.readline().decode().strip().rpartition(" ")
        return [float(lag) for lag in lags.split(",") if lag], int(count)


@contextmanager
def running(command: list[str], core: int, port: int = 0, environ: dict[str, str] | None = None) -> Iterator[Server]:
    """On one core, until the context ends; ours say their port themselves."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        cwd=ROOT,
        env=environ or dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        if not port:
            port = int(process.stdout.readline())
        _until_admitted(process, port)
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()


def _until_admitted(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        with suppress(OSError, SystemExit):
            connect(port, 99_999).close()
            return
        time.sleep(0.05)
    raise SystemExit(f"a server ended with {process.returncode}")


@contextmanager
def ours(folder: Path, how: str, core: int = 0) -> Iterator[Server]:
    """`durable`, or `memory`, which acknowledges what is nowhere."""
    command = [sys.executable, "-m", "tests.bench.mqtt_server", str(folder), how]
    with running(command, core) as server:
        yield server


@contextmanager
def mosquitto(folder: Path) -> Iterator[Server]:
    """As Debian has it, without persistence."""
    port = free_port()
    file = folder / "mosquitto.conf"
    file.write_text(f"allow_anonymous true\nlistener {port} 127.0.0.1\nlog_type none\nuser root\n")
    with running([MOSQUITTO, "-c", str(file)], 0, port) as server:
        yield server


@contextmanager
def amqtt() -> Iterator[Server]:
    """On the standard loop, as it comes."""
    port, folder = free_port(), outside.installed(outside.AMQTT)
    with running([sys.executable, "-c", _AMQTT, str(port)], 0, port, outside.environment(folder)) as server:
        yield server


def load(*arguments: object) -> Load:
    """Of the load program, on the other core."""
    command = ["taskset", "-c", "1", sys.executable, "-m", "tests.bench.mqtt_load", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Load)


class Bench:
    """One run over a folder."""

    def __init__(self, work: Path, seconds: float, rounds: int) -> None:
        self._work = work
        self._seconds = seconds
        self._rounds = rounds
        self.loads: dict[str, list[Load]] = {}
        self.cpu_us: dict[str, list[float]] = {}
        self.facts: dict[str, object] = {}

    def throughput(self) -> None:
        """Each server in turn, so that a slow moment of the machine meets them alike."""
        for number in range(self._rounds):
            folder = self._work / f"round{number}"
            with ours(folder, "durable") as server:
                taken = self._take("doorstep, on disk", server)
                _, kept = server.ask()
                if kept < taken.acks:
                    raise SystemExit(f"{taken.acks} were acknowledged, and {kept} are on disk")
            shutil.rmtree(folder)
            with ours(folder, "memory") as server:
                self._take("doorstep, nothing written", server)
            with mosquitto(self._work) as server:
                self._take("mosquitto", server)
            with amqtt() as server:
                self._take("amqtt", server)

    def _take(self, name: str, server: Server) -> Load:
        before = cpu_us(server.process.pid)
        taken = load("full", server.port, CONNECTIONS, WINDOW, self._seconds)
        self.cpu_us.setdefault(name, []).append((cpu_us(server.process.pid) - before) / taken.acks)
        self.loads.setdefault(name, []).append(taken)
        return taken

    def memory(self, connections: int) -> None:
        """Resident memory before and after so many connect and say nothing."""
        for name, serving in (("doorstep", ours(self._work / "idle", "durable")), ("mosquitto", mosquitto(self._work))):
            with serving as server:
                before = resident_mb(server.process.pid)
                command = [sys.executable, "-m", "tests.bench.mqtt_load", "idle", str(server.port), str(connections)]
                with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
                    assert idle.stdout is not None
                    idle.stdout.readline()
                    grown = resident_mb(server.process.pid) - before
                    idle.communicate(b"\n")
                self.facts[f"{name}_kb_per_idle_connection"] = round(grown * 1024 / connections, 2)

    def lag(self, devices: int, seconds: float) -> None:
        """While so many report once a second."""
        with ours(self._work / "lag", "durable") as server:
            server.ask()
            taken = load("paced", server.port, devices, seconds)
            lags, kept = server.ask()
            lags.sort()
            self.facts |= {
                "reports": taken.acks,
                "reports_lost": taken.acks - kept,
                "loop_late_median_ms": round(median(lags), 2),
                "loop_late_p99_ms": round(lags[int(len(lags) * 0.99)], 2),
                "loop_late_worst_ms": round(lags[-1], 2),
            }

    def rows(self) -> Iterator[dict[str, object]]:
        """Medians over the rounds."""
        rates = {name: median(each.acks / each.seconds for each in taken) for name, taken in self.loads.items()}
        for name, taken in self.loads.items():
            busy = median(each.busy for each in taken)
            yield {
                "server": name,
                "acks_per_second": round(rates[name]),
                "of_mosquitto": round(rates[name] / rates["mosquitto"], 2),
                "of_amqtt": round(rates[name] / rates["amqtt"], 1),
                "server_cpu_us": round(median(self.cpu_us[name]), 1),
                "worst_wait_ms": round(median(each.worst_ms for each in taken)),
                "load_busy": round(busy, 2),
                # What the load program could drive, were the server free.
                "load_could": round(rates[name] / busy),
            }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=2000, help="connections whose memory is taken")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=1.0, help="for which the devices report")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="doorstep-bench-"))
    try:
        bench = Bench(work, chosen.seconds, chosen.rounds)
        bench.throughput()
        bench.memory(chosen.idle)
        bench.lag(chosen.devices, chosen.minutes * 60)
    finally:
        shutil.rmtree(work)
    rows = list(bench.rows())
    if chosen.json:
        print(msgspec.json.encode({"rows": rows, **bench.facts}).decode())
        return
    table = Table(title=f"{CONNECTIONS} connections, {WINDOW} QoS 1 messages in flight each, a core each")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column == "server" else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print("  ".join(f"{name.replace('_', ' ')}: {value}" for name, value in bench.facts.items()))
    console.print(GOALS)


if __name__ == "__main__":
    main()
