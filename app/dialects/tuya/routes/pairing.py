"""Pairing tokens: each opens a session, and polling it shows that session, in three shapes (specs/tuya/notes.md, 9)."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.pairings import REGION_SIZE, SECRET_SIZE, find, keep, new_token
from app.dialects.tuya.routes.devices import live_of
from app.dialects.tuya.routes.spaces import place
from app.dialects.tuya.views import Seen, camel
from app.onboarding.model import AttemptView, FailureView, PairingView
from app.policy import Action
from pairing.methods import by_app, gateway
from pairing.session.states import Request

# What the documentation's sample says, and as long as the method waits.
EXPIRE_S: Final = 300
TYPES: Final = frozenset({"EZ", "AP", "WIFI_EZ", "WIFI_AP"})
DISCOVERY_S: Final = 100
MAX_DISCOVERY_S: Final = 3_600
MANY: Final = 50


class Wanted(Struct):
    """What a token is for; without a home the first that the key may pair in."""

    paring_type: str = ""
    pairing_type: str = ""
    uid: str = ""
    home_id: str | int = ""
    asset_id: str | int = ""
    time_zone_id: str = ""

    @property
    def kind(self) -> str:
        """The type, by whichever name it was given."""
        return (self.paring_type or self.pairing_type).upper()


class Discovery(Struct):
    """How long a gateway is open, in seconds; 0 closes it."""

    duration: Annotated[int, Meta(ge=0, le=MAX_DISCOVERY_S)] = DISCOVERY_S


class Code(Struct):
    """A code printed on a device."""

    qrcode: str
    space_id: str | int = ""
    asset_id: str | int = ""
    time_zone_id: str = ""


async def token(ask: Ask) -> dict[str, Any]:
    """Open a session that hears devices which an app tells this token."""
    wanted = ask.body(Wanted)
    if wanted.uid:
        ask.same_user(wanted.uid)
    if wanted.kind and wanted.kind not in TYPES:
        raise TuyaError(codes.NOT_SUPPORTED)
    home_id = str(wanted.home_id or wanted.asset_id) or _first_home(ask)
    return await _opened(ask, home_id)


def _first_home(ask: Ask) -> str:
    homes = ask.tuya.homes.list(ask.by.actor, "", 1)
    if not homes:
        raise TuyaError(codes.DENIED)
    return homes[0].id


async def _opened(ask: Ask, home_id: str) -> dict[str, Any]:
    account_id = ask.by.actor.account_id or ""
    request = Request(
        home=home_id,
        account=account_id,
        method=by_app.NAME,
        want=MANY,
        lifetime_ms=EXPIRE_S * 1000,
        inputs={"app": "tuya"},
    )
    session = await ask.tuya.onboarding.start(ask.by, request, {})
    whole = await ask.tuya.onboarding.token_of(ask.by, home_id, session.id)
    await keep(ask.tuya.store, whole, session.id, home_id, account_id)
    region, rest = whole[:REGION_SIZE], whole[REGION_SIZE:]
    return {
        "region": region,
        "token": rest[:-SECRET_SIZE],
        "secret": rest[-SECRET_SIZE:],
        "expire_time": EXPIRE_S,
        "extension": {},
    }


async def _session(ask: Ask) -> PairingView:
    found = await find(ask.tuya.store, ask.path["token"])
    if found is None:
        raise TuyaError(codes.DENIED)
    return await ask.tuya.onboarding.get(ask.by.actor, found.home_id, found.session_id)


def _failed(session: PairingView) -> list[tuple[AttemptView, FailureView]]:
    """The latest attempt with each device that did not come."""
    latest = {result.attempt for result in session.results if result.cause is not None}
    return [(it, it.failure) for it in session.attempts if it.number in latest and it.failure is not None]


async def result(ask: Ask) -> dict[str, Any]:
    """Devices that came, and those that did not."""
    session = await _session(ask)
    seen = Seen(ask.tuya, ask.by.actor)
    success = []
    for device_id in session.device_ids:
        shown = seen.device(live_of(ask, device_id))
        names = ("product_id", "category", "name")
        success.append({"device_id": device_id, "id": device_id, **{name: shown[name] for name in names}})
    failed = [
        {"device_id": it.candidate_id, "name": it.name, "code": why.cause, "msg": why.text}
        for it, why in _failed(session)
    ]
    return {"success": success, "failed": failed}


Spelling = Callable[[str], str]


def _listed(ask: Ask, session: PairingView, spelt: Spelling) -> dict[str, Any]:
    seen = Seen(ask.tuya, ask.by.actor)
    came = []
    for device_id in session.device_ids:
        shown = seen.device(live_of(ask, device_id))
        place = {"lon": "", "lat": "", "ip": shown["ip"], "uuid": shown["uuid"]}
        named = {"id": device_id, "name": shown["name"], "online": shown["online"]}
        came.append({**named, spelt("product_id"): shown["product_id"], **place})
    failed = [
        {"id": it.candidate_id, "name": it.name, spelt("error_code"): why.cause, spelt("error_msg"): why.text}
        for it, why in _failed(session)
    ]
    return {spelt("success_devices"): came, spelt("error_devices"): failed}


async def custom_result(ask: Ask) -> dict[str, Any]:
    """The same for custom projects."""
    return _listed(ask, await _session(ask), str)


async def thing_result(ask: Ask) -> dict[str, Any]:
    """The same in the v2.0 spelling."""
    return _listed(ask, await _session(ask), camel)


async def discover(ask: Ask) -> bool:
    """Open a gateway for devices behind it, or with a duration of 0 close it."""
    live = live_of(ask)
    seconds = ask.whole("duration", ask.body(Discovery).duration, 0, MAX_DISCOVERY_S)
    account_id = ask.by.actor.account_id or ""
    if not seconds:
        for state in await ask.tuya.onboarding.sessions(ask.by.actor, live.device.home_id, None, MANY):
            if not state.state.terminal and state.request.inputs.get("gateway") == live.device.id:
                await ask.tuya.onboarding.cancel(ask.by, live.device.home_id, state.id)
        return True
    request = Request(
        home=live.device.home_id,
        account=account_id,
        method=gateway.NAME,
        want=MANY,
        lifetime_ms=min(seconds, 600) * 1000,
        inputs={"gateway": live.device.id},
    )
    await ask.tuya.onboarding.start(ask.by, request, {})
    return True


async def joined_since(ask: Ask) -> list[dict[str, Any]]:
    """Devices behind a gateway that came since a moment."""
    since_ms = ask.time_ms("discovery_time")
    gateway_id, seen = live_of(ask).device.id, Seen(ask.tuya, ask.by.actor)
    behind = ask.tuya.devices.memory.in_place(gateway_id)
    return [seen.child(live) for live in behind if live.device.bound_at >= since_ms]


async def by_code(ask: Ask) -> dict[str, str]:
    """Open a session for the device that a printed code is on; its id is in the result of the token."""
    given = ask.body(Code)
    code = ask.tuya.onboarding.scanned(ask.by.actor, given.qrcode)
    if not code.available or code.needs:
        # Its maker's cloud knows more of it, or the home's network has to be told besides.
        raise TuyaError(codes.NOT_SUPPORTED)
    home_id, _ = place(ask, str(given.space_id or given.asset_id))
    account_id = ask.by.actor.account_id or ""
    request = Request(
        home=home_id, account=account_id, method=code.method, device=code.device_id or None, inputs=dict(code.inputs)
    )
    session = await ask.tuya.onboarding.start(ask.by, request, dict(code.secrets))
    whole = new_token()
    await keep(ask.tuya.store, whole, session.id, home_id, account_id)
    return {"token": whole[REGION_SIZE:-SECRET_SIZE], "deviceId": "", "device_id": ""}


OPERATIONS: Final = (
    Operation("POST", "/v1.0/device/paring/token", Action.PAIR, token),
    Operation("POST", "/v1.0/devices/token", Action.PAIR, token),
    Operation("POST", "/v1.0/iot-03/device-registration/token", Action.PAIR, token),
    Operation("GET", "/v1.0/device/paring/tokens/{token}", Action.PAIR, result),
    Operation("GET", "/v1.0/devices/tokens/{token}", Action.PAIR, result),
    Operation("GET", "/v1.1/iot-03/device-registration/tokens/{token}", Action.PAIR, custom_result),
    Operation("GET", "/v2.0/cloud/thing/active/token/{token}", Action.PAIR, thing_result),
    Operation("PUT", "/v1.0/devices/{device_id}/enabled-sub-discovery", Action.PAIR, discover),
    Operation("POST", "/v1.0/iot-03/device-registration/devices/{device_id}/actions/discover", Action.PAIR, discover),
    Operation("GET", "/v1.0/devices/{device_id}/list-sub", Action.DEVICE_READ, joined_since),
    Operation("POST", "/v2.0/cloud/thing/active/qrcode", Action.PAIR, by_code),
    Operation("POST", "/v1.0/iot-03/device-registration/qrcode-bind", Action.PAIR, by_code),
)
