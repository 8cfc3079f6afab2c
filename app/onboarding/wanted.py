"""What a person wants paired, as a pairing session takes it: a request in the clear, and secrets apart from it."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from app.errors import Invalid
from app.homes.model import Name
from app.onboarding.codes import Code, inputs_of, read, secrets_of
from app.onboarding.model import DeviceId, HostAddress, Pin
from app.onboarding.network_model import Bssid, Ssid, WifiPassword, checked
from pairing.messages import MAX_JOINING
from pairing.methods import bthome
from pairing.session.states import ANY, Request

Port = Annotated[int, Meta(ge=1, le=65535)]

KEEP_NETWORK: Final = "keep_network"
NO: Final = "no"


class NewPairing(Struct, forbid_unknown_fields=True):
    """What is to be paired, and how. `host` and `port` name a device that cannot be discovered; `want` is how many.

    `ssid` is the Wi-Fi the device is to join; without `wifi_password` ("" for an open one) it must be one the home
    knows. A network a device has joined with is kept for the next, unless `keep_network` is false. `code` is the text
    of a code printed on the device, in place of `method`, `device_id` and `pin`. `gateway_id` is the gateway to let
    devices join behind, for `seconds` at most. `encoding` is what EZ speaks; `setup_ssid`, `setup_password` and `pop`
    (the proof of possession) are of the device's own setup network. `ble_name` is the name or the address by which a
    device with Wi-Fi is heard over Bluetooth, where there are several. `bind_key` (32 hexadecimal digits) deciphers
    what the BTHome sensor `device_id` says, where it enciphers that. `oob` is the static secret on a mesh device's
    label in hex; with `identify` false, devices of a mesh are taken without a person saying that they blink.
    """

    method: Annotated[str, Meta(max_length=40)] = ANY
    name: Name | None = None
    room_id: Annotated[str, Meta(max_length=64)] | None = None
    device_id: DeviceId | None = None
    host: HostAddress | None = None
    port: Port | None = None
    pin: Pin | None = None
    want: Annotated[int, Meta(ge=1, le=32)] = 1
    ssid: Ssid | None = None
    wifi_password: WifiPassword | None = None
    bssid: Bssid | None = None
    keep_network: bool = True
    code: Code | None = None
    gateway_id: DeviceId | None = None
    seconds: Annotated[int, Meta(ge=1, le=MAX_JOINING)] | None = None
    encoding: Literal["tuya", "esptouch2", "all"] | None = None
    setup_ssid: Ssid | None = None
    setup_password: WifiPassword | None = None
    ble_name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    bind_key: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{32}\Z")] | None = None
    pop: Annotated[str, Meta(max_length=64)] | None = None
    oob: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    identify: bool = True


class Wanted(Struct, frozen=True):
    """A session to be opened."""

    request: Request
    secrets: dict[str, str]

    def __repr__(self) -> str:
        return f"Wanted(request={self.request!r})"


def wanted(home_id: str, account_id: str, new: NewPairing) -> Wanted:
    """Checked, before anything is kept or sent; raises Invalid."""
    seconds = None if new.seconds is None else str(new.seconds)
    named = {"name": new.name, "room_id": new.room_id, "gateway": new.gateway_id, "seconds": seconds}
    named |= {"identify": None if new.identify else NO, "setup_ssid": new.setup_ssid, "ble_name": new.ble_name}
    inputs = _given(named | {"encoding": new.encoding})
    secrets = _given({"pin": new.pin, "pop": new.pop, "setup_password": new.setup_password, "oob": new.oob})
    secrets |= _given({"bind_key": new.bind_key})
    method, device = new.method, new.device_id
    if method == bthome.NAME and device is not None:
        inputs["sensor"] = device
    if new.code is not None:
        if new.method != ANY or new.device_id is not None or new.pin is not None:
            raise Invalid("code stands in place of method, device_id and pin")
        printed = read(new.code)
        method, device = printed.method, printed.device if printed.kind == "doorstep" else None
        inputs |= inputs_of(printed)
        secrets |= secrets_of(printed)
    network, password = _network(new)
    request = Request(
        home=home_id,
        account=account_id,
        method=method,
        device=device,
        host=new.host,
        port=new.port or 0,
        want=new.want,
        inputs=inputs | network,
    )
    return Wanted(request, secrets | password)


def _given(named: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in named.items() if value is not None}


def _network(new: NewPairing) -> tuple[dict[str, str], dict[str, str]]:
    """Inputs and secrets of the network the device is to join."""
    if new.ssid is None:
        if new.wifi_password is not None or new.bssid is not None:
            raise Invalid("wifi_password and bssid go with an ssid")
        return {}, {}
    wifi = checked(new.ssid, new.wifi_password or "", new.bssid or "")
    inputs = {"ssid": wifi.ssid}
    if wifi.bssid:
        inputs["bssid"] = wifi.bssid
    if not new.keep_network:
        inputs[KEEP_NETWORK] = NO
    return inputs, {} if new.wifi_password is None else {"wifi_password": wifi.password}
