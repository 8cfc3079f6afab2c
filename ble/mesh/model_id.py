"""Which model: one of the Bluetooth SIG's, or a company's (MshPRT 1.1, 4.2.2)."""

from typing import Annotated, TypeAlias

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.octets import Octets, u16
from ble.mesh.wire import Codec


class ModelId(Struct, frozen=True, order=True):
    """A model's identifier; `company` is None where the model is the Bluetooth SIG's."""

    number: int
    company: int | None = None

    @property
    def text(self) -> str:
        """Four hex digits, or eight with the company first, as the Mesh Configuration Database writes it."""
        return f"{self.number:04X}" if self.company is None else f"{self.company:04X}{self.number:04X}"


def from_text(text: str) -> ModelId:
    """Raises Malformed."""
    if len(text) not in (4, 8) or any(digit not in "0123456789abcdefABCDEF" for digit in text):
        raise Malformed("no model identifier")
    return ModelId(int(text[-4:], 16), int(text[:4], 16) if len(text) == 8 else None)


def _pack(model: ModelId) -> bytes:
    return (b"" if model.company is None else u16(model.company)) + u16(model.number)


def _read(octets: Octets) -> ModelId:
    """What is left of a message: its length says which kind it is."""
    if octets.left == 2:
        return ModelId(octets.u16())
    company = octets.u16()
    return ModelId(octets.u16(), company)


Model: TypeAlias = Annotated[ModelId, Codec(pack=_pack, read=_read)]
"""The last field of a message."""
