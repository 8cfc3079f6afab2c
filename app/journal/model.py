"""Entries of the log of a device and of the audit trail."""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from app.clock import Time


class Kind(StrEnum):
    """What kind of thing happened to a device."""

    ADDED = "added"
    REMOVED = "removed"
    ONLINE = "online"
    OFFLINE = "offline"
    REPORT = "report"
    UNFIT = "unfit"
    COMMAND = "command"
    ANSWER = "answer"
    RESET = "reset"
    MESSAGE = "message"
    LOG = "log"
    UPGRADE = "upgrade"
    CONFIG = "config"
    FILE = "file"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    OFFLINE_ALERT = "offline_alert"
    ALERT_CLEARED = "alert_cleared"
    # So many entries before the next were never told by the hub that had them: they had made room.
    GAP = "gap"


class Entry(Struct, frozen=True, gc=False):
    """One thing that happened to a device. `value` is JSON; `source` who did it: device, hub or an account's id."""

    device_id: str
    home_id: str
    at: int
    type: Kind
    code: str = ""
    value: str = "null"
    source: str = "device"


class EntryView(Struct, frozen=True):
    """An entry as faces show it; `id` is a place in the log."""

    id: int
    at: Time
    type: Kind
    code: str
    value: Any
    source: str


class AuditView(Struct, frozen=True):
    """Who did what in a home, when, and through which of their credentials."""

    id: int
    at: Time
    account_id: str | None
    credential_id: str | None
    type: str
    kind: str
    entity_id: str
    data: Any
