"""What is known of a device's services, as memory holds it."""

from typing import Any

import msgspec
from msgspec import Struct

from app.clock import to_time
from app.devices.model import PointView, ServiceView


class Point(Struct, frozen=True, gc=False):
    """A value as JSON text, and when it was set (ms)."""

    value: str
    at: int

    @property
    def decoded(self) -> Any:
        return msgspec.json.decode(self.value)

    def view(self) -> PointView:
        return PointView(msgspec.Raw(self.value), to_time(self.at))


class ServiceState:
    """One service; changed only by the writer's hooks, after the commit."""

    __slots__ = ("desired", "reported", "version")

    def __init__(self, version: int = 0) -> None:
        self.version = version
        self.reported: dict[str, Point] = {}
        self.desired: dict[str, Point] = {}

    def view(self) -> ServiceView:
        """As faces show it."""
        return ServiceView(
            self.version,
            {name: point.view() for name, point in self.reported.items()},
            {name: point.view() for name, point in self.desired.items()},
        )
