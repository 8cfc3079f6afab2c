"""Pairing in the companion API."""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.caller import Caller
from app.companion.conditions import ApiRequest, Cursor, Limit, Page, decode_cursor, encode_cursor, limit_of
from app.companion.hub_only import hub_only
from app.onboarding.codes import Code, ScannedCode
from app.onboarding.model import DeviceId, HandoverView, InboxView, MethodView, PairingView, Pin, view_of
from app.onboarding.service import Onboarding
from app.onboarding.wanted import NewPairing, wanted
from app.policy import Action
from pairing.qr import picture

T = TypeVar("T")
AttemptNumber = Annotated[int, Meta(ge=1, le=1000)]

SVG: Final = "image/svg+xml"
_PICTURES: Final[dict[str, Callable[[str], bytes]]] = {
    SVG: lambda text: picture.svg(text).encode(),
    "image/png": picture.png,
    "text/plain": str.encode,
}


class PrintedCode(Struct, forbid_unknown_fields=True):
    """The text of a code printed on a device, as it was scanned or typed."""

    code: Code


class Confirmation(Struct, forbid_unknown_fields=True):
    """Whether the device shows the code; `attempt` when several are being asked about."""

    accepted: bool
    attempt: AttemptNumber | None = None


class Choice(Struct, forbid_unknown_fields=True):
    """One of the session's candidates."""

    candidate_id: DeviceId


class LabelPin(Struct, forbid_unknown_fields=True):
    """The PIN on the device's label."""

    pin: Pin
    attempt: AttemptNumber | None = None


@get("/pairing/methods", operation_id="listPairingMethods", opt={"action": Action.PUBLIC})
async def list_methods(onboarding: NamedDependency[Onboarding]) -> list[MethodView]:
    """The ways of pairing this hub has, and what each needs."""
    return onboarding.methods()


@post("/pairing/qr", operation_id="readPrintedCode", opt={"action": Action.SELF, "keyed": False}, status_code=200)
async def read_printed_code(
    caller: NamedDependency[Caller], onboarding: NamedDependency[Onboarding], data: JSONBody[PrintedCode]
) -> Response[ScannedCode]:
    """What a code printed on a device says, and how to go on from it. Nothing of it is kept."""
    return unkept(onboarding.scanned(caller.actor, data.code))


@post("/homes/{home_id:str}/pairing", operation_id="startPairing", opt={"action": Action.PAIR}, guards=[hub_only])
async def start_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    data: JSONBody[NewPairing],
) -> PairingView:
    """Open a pairing session. It ends by itself after ten minutes at most; follow it by its events or by reading it."""
    asked = wanted(home_id, caller.actor.account_id or "", data)
    return await onboarding.start(caller, asked.request, asked.secrets)


@get("/homes/{home_id:str}/pairing", operation_id="listPairings", opt={"action": Action.PAIR})
async def list_pairings(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[PairingView]:
    """The home's pairing sessions of the last 30 days, newest first."""
    most = limit_of(limit)
    found = await onboarding.sessions(caller.actor, home_id, decode_cursor(cursor, tuple[int, str]), most + 1)
    last = found[most - 1] if len(found) > most else None
    following = encode_cursor(last.created_at, last.id) if last else None
    return Page([view_of(state) for state in found[:most]], following)


@get("/homes/{home_id:str}/pairing/inbox", operation_id="listPairingInbox", opt={"action": Action.PAIR})
async def list_inbox(
    caller: NamedDependency[Caller], onboarding: NamedDependency[Onboarding], home_id: FromPath[str]
) -> list[InboxView]:
    """The devices heard on the network and over Bluetooth that belong to no home of this hub yet, longest known first.

    Anybody in reach can announce anything: a device proves who it is only when it is paired.
    """
    return onboarding.inbox_of(caller.actor, home_id)


@get("/homes/{home_id:str}/pairing/{session_id:str}", operation_id="getPairing", opt={"action": Action.PAIR})
async def get_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
) -> PairingView:
    """One pairing session with its steps so far."""
    return await onboarding.get(caller.actor, home_id, session_id)


