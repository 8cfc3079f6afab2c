"""`python -m tests.bench.sync`: a hub and its cloud beside PouchDB's own replication, in one run.

10,000 documents from one empty replica to the other, and edits made while both were apart. Ours: real processes, SQLite
with synchronous=FULL on both sides, counted once every fact is durable in the other side's log, where it is read by its
id; `shown after`: and shown by its tables, with events and audit trail, which PouchDB has nothing like. Timed from when
the hub has a log (what it takes to make one of its tables is told by itself: PouchDB's stands as well), or from the
request that attaches the second hub; after an offline period from the hub's first connection, so that its proof, its
WebSocket and its greeting are in it. PouchDB: `PouchDB.replicate` (`PouchDB.sync` for both ways) with its
default options between LevelDB stores, over HTTP to express-pouchdb in another process, timed from the call to its end;
LevelDB does not wait for the disk. Both without TLS, through the same counting proxy; ours once more with TLS. Ratios
count, absolute figures are this machine's.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench import doorstep, pouch
from tests.bench.homes import DOCUMENTS, Prepared, prepare
from tests.bench.measured import WHAT, Measured

GOAL = 20
DOORSTEP, TLS, POUCHDB = "doorstep", "doorstep, TLS", "pouchdb"


class Bench:
    """One run; each contender in turn, so that a slow moment of the machine meets them alike."""

    def __init__(self, prepared: Prepared, work: Path, edits: int, changes: int) -> None:
        self._made = prepared
        self._work = work
        self._edits = edits
        self._changes = changes
        self.rounds: dict[str, list[Measured]] = {}

    async def round(self, number: int) -> None:
        """One of each."""
        folder = self._work / f"round{number}"
        for name, tls in ((DOORSTEP, False), (TLS, True)):
            took = await doorstep.measure(self._made, folder, self._edits, tls=tls, changes=self._changes)
            self.rounds.setdefault(name, []).append(took)
            if not tls:
                documents = self._made.folder / DOCUMENTS
                theirs = await pouch.measure(folder / POUCHDB, documents, self._edits)
                self.rounds.setdefault(POUCHDB, []).append(theirs)

    def rows(self) -> Iterator[dict[str, object]]:
        """Medians over the rounds, with the ratio to PouchDB."""
        for what, told in WHAT.items():
            rates = {name: median(it.taken[what].rate for it in took) for name, took in self.rounds.items()}
            for name, took in self.rounds.items():
                documents = took[0].taken[what].documents
                yield {
                    "what": told,
                    "by": name,
                    "documents": documents,
                    "per_second": round(rates[name]),
                    "of_pouchdb": round(rates[name] / rates[POUCHDB], 1),
                    "seconds": round(documents / rates[name], 3),
                    "shown_after": round(median(it.taken[what].shown for it in took), 3),
                    "octets_each": round(median(it.taken[what].octets for it in took) / documents),
                }

    def changes(self) -> Iterator[dict[str, object]]:
        """From one change to the other side's event."""
        for name in (DOORSTEP, TLS):
            for way in ("to_cloud", "to_hub"):
                spent = sorted(ms for it in self.rounds[name] for ms in getattr(it, way))
                if spent:
                    middle, late = round(median(spent), 1), round(spent[int(len(spent) * 0.99)], 1)
                    yield {"by": name, "way": way.replace("_", " "), "median_ms": middle, "p99_ms": late}


def main() -> None:
    """Parse, prepare, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--edits", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=500, help="one after another, each way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="doorstep-bench-"))
    try:
        bench = uvloop.run(_run(chosen, work))
    finally:
        shutil.rmtree(work)
    rows, changes = list(bench.rows()), list(bench.changes())
    if chosen.json:
        print(msgspec.json.encode({"devices": chosen.devices, "rows": rows, "changes": changes}).decode())
    else:
        stated = median(it.stated for it in bench.rounds[DOORSTEP])
        print(f"{chosen.devices} devices became a log in {stated:.3f} s")
        _show(f"{chosen.devices} devices and what they stand in; goal: {GOAL} times PouchDB", rows)
        _show("from asking for a change to the other side's event", changes)


async def _run(chosen: argparse.Namespace, work: Path) -> Bench:
    print(f"making {chosen.devices} devices", file=sys.stderr)
    prepared = await prepare(work / "prepared", chosen.devices)
    bench = Bench(prepared, work, chosen.edits, chosen.changes)
    for number in range(chosen.rounds):
        print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
        await bench.round(number)
    return bench


def _show(title: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column in ("what", "by", "way") else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
