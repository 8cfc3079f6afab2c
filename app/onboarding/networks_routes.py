"""Known Wi-Fi networks in the companion API."""

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.caller import Caller
from app.companion.conditions import Page
from app.companion.hub_only import hub_only
from app.onboarding.network_model import Bssid, NetworkView, Ssid, WifiPassword, checked
from app.onboarding.networks import Networks
from app.policy import Action


class NewNetwork(Struct, forbid_unknown_fields=True):
    """A Wi-Fi network to be offered at the next pairing."""

    ssid: Ssid
    password: WifiPassword = ""
    bssid: Bssid = ""


@get("/homes/{home_id:str}/networks", operation_id="listWifiNetworks", opt={"action": Action.PAIR})
async def list_networks(
    caller: NamedDependency[Caller], networks: NamedDependency[Networks], home_id: FromPath[str]
) -> Page[NetworkView]:
    """The Wi-Fi networks a home knows, the one used last first; they always fit one page."""
    return Page(await networks.list(caller.actor, home_id))


@post("/homes/{home_id:str}/networks", operation_id="keepWifiNetwork", opt={"action": Action.PAIR}, guards=[hub_only])
async def keep_network(
    caller: NamedDependency[Caller],
    networks: NamedDependency[Networks],
    home_id: FromPath[str],
    data: JSONBody[NewNetwork],
) -> NetworkView:
    """Have the home know a Wi-Fi network. One of the same name is replaced, its password too."""
    return await networks.keep(caller, home_id, checked(data.ssid, data.password, data.bssid))


@delete("/homes/{home_id:str}/networks/{network_id:str}", operation_id="forgetWifiNetwork", opt={"action": Action.PAIR})
async def forget_network(
    caller: NamedDependency[Caller],
    networks: NamedDependency[Networks],
    home_id: FromPath[str],
    network_id: FromPath[str],
) -> None:
    """Forget a Wi-Fi network; devices that use it stay on it."""
    await networks.forget(caller, home_id, network_id)


ROUTER = Router("/", route_handlers=[list_networks, keep_network, forget_network])
