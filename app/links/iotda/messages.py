"""Messages that devices send up, in a form of their own: told as events, and noted in the device's log."""

import base64
from typing import Any, Final

import msgspec

from app.devices.changes import change
from app.devices.model import Device
from app.errors import TooMany
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.links.iotda.speaking import Act
from app.policy import SYSTEM, Action
from app.store.tx import Tx

# A device may say this much at once, and as much again in the course of a minute: what is said is kept on disk.
BYTES_AT_ONCE: Final = 4 << 20
BYTES_PER_MS: Final = BYTES_AT_ONCE / 60_000
# The log shows what a message began with.
NOTED_CHARACTERS: Final = 1_000


class TooMuchSaid(TooMany):
    """The device says more than is kept of it."""

    code = "device_says_too_much"
    hint = "Send fewer or shorter messages."


class Budget:
    """Octets that each device may still say; one entry for each that ever said something, until it is full again."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, int]] = {}

    def take(self, device_id: str, octets: int, now_ms: int) -> None:
        """Raises TooMuchSaid."""
        left, at = self._left.get(device_id, (float(BYTES_AT_ONCE), now_ms))
        left = min(left + max(0, now_ms - at) * BYTES_PER_MS, float(BYTES_AT_ONCE))
        if left < octets:
            raise TooMuchSaid
        self._left[device_id] = (left - octets, now_ms)

    def forget(self, device_id: str) -> None:
        """There is no such device any more."""
        self._left.pop(device_id, None)


class Messages:
    """Makes acts of what was said, raising TooMuchSaid."""

    def __init__(self, journal: Journal, budget: Budget) -> None:
        self._journal = journal
        self._budget = budget

    def act(self, device: Device, payload: bytes, now_ms: int, *, topic: str = "", content: Any = None) -> Act:
        """A message; `content` where the envelope was read, else the octets are the content (2.6.1)."""
        self._budget.take(device.id, len(payload), now_ms)
        said = {"topic": topic, **(_envelope(content) if content is not None else _as_it_is(payload))}
        noted = msgspec.json.encode(said).decode()[:NOTED_CHARACTERS]

        def act(tx: Tx) -> None:
            value = msgspec.json.encode({"began": noted}).decode()
            self._journal.write_in(tx, [Entry(device.id, device.home_id, tx.now, Kind.MESSAGE, topic, value)])
            tx.record(SYSTEM, change("device.message", device, said, Action.DEVICE_JOURNAL, audit=False))

        return act


def _envelope(message: Any) -> dict[str, Any]:
    fields = msgspec.structs.asdict(message)
    known = {name: fields[name] for name in ("name", "id", "content") if fields[name] is not msgspec.UNSET}
    return {name: value for name, value in known.items() if value is not None}


def _as_it_is(payload: bytes) -> dict[str, Any]:
    """Text as text, other octets as base64."""
    try:
        return {"content": payload.decode()}
    except UnicodeDecodeError:
        return {"content_base64": base64.b64encode(payload).decode()}
