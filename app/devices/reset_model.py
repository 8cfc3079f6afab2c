"""A factory reset as kept and as shown.

Two promises are made by the faces. `keep`: the device stays in its home, unbound, with its name, room, log and all that
it said of itself (Bota's page: "the device record ... preserved"; Tuya's reset, specs/tuya/notes.md 9); what was wanted
of it ends as its commands do. `remove`: it leaves its home as with `DELETE`, and is told to forget everything besides.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.clock import Time, to_time
from app.devices.credential_model import Credential
from app.store.retention import DAY_MS

# A device that has not called within it is out of use; what proved it opens nothing at all from then on.
EXPIRES_MS: Final = 30 * DAY_MS
# Ended ones are history for as long.
KEEP_ENDED_MS: Final = 90 * DAY_MS


class Record(StrEnum):
    """What becomes of the device's record."""

    KEEP = "keep"
    REMOVE = "remove"


class ResetState(StrEnum):
    """`queued` until the device was told, `delivered` until it said that it has forgotten.

    `superseded`: it was let in anew by somebody before it said so.
    """

    QUEUED = "queued"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Nothing more comes of it."""
        return self not in (ResetState.QUEUED, ResetState.DELIVERED)


class Reset(Struct, frozen=True, gc=False):
    """The newest reset of a piece of hardware. Times in ms. `account_id` None: by hand."""

    hardware_id: str
    id: str
    device_id: str
    home_id: str
    account_id: str | None
    record: Record
    state: ResetState
    asked_at: int
    expires_at: int
    delivered_at: int | None = None
    ended_at: int | None = None


class Departing(Struct, frozen=True, gc=False):
    """An open reset, and what the device proves itself with to hear of it; None: its binding, or its gateway's link.

    That opens one thing: hearing of the reset, and acknowledging it.
    """

    reset: Reset
    credential: Credential | None


class NewReset(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the device's record: `keep` leaves it in its home, unbound; `remove` removes it."""

    record: Record = Record.KEEP


class ResetView(Struct, frozen=True):
    """A factory reset. `account_id` is who asked; null: somebody did it by hand at the device."""

    id: str
    device_id: str
    record: Record
    state: ResetState
    account_id: str | None
    asked_at: Time
    expires_at: Time
    delivered_at: Time | None
    ended_at: Time | None


def view_of(reset: Reset) -> ResetView:
    """What is shown of it."""
    return ResetView(
        reset.id,
        reset.device_id,
        reset.record,
        reset.state,
        reset.account_id,
        to_time(reset.asked_at),
        to_time(reset.expires_at),
        None if reset.delivered_at is None else to_time(reset.delivered_at),
        None if reset.ended_at is None else to_time(reset.ended_at),
    )
