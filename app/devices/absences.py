"""Offline alerts: a device that has been gone for longer than its home, or it, has said is told of once.

What is gone, since when, and whether somebody was told, is on disk: a restart neither forgets an alert nor repeats it.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from app.caller import Caller
from app.clock import to_time
from app.devices import absence_queries as queries
from app.devices.absence_queries import Overdue
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.policy import SYSTEM
from app.store.store import Store
from app.store.tx import Tx

# Where neither device nor home says otherwise (s): longer than a router takes to start, a power cut to pass, an update.
ALERT_AFTER_S: Final = 1800


class Absences:
    """Presence says when devices go and come; housekeeping looks, each minute, for those that are gone for too long."""

    def __init__(
        self, store: Store, memory: Memory, journal: Journal, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._memory = memory
        self._journal = journal
        self.monotonic = monotonic
        # Of absences that began in this life of the hub: a clock that is set does not make them any longer.
        self._begun: dict[str, float] = {}
        # Whether this node is told when devices come and go that another hub holds: else it only does not know.
        self.hears_others: Callable[[], bool] = lambda: True

    def start_housekeeping(self) -> None:
        """Begin to look; the store must be open."""
        self._store.housekeeping.register("offline_alerts", self.alert_in)

    def begin_in(self, tx: Tx, device: Device, at: int) -> None:
        """It is gone since `at` (ms)."""
        queries.begin(tx, device.id, at)
        self._begun[device.id] = self.monotonic()

    def begin_anew_in(self, tx: Tx, device_ids: Iterable[str]) -> None:
        """What is gone of them counts as gone from now on, and nobody was told."""
        for device_id in device_ids:
            queries.begin_anew(tx, device_id, tx.now)
            self._begun[device_id] = self.monotonic()

    def moving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """It goes to another home, which has heard nothing of it yet."""
        self.begin_anew_in(tx, [device.id])

    def end_in(self, tx: Tx, device: Device, at: int) -> None:
        """It is back at `at` (ms); whoever was told that it is gone is told so."""
        self._begun.pop(device.id, None)
        if (alerted_at := queries.end(tx, device.id)) is not None:
            self._tell_in(tx, device, "device.offline_alert_cleared", Kind.ALERT_CLEARED, {"alerted_at": alerted_at})

    def alert_in(self, tx: Tx) -> int:
        """Tell of those that are gone for too long; returns of how many. Not while the hub does not know the time."""
        if not tx.moment.trusted:
            return 0
        found = queries.overdue(tx, tx.now, ALERT_AFTER_S, of_others=self.hears_others())
        due = [each for each in found if self._is_over(each)]
        for each in due:
            queries.set_alerted(tx, each.device.id, tx.now)
            said = {"since": each.since, "after": each.after}
            self._tell_in(tx, each.device, "device.offline_alert", Kind.OFFLINE_ALERT, said)
        return len(due)

    def _is_over(self, each: Overdue) -> bool:
        begun = self._begun.get(each.device.id)
        return begun is None or self.monotonic() - begun >= each.after

    def _tell_in(self, tx: Tx, device: Device, kind: str, noted: Kind, said: dict[str, int]) -> None:
        data: dict[str, Any] = {name: to_time(n) if name != "after" else n for name, n in said.items()}
        value = msgspec.json.encode(data).decode()
        if self._memory.holds(device):
            self._journal.write_in(tx, [Entry(device.id, device.home_id, tx.now, noted, value=value, source="hub")])
        tx.record(SYSTEM, change(kind, device, data, audit=False))
