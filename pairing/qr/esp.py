"""What ESP-IDF's provisioning prints: a JSON object with ver, name, pop, transport and, where they apply, username,
security, password (of the setup network) and network."""

from typing import Any, Final

import msgspec

from pairing.errors import UnsupportedVersionError
from pairing.qr.printed import Printed, UnreadableCodeError, printable
from pairing.wifi import network_of

_VERSION: Final = "v1"
_METHODS: Final = {"softap": ("ap", "ap"), "ble": ("ble_wifi", "ble")}
"""The method, and the way the device is reached."""
_SECURITIES: Final = (0, 1, 2)


def parse(text: str) -> Printed:
    """A device that waits to be provisioned; raises UnreadableCodeError, UnsupportedVersionError, UnfitNetworkError."""
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableCodeError("it is no JSON object") from error
    if "name" not in told or "ver" not in told:
        raise UnreadableCodeError("it names no device")
    if _text(told, "ver") != _VERSION:
        raise UnsupportedVersionError("esp")
    if _text(told, "network") not in ("", "wifi"):
        raise UnreadableCodeError("its network is not Wi-Fi")
    return _printed(told, _text(told, "name"))


def _printed(told: dict[str, Any], name: str) -> Printed:
    method, transport = _METHODS.get(_text(told, "transport").lower(), ("", ""))
    if not method or not name:
        raise UnreadableCodeError("it does not say how the device is reached")
    # What has a setup network is told by that network's name.
    network = network_of(name, _text(told, "password")) if method == "ap" else None
    return Printed(
        kind="esp",
        method=method,
        transports=(transport,),
        name=name,
        pop=_text(told, "pop"),
        username=_text(told, "username"),
        security=_security(told),
        network=network.ssid if network else "",
        network_password=network.password if network else "",
    )


def _security(told: dict[str, Any]) -> int | None:
    """As a number or in quotes: both are printed."""
    value = told.get("security")
    if value is None:
        return None
    for known in _SECURITIES:
        if value in (known, str(known)) and not isinstance(value, bool):
            return known
    raise UnreadableCodeError("its security is none")


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name, "")
    if not isinstance(value, str):
        raise UnreadableCodeError(f"{name} is no text")
    return printable(value, what=name)
