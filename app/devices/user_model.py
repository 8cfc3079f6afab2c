"""The people a device tells apart: those who stand on a scale, those a lock lets in. They need no account."""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from app.clock import LAST_MS

# The year 1800: nobody on a scale is older.
FIRST_MS: Final = -5_364_662_400_000

# Empty where a face lets it be so.
NickName: TypeAlias = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Contact: TypeAlias = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Birthday: TypeAlias = Annotated[int, Meta(ge=FIRST_MS, le=LAST_MS)]
Height: TypeAlias = Annotated[int, Meta(ge=0, le=300)]
Weight: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]


class Sex(StrEnum):
    """As a body scale needs it: what it measures is read by it."""

    MALE = "male"
    FEMALE = "female"


class DeviceUser(Struct, frozen=True, gc=False):
    """A person to a device. `birthday` in ms since the epoch, `height` in cm, `weight` in g, as Tuya has them."""

    id: str
    device_id: str
    nick_name: str
    sex: Sex
    birthday: int | None
    height: int | None
    weight: int | None
    contact: str
    version: int

    def __repr__(self) -> str:
        return f"DeviceUser(id={self.id!r}, device_id={self.device_id!r})"


class NewDeviceUser(Struct, frozen=True, kw_only=True):
    """What a person is added with."""

    nick_name: NickName
    sex: Sex
    birthday: Birthday | None = None
    height: Height | None = None
    weight: Weight | None = None
    contact: Contact = ""


class DeviceUserChange(Struct, frozen=True, kw_only=True):
    """What changes of a person; what is left out stays."""

    nick_name: NickName | UnsetType = UNSET
    sex: Sex | UnsetType = UNSET
    birthday: Birthday | UnsetType | None = UNSET
    height: Height | UnsetType | None = UNSET
    weight: Weight | UnsetType | None = UNSET
    contact: Contact | UnsetType = UNSET
