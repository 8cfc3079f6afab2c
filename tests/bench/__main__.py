"""`python -m tests.bench`: what a hub costs beside a bare ASGI application on the same server, in one run.

One core for the server, one for the load. Figures are medians over the rounds; the ratios are what counts, absolute
figures are this machine's.
"""

import argparse
import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from pairing import link
from pairing.device import Binding
from pairing.identity import Identity
from pairing.messages import Hello, encode
from pairing.pump import pump
from pairing.wire import pack
from tests.bench import bare, folder
from tests.bench.load import Figures, Request, measure, request

ROOT = Path(__file__).parents[2]
CONCURRENCY = 32
ONLINE = 512
Server = tuple[int, int]  # port, process id
# Beyond the run's end: a command's later fate, an answer or its expiry, is work of its own. The bench's lamps never
# answer, and with the usual half minute each round would pay for the expiry of the one before.
COMMAND = b'{"service":"light","values":{"on":true},"expires_in":3600}'
# Limits are for peers, not for what is being measured.
PATIENT = {"DOORSTEP_LIMITS__REQUESTS_PER_SECOND": "10000000", "DOORSTEP_LIMITS__REQUEST_BURST": "10000000"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    ask = urllib.request.Request(url, headers={"Authorization": f"Bearer {folder.TOKEN}"})
    try:
        with urllib.request.urlopen(ask, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _environment() -> dict[str, str]:
    """Of a server. It may keep its bytecode, as one that is installed has it: a start without is mostly compiling."""
    return os.environ | PATIENT | {"PYTHONDONTWRITEBYTECODE": ""}


@contextmanager
def serving(arguments: list[str], url: str, core: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server process on one core; with how long it took to its first answer (s)."""
    began = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        while not answers(url):
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
            time.sleep(0.01)
        yield process, time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def cpu_us(pid: int) -> float:
    """CPU the process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e6


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def be_online(made: folder.Made, n: int, port: int) -> asyncio.Task[None]:
    """The nth lamp: linked, and swallowing what it is told."""
    hub = Identity(made.hub_private)
    binding = Binding(hub.hub_id, hub.public, "Bench", (), folder.credential_of(n), "b", epoch=1, time=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    talk = link.device_talk(folder.identity_of(n), binding, entropy=secrets.token_bytes)
    channel = await pump(talk, reader, writer, keep_open=True)
    writer.write(pack(channel.seal(encode(Hello("1.0.0", "lamp")))))

    async def swallow() -> None:
        while await reader.read(65536):
            pass
        writer.close()

    return asyncio.create_task(swallow())


class Bench:
    """One run; `figures` by (what, which server)."""

    def __init__(self, made: folder.Made, seconds: float, rounds: int) -> None:
        self._made = made
        self._seconds = seconds
        self._rounds = rounds
        self.figures: dict[tuple[str, str], list[Figures]] = {}
        self.cpu: dict[tuple[str, str], list[float]] = {}
        ids = made.device_ids
        self.get = [request("GET", f"/api/devices/{i}", folder.TOKEN) for i in ids]
        self.post = [request("POST", f"/api/devices/{i}/commands", folder.TOKEN, COMMAND) for i in ids[:ONLINE]]
        self.list = [request("GET", f"/api/homes/{made.home_id}/devices", folder.TOKEN)]

    async def take(self, what: str, which: str, server: Server, requests: list[Request], status: int) -> None:
        """One measurement; its first half second is not counted."""
        port, pid = server
        await measure("127.0.0.1", port, requests, seconds=0.5, concurrency=CONCURRENCY, status=status)
        before = cpu_us(pid)
        taken = await measure(
            "127.0.0.1", port, requests, seconds=self._seconds, concurrency=CONCURRENCY, status=status
        )
        self.cpu.setdefault((what, which), []).append((cpu_us(pid) - before) / taken.answers)
        self.figures.setdefault((what, which), []).append(taken)

    async def run(self, bare_server: Server, hub: Server, two: Server, link_port: int) -> None:
        """All measurements, each round in turn, so that a slow moment of the machine meets them alike."""
        online = [await be_online(self._made, n, link_port) for n in range(ONLINE)]
        await self._see_all(hub)
        for number in range(self._rounds):
            print(f"round {number + 1} of {self._rounds}", file=sys.stderr)
            for what, requests, status in (("GET", self.get, 200), ("LIST", self.list, 200), ("POST", self.post, 202)):
                await self.take(what, "bare", bare_server, requests, status)
                await self.take(what, "doorstep", hub, requests, status)
            await self.take("POST", "two rows", two, self.post, 202)
        for task in online:
            task.cancel()
        await asyncio.gather(*online, return_exceptions=True)

    async def _see_all(self, hub: Server) -> None:
        """Each device once: the first reader after a change pays for encoding it."""
        seen = 0
        while seen < len(self.get):
            turn = self.get[seen:] + self.get[:seen]
            port, _ = hub
            seen += (await measure("127.0.0.1", port, turn, seconds=0.5, concurrency=CONCURRENCY, status=200)).answers

    def rows(self) -> Iterator[dict[str, object]]:
        """Medians over the rounds, with the ratio to bare."""
        for (what, which), taken in self.figures.items():
            rate = median(t.rate for t in taken)
            yield {
                "what": what,
                "server": which,
                "per_second": round(rate),
                "ratio": round(rate / median(t.rate for t in self.figures[what, "bare"]), 3),
                "cpu_us": round(median(self.cpu[what, which])),
                "median_ms": round(median(t.median_ms for t in taken), 2),
                "p99_ms": round(median(t.p99_ms for t in taken), 2),
                "p99_over_median": round(median(t.p99_ms / t.median_ms for t in taken), 2),
                "errors": sum(t.errors for t in taken),
            }


def payloads(made: folder.Made, hub_port: int, file: Path) -> None:
    """What the hub answers is what bare answers."""

    def ask(path: str) -> str:
        ask = urllib.request.Request(
            f"http://127.0.0.1:{hub_port}{path}", headers={"Authorization": f"Bearer {folder.TOKEN}"}
        )
        with urllib.request.urlopen(ask) as answer:
            text: str = answer.read().decode()
            return text

    one = ask(f"/api/devices/{made.device_ids[0]}")
    accepted = msgspec.json.encode({"id": "0" * 36, "state": "queued", "filler": "x" * 330}).decode()
    many = ask(f"/api/homes/{made.home_id}/devices")
    file.write_bytes(msgspec.json.encode({bare.ONE: one, bare.LIST: many, bare.ACCEPTED: accepted}))


def main() -> None:
    """Parse, prepare, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="doorstep-bench-"))
    try:
        _run(chosen, work)
    finally:
        shutil.rmtree(work)


def _run(chosen: argparse.Namespace, work: Path) -> None:
    print(f"making {chosen.devices} devices", file=sys.stderr)
    made = asyncio.run(folder.make(work / "hub", chosen.devices))
    shutil.copytree(work / "hub", work / "two")
    ports = [free_port() for _ in range(4)]
    hub_port, link_port, bare_port, two_port = ports
    python = sys.executable
    serve = [python, "-m", "app", "serve", "--data", str(work / "hub"), "--no-tls", "--port", str(hub_port)]
    serve += ["--link-port", str(link_port), "--no-mqtt", "--log-level", "warning"]
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "bytecode")
    subprocess.run([python, "-c", "import app.commands.serve, app.node"], cwd=ROOT, env=_environment(), check=True)
    with serving(serve, f"http://127.0.0.1:{hub_port}/healthz", 0) as (hub, started):
        memory = resident_mb(hub.pid)
        payloads(made, hub_port, work / "payloads.json")
        bare_server = [python, "-m", "tests.bench.bare", str(bare_port), str(work / "payloads.json")]
        two_server = [python, "-m", "tests.bench.two_rows", str(work / "two"), str(two_port)]
        with (
            serving(bare_server, f"http://127.0.0.1:{bare_port}/", 0) as (plain, plain_started),
            serving(two_server, f"http://127.0.0.1:{two_port}/healthz/x/y/z", 0) as (two, _),
        ):
            bench = Bench(made, chosen.seconds, chosen.rounds)
            plain_memory = resident_mb(plain.pid)
            os.sched_setaffinity(0, {1})
            servers = ((bare_port, plain.pid), (hub_port, hub.pid), (two_port, two.pid))
            uvloop.run(bench.run(*servers, link_port))
        after = resident_mb(hub.pid)
    rows = list(bench.rows())
    start = {"first_answer_s": round(started, 2), "bare_first_answer_s": round(plain_started, 2)}
    size = {"resident_mb": round(memory), "resident_after_mb": round(after), "bare_resident_mb": round(plain_memory)}
    if chosen.json:
        print(msgspec.json.encode({"devices": chosen.devices, "rows": rows, **start, **size}).decode())
    else:
        _show(rows, chosen.devices, start | size)


def _show(rows: list[dict[str, object]], devices: int, facts: dict[str, float]) -> None:
    table = Table(title=f"{devices} devices, {CONCURRENCY} connections, one core each for server and load")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column in ("what", "server") else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print("  ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()))


if __name__ == "__main__":
    main()
