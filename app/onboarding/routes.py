"""Pairing in the companion API."""

from typing import Annotated

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, decode_cursor, encode_cursor, limit_of
from app.homes.model import Name
from app.onboarding.model import DeviceId, HostAddress, MethodView, PairingView, Pin, view_of
from app.onboarding.service import Onboarding
from app.policy import Action
from pairing.session.states import ANY, Request

Port = Annotated[int, Meta(ge=1, le=65535)]
AttemptNumber = Annotated[int, Meta(ge=1, le=1000)]


class NewPairing(Struct, forbid_unknown_fields=True):
    """What is to be paired, and how. `host` and `port` name a device that cannot be discovered; `want` is how many."""

    method: Annotated[str, Meta(max_length=40)] = ANY
    name: Name | None = None
    room_id: Annotated[str, Meta(max_length=64)] | None = None
    device_id: DeviceId | None = None
    host: HostAddress | None = None
    port: Port | None = None
    pin: Pin | None = None
    want: Annotated[int, Meta(ge=1, le=32)] = 1


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


@post("/homes/{home_id:str}/pairing", operation_id="startPairing", opt={"action": Action.PAIR})
async def start_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    data: JSONBody[NewPairing],
) -> PairingView:
    """Open a pairing session. It ends by itself after ten minutes at most; follow it by its events or by reading it."""
    inputs = {name: value for name, value in (("name", data.name), ("room_id", data.room_id)) if value is not None}
    request = Request(
        home=home_id,
        account=caller.actor.account_id or "",
        method=data.method,
        device=data.device_id,
        host=data.host,
        port=data.port or 0,
        want=data.want,
        inputs=inputs,
    )
    return await onboarding.start(caller, request, {} if data.pin is None else {"pin": data.pin})


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


@get("/homes/{home_id:str}/pairing/{session_id:str}", operation_id="getPairing", opt={"action": Action.PAIR})
async def get_pairing(
    caller: NamedDependency[Caller],
    onboarding: NamedDependency[Onboarding],
    home_id: FromPath[str],
    session_id: FromPath[str],
) -> PairingView:
    """One pairing session with its steps so far."""
    return await onboarding.get(caller.actor, home_id, session_id)


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


ROUTER = Router(
    "/",
    route_handlers=[
        list_methods,
        start_pairing,
        list_pairings,
        get_pairing,
        cancel_pairing,
        confirm_pairing,
        choose_candidate,
        provide_pin,
    ],
)
