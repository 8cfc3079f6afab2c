"""Timers, which this hub does not have yet: lists are truthfully empty, writes say so."""

from typing import Any, Final

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.routes.devices import live_of
from app.policy import Action


async def none(ask: Ask) -> list[Any]:
    """A device has no timers."""
    live_of(ask)
    return []


async def not_here(ask: Ask) -> bool:
    """Cannot be done here."""
    live_of(ask)
    raise TuyaError(codes.NOT_SUPPORTED)


_ALL: Final = "/v1.0/devices/{device_id}/timers"
_CATEGORY: Final = f"{_ALL}/categories/{{category}}"
OPERATIONS: Final = (
    Operation("GET", _ALL, Action.DEVICE_READ, none),
    Operation("GET", _CATEGORY, Action.DEVICE_READ, none),
    Operation("POST", _ALL, Action.DEVICE_UPDATE, not_here),
    Operation("DELETE", _ALL, Action.DEVICE_UPDATE, not_here),
    Operation("PUT", f"{_ALL}/groups/{{group_id}}", Action.DEVICE_UPDATE, not_here),
    Operation("DELETE", _CATEGORY, Action.DEVICE_UPDATE, not_here),
    Operation("DELETE", f"{_CATEGORY}/groups/{{group_id}}", Action.DEVICE_UPDATE, not_here),
    Operation("PUT", f"{_CATEGORY}/groups/{{group_id}}/status", Action.DEVICE_UPDATE, not_here),
)
