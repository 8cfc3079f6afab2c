"""The radio as everything above it sees it: advertisements that are heard, and connections over GATT.

`ble.bleak_radio` is the one for real adapters, `ble.virtual` one for machines without any. UUIDs are written in full
and in lower case throughout (`uuid16` makes one of a short one); addresses are what the system calls a device.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

CONNECT_TIMEOUT_S = 45.0
"""BlueZ gives up on a device that has gone after 41 s; a caller that waits less is told less."""


def uuid16(short: int) -> str:
    """The full UUID of a 16-bit one (Bluetooth Core, Vol 3, Part B, 2.5.1)."""
    return f"0000{short:04x}-0000-1000-8000-00805f9b34fb"


class Advertisement(Struct, frozen=True, kw_only=True):
    """One advertisement, its scan response included where there was one. `rssi` in dBm."""

    address: str
    name: str = ""
    rssi: int = -127
    services: tuple[str, ...] = ()
    service_data: dict[str, bytes] = {}
    manufacturer_data: dict[int, bytes] = {}


class RadioState(Struct, frozen=True):
    """Whether there is Bluetooth. `reason` is a key where there is none, `sentence` says it to a person."""

    usable: bool
    reason: str = ""
    sentence: str = ""


class Connection(Protocol):
    """A GATT connection. Every call has a time limit, and raises Disconnected, NotReachable (no answer), NotOffered."""

    @property
    def address(self) -> str: ...

    @property
    def max_write(self) -> int:
        """The octets that one write takes at most (ATT_MTU - 3)."""
        ...

    @property
    def connected(self) -> bool: ...

    async def read(self, characteristic: str) -> bytes: ...

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None: ...

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        """Have `heard` called, on the loop, with each notification or indication."""
        ...

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        """The value of a descriptor (0x2901 names ESP-IDF's endpoints)."""
        ...

    def characteristics(self, service: str) -> Sequence[str]:
        """What a service of the device has; none where it has no such service."""
        ...

    def on_disconnect(self, told: Callable[[], None]) -> None:
        """Have `told` called, on the loop, once the connection has ended, whoever ended it."""
        ...


class Radio(Protocol):
    """One adapter and its only owner."""

    @property
    def state(self) -> RadioState: ...

    @property
    def in_use(self) -> int:
        """The connections that are open now."""
        ...

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        """Have `told` called when `state` changes (an adapter plugged or pulled); returns what ends that."""
        ...

    async def open(self) -> None:
        """Begin to listen. It returns where there is no Bluetooth as well: `state` says so, and changes with it."""
        ...

    async def close(self) -> None:
        """End every connection and stop listening."""
        ...

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        """Have `heard` called, on the loop, with what is advertised; returns what ends that."""
        ...

    def connect(
        self, address: str, *, services: Sequence[str] = (), timeout: float = CONNECT_TIMEOUT_S
    ) -> AbstractAsyncContextManager[Connection]:
        """A connection to a device that is being heard, ended with the block. One at a time for each device.

        Raises RadioOff, NoSlot, NotReachable, or NotOffered where one of `services` is missing after a fresh discovery.
        """
        ...
