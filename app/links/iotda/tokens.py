"""Access tokens of devices over HTTPS (3.3.1): made of what they say and a MAC, so that none needs to be kept."""

import base64
import hmac
from typing import Final

from msgspec import Struct

from app.devices.model import Device
from app.devices.reset_model import Reset
from app.links.iotda.admission import Proving
from app.store.vault import Vault

LIFE_S: Final = 86_400
# How long the former token is good for beside a newer one (3.1).
BESIDE_MS: Final = 30_000
MAX_TOKEN: Final = 256
LAST_PARTS: Final = 3


class _Claims(Struct, frozen=True):
    """What a token says: whose it is, and when (ms) it was made and ends."""

    wire_id: str
    made: int
    ends: int


class Tokens:
    """A token ends with its life, with the credential it was given for, and soon after a newer one is given."""

    def __init__(self, vault: Vault, proving: Proving) -> None:
        self._vault = vault
        self._proving = proving
        self._newest: dict[str, int] = {}

    def make(self, device: Device, now_ms: int) -> str:
        """A new token of a device that has proved itself."""
        made = max(now_ms, self._newest.get(device.id, 0) + 1)
        claims = _Claims(device.hardware_id, made, made + LIFE_S * 1000)
        self._newest[device.id] = made
        return f"{claims.wire_id}.{claims.made}.{claims.ends}.{self._mac(device, claims)}"

    def device_of(self, token: str, now_ms: int) -> Device | None:
        """Whose token this is, None when it is wrong, over or of a device that may not speak (any more)."""
        claims, shown = _read(token)
        if claims is None:
            return None
        device, _ = self._proving.known(claims.wire_id)
        if device is None or not hmac.compare_digest(shown.encode(), self._mac(device, claims).encode()):
            return None
        if claims.ends <= now_ms or self._proving.is_frozen(device.id):
            return None
        newest = self._newest.setdefault(device.id, claims.made)
        if claims.made > newest:  # given before the hub started anew
            self._newest[device.id] = claims.made
        elif claims.made < newest and now_ms > newest + BESIDE_MS:
            return None
        return device

    # of devices that were reset

    def make_last(self, reset: Reset) -> str:
        """A token that is good for acknowledging this reset, as long as that is open."""
        return f"{reset.hardware_id}.{reset.id}.{self._last_mac(reset)}"

    def reset_of(self, token: str) -> Reset | None:
        """The open reset that this token may acknowledge."""
        parts = token.split(".")
        if len(token) > MAX_TOKEN or len(parts) != LAST_PARTS or not token.isascii():
            return None
        wire_id, reset_id, shown = parts
        found = self._proving.departing(wire_id)
        if found is None or found.reset.id != reset_id:
            return None
        return found.reset if hmac.compare_digest(shown, self._last_mac(found.reset)) else None

    def _last_mac(self, reset: Reset) -> str:
        said = f"iotda reset\n{reset.hardware_id}\n{reset.id}"
        return base64.urlsafe_b64encode(self._vault.mac(said.encode())).decode().rstrip("=")

    def forget(self, device_id: str) -> None:
        """There is no such device any more."""
        self._newest.pop(device_id, None)

    def _mac(self, device: Device, claims: _Claims) -> str:
        _, credential = self._proving.known(device.hardware_id)
        version = 0 if credential is None else credential.version
        said = f"iotda token\n{device.id}\n{version}\n{claims.wire_id}\n{claims.made}\n{claims.ends}"
        return base64.urlsafe_b64encode(self._vault.mac(said.encode())).decode().rstrip("=")


def _read(token: str) -> tuple[_Claims | None, str]:
    parts = token.split(".")
    if len(token) > MAX_TOKEN or len(parts) != 4 or not token.isascii():
        return None, ""
    wire_id, made, ends, shown = parts
    if not (made.isdigit() and ends.isdigit() and len(made) < 16 and len(ends) < 16):
        return None, ""
    return _Claims(wire_id, int(made), int(ends)), shown
