"""What is said under a session's protection, and the version before it: bytes to structs and back."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from pairing.ap.setup import Connected, Connecting, Failed, Reason, SeenNetwork, Status
from pairing.errors import MalformedMessageError
from pairing.protocomm import schema
from pairing.text import clean
from pairing.wifi import WifiNetwork, network_of

MAX_SSID = 32
BSSID_SIZE = 6
MAX_NETWORKS = 64
"""Networks of one scan that are looked at."""

Word = Annotated[str, Meta(max_length=64)]


class Version(Struct, frozen=True):
    """What a device speaks. `patch` below 1 with scheme 2: it never counts its nonces."""

    scheme: int = 1
    patch: int = 0
    capabilities: tuple[str, ...] = ()


class _Prov(Struct, frozen=True, rename={"scheme": "sec_ver", "patch": "sec_patch_ver", "capabilities": "cap"}):
    ver: Word = ""
    scheme: int = 1
    patch: int = 0
    capabilities: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()


class _Proto(Struct, frozen=True):
    prov: _Prov


_SCAN = {
    "resp_start": schema.RESP_SCAN_START,
    "resp_status": schema.RESP_SCAN_STATUS,
    "resp_result": schema.RESP_SCAN_RESULT,
}
_CONFIG = {
    "resp_status": schema.RESP_GET_STATUS,
    "resp_set": schema.RESP_SET_CONFIG,
    "resp_apply": schema.RESP_APPLY_CONFIG,
}

_proto = msgspec.json.Decoder(_Proto)


def pack_version(version: Version) -> bytes:
    """A device's `proto-ver`."""
    return msgspec.json.encode(_Proto(_Prov("v1.1", version.scheme, version.patch, version.capabilities)))


def parse_version(raw: bytes) -> Version:
    """Raises MalformedMessageError."""
    try:
        prov = _proto.decode(raw).prov
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("no version") from error
    return Version(prov.scheme, prov.patch, prov.capabilities)


# Scan


def scan_start() -> bytes:
    """Scan all channels, and answer when that is done."""
    command = {"blocking": True, "passive": False, "group_channels": 5, "period_ms": 120}
    return schema.pack("Scan", msg=schema.CMD_SCAN_START, cmd_start=command)


def scan_status() -> bytes:
    """How far is it?"""
    return schema.pack("Scan", msg=schema.CMD_SCAN_STATUS, cmd_status={})


def scan_result(start: int, count: int) -> bytes:
    """Those results."""
    return schema.pack("Scan", msg=schema.CMD_SCAN_RESULT, cmd_result={"start": start, "count": count})


def parse_scan(raw: bytes, name: str) -> Any:
    """One answer of a scan. Raises MalformedMessageError."""
    # By its number, not by which member is there: an empty one need not be written.
    message = schema.parse("Scan", raw, step="scanning")
    _checked(message.msg == _SCAN[name], message.status, "scanning")
    return getattr(message, name)


def parse_entry(entry: Any) -> SeenNetwork | None:
    """One network; None for a hidden or impossible one."""
    ssid = clean(entry.ssid.rstrip(b"\0").decode(errors="replace"))
    if not ssid or len(entry.ssid) > MAX_SSID + 1 or len(entry.bssid) > BSSID_SIZE:
        return None
    bssid = entry.bssid.hex(":")
    return SeenNetwork(ssid, bssid, entry.channel % 256, entry.rssi, entry.auth == schema.OPEN)


def pack_entries(networks: Sequence[SeenNetwork]) -> bytes:
    """A device's scan results."""
    entries = [
        {
            "ssid": seen.ssid.encode(),
            "bssid": bytes.fromhex(seen.bssid.replace(":", "")),
            "channel": seen.channel,
            "rssi": seen.rssi,
            "auth": schema.OPEN if seen.open else 3,  # WPA2
        }
        for seen in networks
    ]
    return schema.pack("Scan", msg=schema.RESP_SCAN_RESULT, resp_result={"entries": entries})


# Config


def set_config(network: WifiNetwork) -> bytes:
    """The network to join."""
    command: dict[str, Any] = {"ssid": network.ssid.encode(), "passphrase": network.password.encode()}
    if network.bssid:
        command["bssid"] = bytes.fromhex(network.bssid.replace(":", ""))
    return schema.pack("Config", msg=schema.CMD_SET_CONFIG, cmd_set=command)


def parse_set_config(command: Any) -> WifiNetwork:
    """Raises MalformedMessageError, UnfitNetworkError."""
    try:
        return network_of(command.ssid.decode(), command.passphrase.decode(), command.bssid.hex(":"))
    except UnicodeDecodeError as error:
        raise MalformedMessageError("no UTF-8", step="sending") from error


def apply_config() -> bytes:
    """Join it now."""
    return schema.pack("Config", msg=schema.CMD_APPLY_CONFIG, cmd_apply={})


def get_status() -> bytes:
    """What has become of it?"""
    return schema.pack("Config", msg=schema.CMD_GET_STATUS, cmd_status={})


def parse_config(raw: bytes, name: str) -> Any:
    """One answer about the network. Raises MalformedMessageError."""
    message = schema.parse("Config", raw, step="sending")
    part = getattr(message, name)
    _checked(message.msg == _CONFIG[name], part.status, "sending")
    return part


def parse_status(answer: Any) -> Status:
    """What a status answer says; a state of tomorrow's firmware is "connecting"."""
    match answer.state:
        case schema.CONNECTED:
            return Connected(clean(answer.connected.ip4))
        case schema.CONNECTION_FAILED:
            return Failed(Reason.NOT_FOUND if answer.fail_reason == schema.NETWORK_NOT_FOUND else Reason.AUTH)
        case _:
            return Connecting()


def pack_status(status: Status, ssid: str) -> bytes:
    """A device's word on it."""
    match status:
        case Connected(ip):
            said: dict[str, Any] = {"state": schema.CONNECTED, "connected": {"ip4": ip, "ssid": ssid.encode()}}
        case Failed(reason):
            number = schema.NETWORK_NOT_FOUND if reason is Reason.NOT_FOUND else schema.AUTH_ERROR
            said = {"state": schema.CONNECTION_FAILED, "fail_reason": number}
        case Connecting():
            said = {"state": schema.CONNECTING}
    return schema.pack("Config", msg=schema.RESP_GET_STATUS, resp_status=said)


def _checked(right: bool, status: int, step: str) -> None:
    if not right or status != schema.SUCCESS:
        raise MalformedMessageError(f"status {status}" if right else "another answer", step=step)
