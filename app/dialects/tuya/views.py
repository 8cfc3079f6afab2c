"""Devices as this API shows them (specs/tuya/api.json; times in seconds unless a name says otherwise)."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from app.devices.memory import Live
from app.devices.model import Device
from app.devices.product.model import Product
from app.dialects.tuya.model import MS
from app.dialects.tuya.points import DataPoint, points_of, value_out
from app.dialects.tuya.service import Tuya
from app.ids import TIMESTAMP_BITS
from app.policy import RANK, Action, Actor, Resource, Role, allowed

QUARTER_MS: Final = 15 * 60 * MS
_RANDOM_BITS: Final = 128 - TIMESTAMP_BITS
_decode = msgspec.json.decode


def first_paired(device: Device) -> int:
    """When a device first came to this hub (ms): its id says so, and outlives each new pairing."""
    return int(device.id.replace("-", ""), 16) >> _RANDOM_BITS


def offset_of(time_zone: str, at_ms: int) -> str:
    """A zone's offset at a time, as +08:00."""
    return _offset_in(time_zone, at_ms // QUARTER_MS)


@lru_cache(maxsize=256)
def _offset_in(time_zone: str, quarter: int) -> str:
    """Of a quarter of an hour: clocks are put forward and back where one begins."""
    text = datetime.fromtimestamp(quarter * QUARTER_MS / MS, ZoneInfo(time_zone)).strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def updated(live: Live) -> int:
    """When something was last heard from or of a device (ms)."""
    points = (point.at for state in live.services.values() for point in state.reported.values())
    return max(live.device.bound_at, live.seen_at or 0, *points, 0)


def status_of(live: Live, product: Product) -> list[dict[str, Any]]:
    """Its reported values by code, in the order of its model; none is left out."""
    return [{"code": point.code, "value": value} for point, value, _at in reported(live, product)]


def reported(live: Live, product: Product) -> Iterator[tuple[DataPoint, Any, int]]:
    """(point, value, ms) of what it has reported, in the order of its model."""
    for (service, name), point in points_of(product).by_property.items():
        state = live.services.get(service)
        if state is not None and (held := state.reported.get(name)) is not None:
            yield point, value_out(point, _decode(held.value)), held.at


class Seen:
    """Devices for one asker: secrets and addresses only where they may see them."""

    def __init__(self, tuya: Tuya, actor: Actor) -> None:
        self._tuya = tuya
        self._actor = actor
        self._now = tuya.clock.now()

    def product(self, device: Device) -> Product | None:
        """Its model."""
        return self._tuya.devices.catalogue.get(device.product_id)

    def device(self, live: Live) -> dict[str, Any]:
        """A device of v1.0, with every field of its table."""
        it, product = live.device, self.product(live.device)
        resource = self._tuya.devices.access.device(self._actor, it.id)
        inside = resource.standing.role is not None
        return {
            "id": it.id,
            "name": it.name,
            "uid": self._uid(it) if inside else "",
            "local_key": self._local_key(it, resource),
            "category": "" if product is None else product.category,
            "product_id": it.product_id,
            "product_name": "" if product is None else product.name,
            "sub": it.gateway_id is not None,
            "uuid": it.hardware_id if inside else "",
            "owner_id": it.home_id if inside else "",
            "online": live.online,
            "status": [] if product is None else status_of(live, product),
            "active_time": it.bound_at // MS,
            "create_time": first_paired(it) // MS,
            "update_time": updated(live) // MS,
            "biz_type": 0,
            "icon": it.icon or ("" if product is None else product.icon),
            "ip": self._address(it, resource),
            "time_zone": self._offset(it) if inside else "",
            "model": it.product_id,
        }

    def thing(self, live: Live) -> dict[str, Any]:
        """A device of v2.0, in the spelling of the private cloud's page and in that of the public one's."""
        old = self.device(live)
        product = self.product(live.device)
        inside = bool(old["owner_id"])
        new = {
            "is_online": old["online"],
            "bind_space_id": (live.device.room_id or old["owner_id"]) if inside else "",
            "custom_name": old["name"],
            "name": old["product_name"] if product is not None else old["name"],
            "lat": "",
            "lon": "",
        }
        kept = ("id", "category", "product_id", "product_name", "uuid", "local_key", "icon", "ip", "time_zone", "sub")
        times = ("active_time", "create_time", "update_time")
        snake = {**new, **{name: old[name] for name in (*kept, *times)}}
        return {**snake, **{camel(name): value for name, value in snake.items()}}

    def child(self, live: Live) -> dict[str, Any]:
        """A device behind a gateway, as its table has it."""
        whole = self.device(live)
        names = ("id", "name", "online", "owner_id", "category", "product_id", "active_time", "update_time")
        return {name: whole[name] for name in names}

    def _uid(self, device: Device) -> str:
        owner = self._tuya.standings.owner_of(device.home_id)
        return owner or ""

    def _may_see_secrets(self, resource: Resource) -> bool:
        role = resource.standing.role
        if role is None or RANK[role] < RANK[Role.ADMIN]:
            return False
        return allowed(self._actor, Action.DEVICE_UPDATE, resource, self._now).yes

    def _local_key(self, device: Device, resource: Resource) -> str:
        return self._tuya.local_key(device.hardware_id) if self._may_see_secrets(resource) else ""

    def _address(self, device: Device, resource: Resource) -> str:
        return self._tuya.address_of(device.id) if self._may_see_secrets(resource) else ""

    def _offset(self, device: Device) -> str:
        home = self._tuya.standings.homes.get(device.home_id)
        return offset_of("UTC" if home is None else home.time_zone, self._now.ms)


def camel(name: str) -> str:
    """bind_space_id as bindSpaceId."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
