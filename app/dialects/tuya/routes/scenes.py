"""Scenes and automations, which this hub does not have yet: lists are truthfully empty, writes say so."""

from typing import Any, Final

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.policy import Action


async def none_in_home(ask: Ask) -> list[Any]:
    """Nothing of the kind is in this home."""
    ask.tuya.homes.get(ask.by.actor, ask.path["home_id"])
    return []


async def none(ask: Ask) -> list[Any]:
    """There is nothing of the kind."""
    return []


async def not_in_home(ask: Ask) -> bool:
    """Cannot be done here."""
    ask.tuya.homes.get(ask.by.actor, ask.path["home_id"])
    raise TuyaError(codes.NOT_SUPPORTED)


async def not_here(ask: Ask) -> bool:
    """Cannot be done here."""
    raise TuyaError(codes.NOT_SUPPORTED)


_HOME: Final = "/v1.0/homes/{home_id}"
_SCENE: Final = f"{_HOME}/scenes/{{scene_id}}"
_AUTOMATION: Final = f"{_HOME}/automations/{{automation_id}}"
_RULE: Final = "/v2.0/cloud/scene/rule"
OPERATIONS: Final = (
    Operation("GET", f"{_HOME}/scenes", Action.HOME_READ, none_in_home),
    Operation("GET", "/v1.1/homes/{home_id}/scenes", Action.HOME_READ, none_in_home),
    Operation("POST", f"{_HOME}/scenes", Action.HOME_UPDATE, not_in_home),
    Operation("PUT", _SCENE, Action.HOME_UPDATE, not_in_home),
    Operation("DELETE", _SCENE, Action.HOME_UPDATE, not_in_home),
    Operation("POST", f"{_SCENE}/trigger", Action.HOME_UPDATE, not_in_home),
    Operation("GET", f"{_HOME}/automations", Action.HOME_READ, none_in_home),
    Operation("POST", f"{_HOME}/automations", Action.HOME_UPDATE, not_in_home),
    Operation("GET", _AUTOMATION, Action.HOME_READ, not_in_home),
    Operation("PUT", _AUTOMATION, Action.HOME_UPDATE, not_in_home),
    Operation("DELETE", _AUTOMATION, Action.HOME_UPDATE, not_in_home),
    Operation("PUT", f"{_AUTOMATION}/actions/enable", Action.HOME_UPDATE, not_in_home),
    Operation("PUT", f"{_AUTOMATION}/actions/disable", Action.HOME_UPDATE, not_in_home),
    Operation("POST", f"{_AUTOMATION}/conditions/trigger", Action.HOME_UPDATE, not_in_home),
    Operation("GET", f"{_HOME}/automation/devices", Action.HOME_READ, none_in_home),
    Operation("GET", f"{_HOME}/scene/devices", Action.HOME_READ, none_in_home),
    Operation("GET", f"{_HOME}/enable-linkage/codes", Action.HOME_READ, none_in_home),
    Operation("GET", "/v1.0/devices/{device_id}/enable-linkage/codes", Action.SELF, none),
    Operation("GET", "/v1.0/homes/automation/weather/conditions", Action.SELF, none),
    Operation("GET", "/v1.0/scenes/default-pictures", Action.SELF, none),
    Operation("GET", _RULE, Action.SELF, none),
    Operation("POST", _RULE, Action.SELF, not_here),
    Operation("DELETE", _RULE, Action.SELF, not_here),
    Operation("GET", f"{_RULE}/{{rule_id}}", Action.SELF, not_here),
    Operation("PUT", f"{_RULE}/{{rule_id}}", Action.SELF, not_here),
    Operation("POST", f"{_RULE}/{{rule_id}}/actions/trigger", Action.SELF, not_here),
    Operation("PUT", f"{_RULE}/state", Action.SELF, not_here),
)
