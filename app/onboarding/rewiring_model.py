"""A home's move to another Wi-Fi network: what becomes of each device, as a pure function; and how it is shown."""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.clock import Time, to_time
from app.errors import Conflict
from pairing.messages import ROLLBACK, Hello, WifiAccepted, WifiRefused
from pairing.session.cause import NEXT_STEPS
from pairing.session.causes import CATALOGUE

# For what is awaited of a device. One that tries the new network goes back by itself after ROLLBACK seconds, and is
# then given time to link again.
ANSWER_S: Final = 30.0
RETURN_S: Final = ROLLBACK + 30.0


class Progress(StrEnum):
    """Of one device. The last five are ends."""

    UNREACHABLE = "unreachable"  # not linked: told when it is, or to be brought onto the network by hand
    TOLD = "told"
    TRYING = "trying"  # it has left the old network
    KEEPING = "keeping"  # it is back over the new one, and has been told to keep it
    DONE = "done"
    WIRED = "wired"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    LET_BE = "let_be"  # the move was cancelled before it was through

    @property
    def ended(self) -> bool:
        """Nothing more is awaited of the device."""
        return self in _ENDS

    @property
    def patience(self) -> float | None:
        """Seconds until what is awaited has not come; None: nothing is."""
        return {Progress.TOLD: ANSWER_S, Progress.TRYING: RETURN_S, Progress.KEEPING: ANSWER_S}.get(self)


_ENDS = frozenset({Progress.DONE, Progress.WIRED, Progress.REFUSED, Progress.ROLLED_BACK, Progress.LET_BE})


class State(StrEnum):
    """Of the move as a whole."""

    OPEN = "open"
    ENDED = "ended"  # nothing more is awaited of any device
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # some were unreachable to the end


class WifiChange(Struct, frozen=True):
    """The order; its password is in the vault. Times in ms."""

    id: str
    home_id: str
    account_id: str
    ssid: str
    state: State
    created_at: int
    expires_at: int
    ended_at: int | None = None


class Mover(Struct, frozen=True):
    """One device of a move. `was`: the network it was on before, where it has said so."""

    device_id: str
    state: Progress
    was: str | None = None
    error: str = ""


class Order(StrEnum):
    """What a device is to be told next."""

    TRY = "try"
    KEEP = "keep"


class Late(Struct, frozen=True):
    """What was awaited in this state has not come; `linked` whether the device is."""

    state: Progress
    linked: bool


Event = Hello | WifiAccepted | WifiRefused | Late


def step(mover: Mover, change: WifiChange, event: Event) -> tuple[Mover, Order | None]:
    """What becomes of a device of an open move by what it says, or does not say in time; what to tell it."""
    match event:
        case Hello():
            return _hello(mover, change, event)
        case WifiAccepted(change.id) if mover.state is Progress.TOLD:
            return replace(mover, state=Progress.TRYING), None
        case WifiRefused(change.id, error) if mover.state is Progress.TOLD:
            # What says so hangs on a cable, whatever its hello left out.
            return replace(mover, state=Progress.WIRED if error == "wired" else Progress.REFUSED, error=error), None
        case Late(mover.state, linked):
            return _late(mover, linked), None
        case _:
            return mover, None


def _hello(mover: Mover, change: WifiChange, hello: Hello) -> tuple[Mover, Order | None]:
    here = hello.change == change.id
    if mover.state.ended and not (here and mover.state is Progress.ROLLED_BACK):
        return mover, None
    if here:  # later than it was waited for, perhaps
        return (_to(mover, Progress.KEEPING), Order.KEEP) if hello.trial else (_to(mover, Progress.DONE), None)
    if hello.wifi is None:
        return _to(mover, Progress.WIRED), None
    if hello.wifi == change.ssid and mover.was not in (None, change.ssid):
        return _to(mover, Progress.DONE), None  # somebody has brought it there by hand
    if mover.state in (Progress.TRYING, Progress.KEEPING):
        return _to(mover, Progress.ROLLED_BACK), None
    return replace(mover, state=Progress.TOLD, was=mover.was or hello.wifi), Order.TRY


def _late(mover: Mover, linked: bool) -> Mover:
    if mover.state is Progress.TOLD:
        return replace(mover, state=Progress.REFUSED, error="silent") if linked else _to(mover, Progress.UNREACHABLE)
    return _to(mover, Progress.ROLLED_BACK)


def _to(mover: Mover, state: Progress) -> Mover:
    return replace(mover, state=state)


# as it is shown


class MoverView(Struct, frozen=True):
    """A device of the move. `cause` and `next_step` are keys to translate, `text` and `hint` the English of them."""

    device_id: str
    state: str
    cause: str
    text: str
    next_step: str
    hint: str


class WifiChangeView(Struct, frozen=True):
    """A home's devices move to the network `ssid`. Open until nothing more is awaited, or it expires."""

    id: str
    home_id: str
    account_id: str
    ssid: str
    state: str
    devices: list[MoverView]
    created_at: Time
    expires_at: Time
    ended_at: Time | None


PROVISION_AGAIN: Final = "provision_again"
_AGAIN = (
    "Bring it onto the new network as when it was new (EZ, or its setup network): it keeps its place in the home, and "
    "need not be paired anew."
)
_CAUSES = {Progress.REFUSED: "wifi_change_failed", Progress.ROLLED_BACK: "wifi_rolled_back"}


def view_of(change: WifiChange, movers: list[Mover]) -> WifiChangeView:
    """The move as admins of the home see it."""
    return WifiChangeView(
        change.id,
        change.home_id,
        change.account_id,
        change.ssid,
        change.state.value,
        [mover_view(mover) for mover in movers],
        to_time(change.created_at),
        to_time(change.expires_at),
        None if change.ended_at is None else to_time(change.ended_at),
    )


def mover_view(mover: Mover) -> MoverView:
    """One device, with what to do where it needs somebody."""
    cause = CATALOGUE.get(_CAUSES.get(mover.state, ""))
    if cause is not None:
        next_step, hint = cause.next_step, NEXT_STEPS[cause.next_step]
        return MoverView(mover.device_id, mover.state.value, cause.code, cause.text, next_step, hint)
    next_step, hint = (PROVISION_AGAIN, _AGAIN) if mover.state is Progress.UNREACHABLE else ("", "")
    return MoverView(mover.device_id, mover.state.value, "", "", next_step, hint)


class WifiChangeOpen(Conflict):
    """The home's devices are being moved to another network already."""

    code = "wifi_change_open"
    hint = "Wait for it to end, or cancel it; `facts.id` names it."
