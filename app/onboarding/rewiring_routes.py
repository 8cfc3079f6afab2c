"""A home's move to another Wi-Fi network, in the companion API."""

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.caller import Caller
from app.companion.hub_only import hub_only
from app.onboarding.network_model import Bssid, Ssid, WifiPassword
from app.onboarding.rewiring import Rewiring
from app.onboarding.rewiring_model import WifiChangeView
from app.policy import Action


class NextNetwork(Struct, forbid_unknown_fields=True):
    """The Wi-Fi to move to. Without `password` ("" for an open one) it must be one the home knows."""

    ssid: Ssid
    password: WifiPassword | None = None
    bssid: Bssid = ""


@post("/homes/{home_id:str}/wifi-change", operation_id="changeWifi", opt={"action": Action.PAIR}, guards=[hub_only])
async def change_wifi(
    caller: NamedDependency[Caller],
    rewiring: NamedDependency[Rewiring],
    home_id: FromPath[str],
    data: JSONBody[NextNetwork],
) -> WifiChangeView:
    """Move the home's devices to another Wi-Fi network, while the old one is still there.

    Each tries the new one, and goes back to the old one unless it reaches the hub from there within 120 seconds. Those
    that are not reached are told when they are, for an hour, or brought onto the network by hand as when they were new.
    """
    return await rewiring.start(caller, home_id, data.ssid, data.password, data.bssid)


@get("/homes/{home_id:str}/wifi-change", operation_id="listWifiChanges", opt={"action": Action.PAIR})
async def list_wifi_changes(
    caller: NamedDependency[Caller], rewiring: NamedDependency[Rewiring], home_id: FromPath[str]
) -> list[WifiChangeView]:
    """The home's moves to another Wi-Fi network that are kept, twenty at most, newest first."""
    return await rewiring.changes(caller.actor, home_id)


@get("/homes/{home_id:str}/wifi-change/{change_id:str}", operation_id="getWifiChange", opt={"action": Action.PAIR})
async def get_wifi_change(
    caller: NamedDependency[Caller],
    rewiring: NamedDependency[Rewiring],
    home_id: FromPath[str],
    change_id: FromPath[str],
) -> WifiChangeView:
    """What has become of each device."""
    return await rewiring.get(caller.actor, home_id, change_id)


@post(
    "/homes/{home_id:str}/wifi-change/{change_id:str}/cancel",
    operation_id="cancelWifiChange",
    opt={"action": Action.PAIR, "keyed": False},
    status_code=200,
)
async def cancel_wifi_change(
    caller: NamedDependency[Caller],
    rewiring: NamedDependency[Rewiring],
    home_id: FromPath[str],
    change_id: FromPath[str],
) -> WifiChangeView:
    """Tell no further device. Those that try the new network go back; those that keep it stay there."""
    return await rewiring.cancel(caller, home_id, change_id)


ROUTER = Router("/", route_handlers=[change_wifi, list_wifi_changes, get_wifi_change, cancel_wifi_change])
