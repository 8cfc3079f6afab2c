"""Firmware, of which there are no campaigns yet: what a device runs is told, and nothing is offered."""

from typing import Any, Final

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.routes.devices import live_of
from app.policy import Action

NOTHING_TO_DO: Final = 0
MODULE: Final = 0


async def information(ask: Ask) -> list[dict[str, Any]]:
    """What it runs."""
    version = live_of(ask).device.firmware
    running = {"upgrade_status": NOTHING_TO_DO, "current_version": version, "version": version, "desc": ""}
    return [{**running, "module_type": MODULE, "control_type": 0, "last_upgrade_time": 0}]


async def confirm(ask: Ask) -> bool:
    """There is nothing to begin."""
    ask.tuya.demand(ask.by.actor, Action.DEVICE_UPDATE, live_of(ask).device.id)
    raise TuyaError(codes.NOT_SUPPORTED)


async def progress(ask: Ask) -> dict[str, int]:
    """Nothing is under way."""
    live_of(ask)
    return {"upgrade_status": NOTHING_TO_DO, "progress": 0}


_ONE: Final = "/v2.0/cloud/thing/{device_id}/firmware"
OPERATIONS: Final = (
    Operation("GET", _ONE, Action.DEVICE_READ, information),
    Operation("POST", f"{_ONE}/{{channel}}", Action.DEVICE_UPDATE, confirm),
    Operation("GET", f"{_ONE}/{{channel}}/progress", Action.DEVICE_READ, progress),
)