@get(
    "/homes/{home_id:str}/pairing/{session_id:str}/qr",
    operation_id="showPairingCode",
    opt={"action": Action.PAIR, "media_types": tuple(_PICTURES)},
)
async def show_code(
    request: ApiRequest,
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
) -> Response[bytes]:
    """The QR code to hold before a camera, for who opened the session. It holds the Wi-Fi password. Ask for image/png
    to get that, or for text/plain to draw it yourself."""
    text = await onboarding.shown_code(caller.actor, home_id, session_id)
    kind = request.accept.best_match(list(_PICTURES), default=SVG) or SVG
    return unkept(_PICTURES[kind](text), kind)


@get(
    "/homes/{home_id:str}/pairing/{session_id:str}/handover",
    operation_id="getPairingHandover",
    opt={"action": Action.PAIR, "conflicts": True},
)
async def get_handover(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
) -> Response[HandoverView]:
    """What the phone sends to the device in its setup network, for who opened the session. Each reading is audited."""
    return unkept(await onboarding.hand_over(caller, home_id, session_id))


@post(
    "/homes/{home_id:str}/pairing/{session_id:str}/finish",
    operation_id="finishPairing",
    opt={"action": Action.PAIR, "keyed": False},
    status_code=200,
)
async def finish_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
) -> PairingView:
    """That is all: no further devices. The session ends once those being spoken to have joined or failed: as joined
    where any has, else as cancelled."""
    return await onboarding.finish(caller, home_id, session_id)


@post(
    "/homes/{home_id:str}/pairing/{session_id:str}/cancel",
    operation_id="cancelPairing",
    opt={"action": Action.PAIR, "keyed": False},
    status_code=200,
)
async def cancel_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
) -> PairingView:
    """End a session. A registration under way is awaited: the answer says whether the device had joined."""
    return await onboarding.cancel(caller, home_id, session_id)


@post(
    "/homes/{home_id:str}/pairing/{session_id:str}/confirm",
    operation_id="confirmPairing",
    opt={"action": Action.PAIR, "keyed": False},
    status_code=200,
)
async def confirm_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
    data: JSONBody[Confirmation],
) -> PairingView:
    """Say whether the device shows the session's code."""
    return await onboarding.confirm(caller, home_id, session_id, data.accepted, data.attempt)


@post(
    "/homes/{home_id:str}/pairing/{session_id:str}/choose",
    operation_id="choosePairingCandidate",
    opt={"action": Action.PAIR, "keyed": False},
    status_code=200,
)
async def choose_candidate(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
    data: JSONBody[Choice],
) -> PairingView:
    """Choose which of the found devices to pair."""
    return await onboarding.choose(caller, home_id, session_id, data.candidate_id)


@post(
    "/homes/{home_id:str}/pairing/{session_id:str}/pin",
    operation_id="providePairingPin",
    opt={"action": Action.PAIR, "keyed": False},
    status_code=200,
)
async def provide_pin(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
    data: JSONBody[LabelPin],
) -> PairingView:
    """Give the PIN on the device's label."""
    return await onboarding.provide_pin(caller, home_id, session_id, data.pin, data.attempt)


def unkept(value: T, media_type: str = "application/json") -> Response[T]:
    """An answer nothing on the way may keep."""
    return Response(value, media_type=media_type, headers={"Cache-Control": "no-store"})


ROUTER = Router(
    "/",
    route_handlers=[
        list_methods,
        read_printed_code,
        start_pairing,
        list_pairings,
        list_inbox,
        get_pairing,
        show_code,
        get_handover,
        finish_pairing,
        cancel_pairing,
        confirm_pairing,
        choose_candidate,
        provide_pin,
    ],
)
