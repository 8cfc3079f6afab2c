"""What has changed here since the platform was told. Pure; names only: the newest values are read as they are sent.

So it holds at most one name for each property of each device, however long the platform is away or slow.
"""

from collections.abc import Iterable
from typing import Final

# Every property, of a device whose values are told as they are.
ALL: Final = None
Names = dict[str, set[str]]


class Pending:
    """Devices are ours, by id. Who is told first has waited longest."""

    def __init__(self) -> None:
        self._reports: dict[str, Names | None] = {}
        self._statuses: dict[str, None] = {}
        self._shadows: dict[str, None] = {}

    def come(self, device_ids: Iterable[str]) -> None:
        """The platform has these, and knows nothing of them: everything is told, and their shadows are asked for."""
        for device_id in device_ids:
            self._reports[device_id] = ALL
            self._statuses[device_id] = None
            self._shadows[device_id] = None

    def gone(self, device_ids: Iterable[str]) -> None:
        """Nothing is told of these."""
        for device_id in device_ids:
            for waiting in (self._reports, self._statuses, self._shadows):
                waiting.pop(device_id, None)

    def reported(self, device_id: str, service: str, names: Iterable[str]) -> None:
        """A device said these anew."""
        waiting = self._reports.setdefault(device_id, {})
        if waiting is not ALL:
            waiting.setdefault(service, set()).update(names)

    def changed(self, device_id: str) -> None:
        """A device came or went."""
        self._statuses[device_id] = None

    def reports(self, limit: int) -> dict[str, Names | None]:
        """Whose values are told next."""
        return {device_id: self._reports.pop(device_id) for device_id in list(self._reports)[:limit]}

    def statuses(self, limit: int) -> list[str]:
        """Of whom it is told next whether they are there. After their values: who reports counts as there."""
        found = [device_id for device_id in self._statuses if device_id not in self._reports][:limit]
        for device_id in found:
            del self._statuses[device_id]
        return found

    def shadow(self) -> str | None:
        """Whose shadow is asked for next."""
        if (device_id := next(iter(self._shadows), None)) is not None:
            del self._shadows[device_id]
        return device_id
