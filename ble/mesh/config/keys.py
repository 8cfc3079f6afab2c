"""Network and application keys (MshPRT 1.1, 4.3.2.31 to 4.3.2.45) and the key refresh phase (4.3.2.59 to 61)."""

from enum import IntEnum
from typing import ClassVar

from ble.mesh.config.indexes import Index, Indexes, Pair
from ble.mesh.wire import U8, Key, WireMessage, table


class Transition(IntEnum):
    """What Key Refresh Phase Set may ask for (table 4.21)."""

    USE_NEW = 2
    REVOKE_OLD = 3


class AppKeyAdd(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x00
    indexes: Pair
    key: Key


class AppKeyUpdate(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x01
    indexes: Pair
    key: Key


class AppKeyDelete(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8000
    indexes: Pair


class AppKeyGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8001
    net_key: Index


class AppKeyList(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8002
    status: U8
    net_key: Index
    app_keys: Indexes


class AppKeyStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8003
    status: U8
    indexes: Pair


class NetKeyAdd(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8040
    index: Index
    key: Key


class NetKeyDelete(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8041
    index: Index


class NetKeyGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8042


class NetKeyList(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8043
    net_keys: Indexes


class NetKeyStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8044
    status: U8
    index: Index


class NetKeyUpdate(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8045
    index: Index
    key: Key


class KeyRefreshPhaseGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8015
    net_key: Index


class KeyRefreshPhaseSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8016
    net_key: Index
    transition: U8


class KeyRefreshPhaseStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8017
    status: U8
    net_key: Index
    phase: U8


MESSAGES = table(
    (
        AppKeyAdd,
        AppKeyUpdate,
        AppKeyDelete,
        AppKeyGet,
        AppKeyList,
        AppKeyStatus,
        NetKeyAdd,
        NetKeyDelete,
        NetKeyGet,
        NetKeyList,
        NetKeyStatus,
        NetKeyUpdate,
        KeyRefreshPhaseGet,
        KeyRefreshPhaseSet,
        KeyRefreshPhaseStatus,
    )
)
