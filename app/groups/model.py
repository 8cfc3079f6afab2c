"""A group, as structs; and what can be wrong with it."""

from msgspec import Struct

from app.clock import Time, to_time
from app.errors import Invalid
from app.policy import Role


class Group(Struct, frozen=True, gc=False):
    """A group of a home. `least` is the least role that controls it; `devices` are ids, in their order."""

    id: str
    home_id: str
    name: str
    icon: str
    least: Role
    version: int
    created_at: int
    devices: tuple[str, ...] = ()

    def view(self, *, inside: bool = True) -> "GroupView":
        """As members of the home see it, or (`inside` False) as the receiver of a share of it does."""
        return GroupView(
            id=self.id,
            home_id=self.home_id if inside else None,
            name=self.name,
            icon=self.icon,
            least=self.least,
            devices=list(self.devices),
            version=self.version,
            created_at=to_time(self.created_at),
        )


class GroupView(Struct, frozen=True):
    """A group of devices. `least` is the least role that controls it as one; `home_id` is null to outsiders."""

    id: str
    home_id: str | None
    name: str
    icon: str
    least: Role
    devices: list[str]
    version: int
    created_at: Time


class DevicesUnknown(Invalid):
    """The home has no such device, or it is named twice."""

    code = "devices_unknown"
