"""What a device is given to become a node (MshPRT 1.1, 5.4.2.5)."""

from msgspec import Struct

from ble.mesh.provisioning.errors import DataRefused

SIZE = 25
MAX_UNICAST = 0x7FFF
MAX_INDEX = 0xFFF
KEY_REFRESH, IV_UPDATE = 0x01, 0x02


class ProvisioningData(Struct, frozen=True, kw_only=True):
    """`unicast` is the first element's address; `flags` are KEY_REFRESH and IV_UPDATE."""

    net_key: bytes
    net_key_index: int
    flags: int
    iv_index: int
    unicast: int

    def pack(self) -> bytes:
        return b"".join(
            (
                self.net_key,
                self.net_key_index.to_bytes(2, "big"),
                bytes([self.flags]),
                self.iv_index.to_bytes(4, "big"),
                self.unicast.to_bytes(2, "big"),
            )
        )


def unpack(plain: bytes, elements: int) -> ProvisioningData:
    """Raises DataRefused where the octets are no data for a node of so many elements."""
    if len(plain) != SIZE:
        raise DataRefused(f"{len(plain)} octets of data")
    data = ProvisioningData(
        net_key=plain[:16],
        net_key_index=int.from_bytes(plain[16:18], "big"),
        flags=plain[18],
        iv_index=int.from_bytes(plain[19:23], "big"),
        unicast=int.from_bytes(plain[23:25], "big"),
    )
    if not 1 <= data.unicast <= MAX_UNICAST - elements + 1 or data.net_key_index > MAX_INDEX:
        raise DataRefused("an address or key index out of range")
    return data
