"""The protobuf messages of protocomm, as ESP-IDF numbers them; only the numbers are on the wire, the names are ours.

Enumerations are plain integers here, so that a value of tomorrow's firmware is a number nobody knows, not an error.
Alternatives (`oneof`) are plain members: exactly one is written, and `HasField` tells which one came.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from pairing.errors import MalformedMessageError
from pairing.protocomm.calls import MAX_BODY

# Status, of every answer.
SUCCESS = 0
INVALID_SCHEME = 1
INVALID_PROTO = 2
INVALID_ARGUMENT = 4
INTERNAL_ERROR = 5
CRYPTO_ERROR = 6
INVALID_SESSION = 7

# Sec1.msg and Sec2.msg
COMMAND0, RESPONSE0, COMMAND1, RESPONSE1 = range(4)
# Scan.msg
CMD_SCAN_START, RESP_SCAN_START, CMD_SCAN_STATUS, RESP_SCAN_STATUS, CMD_SCAN_RESULT, RESP_SCAN_RESULT = range(6)
# Config.msg
CMD_GET_STATUS, RESP_GET_STATUS, CMD_SET_CONFIG, RESP_SET_CONFIG, CMD_APPLY_CONFIG, RESP_APPLY_CONFIG = range(6)
# RespGetStatus.state
CONNECTED, CONNECTING, DISCONNECTED, CONNECTION_FAILED = range(4)
# RespGetStatus.fail_reason
AUTH_ERROR, NETWORK_NOT_FOUND = range(2)
# ScanEntry.auth
OPEN = 0

_STATUS = {"status": (1, "int32")}

_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Sec1Cmd0": {"client_pubkey": (1, "bytes")},
    "Sec1Resp0": _STATUS | {"device_pubkey": (2, "bytes"), "device_random": (3, "bytes")},
    "Sec1Cmd1": {"client_verify": (2, "bytes")},
    "Sec1Resp1": _STATUS | {"device_verify": (3, "bytes")},
    "Sec1": {
        "msg": (1, "int32"),
        "cmd0": (20, "Sec1Cmd0"),
        "resp0": (21, "Sec1Resp0"),
        "cmd1": (22, "Sec1Cmd1"),
        "resp1": (23, "Sec1Resp1"),
    },
    "Sec2Cmd0": {"username": (1, "bytes"), "client_pubkey": (2, "bytes")},
    "Sec2Resp0": _STATUS | {"device_pubkey": (2, "bytes"), "salt": (3, "bytes")},
    "Sec2Cmd1": {"client_proof": (1, "bytes")},
    "Sec2Resp1": _STATUS | {"device_proof": (2, "bytes"), "nonce": (3, "bytes")},
    "Sec2": {
        "msg": (1, "int32"),
        "cmd0": (20, "Sec2Cmd0"),
        "resp0": (21, "Sec2Resp0"),
        "cmd1": (22, "Sec2Cmd1"),
        "resp1": (23, "Sec2Resp1"),
    },
    "Session": {"scheme": (2, "int32"), "sec1": (11, "Sec1"), "sec2": (12, "Sec2")},
    "CmdScanStart": {
        "blocking": (1, "bool"),
        "passive": (2, "bool"),
        "group_channels": (3, "uint32"),
        "period_ms": (4, "uint32"),
    },
    "RespScanStart": {},
    "CmdScanStatus": {},
    "RespScanStatus": {"finished": (1, "bool"), "count": (2, "uint32")},
    "CmdScanResult": {"start": (1, "uint32"), "count": (2, "uint32")},
    "ScanEntry": {
        "ssid": (1, "bytes"),
        "channel": (2, "uint32"),
        "rssi": (3, "int32"),
        "bssid": (4, "bytes"),
        "auth": (5, "int32"),
    },
    "RespScanResult": {"entries": (1, "*ScanEntry")},
    "Scan": {
        "msg": (1, "int32"),
        "status": (2, "int32"),
        "cmd_start": (10, "CmdScanStart"),
        "resp_start": (11, "RespScanStart"),
        "cmd_status": (12, "CmdScanStatus"),
        "resp_status": (13, "RespScanStatus"),
        "cmd_result": (14, "CmdScanResult"),
        "resp_result": (15, "RespScanResult"),
    },
    "ConnectedState": {
        "ip4": (1, "string"),
        "auth": (2, "int32"),
        "ssid": (3, "bytes"),
        "bssid": (4, "bytes"),
        "channel": (5, "int32"),
    },
    "CmdGetStatus": {},
    "RespGetStatus": _STATUS
    | {"state": (2, "int32"), "fail_reason": (10, "int32"), "connected": (11, "ConnectedState")},
    "CmdSetConfig": {"ssid": (1, "bytes"), "passphrase": (2, "bytes"), "bssid": (3, "bytes"), "channel": (4, "int32")},
    "RespSetConfig": _STATUS,
    "CmdApplyConfig": {},
    "RespApplyConfig": _STATUS,
    "Config": {
        "msg": (1, "int32"),
        "cmd_status": (10, "CmdGetStatus"),
        "resp_status": (11, "RespGetStatus"),
        "cmd_set": (12, "CmdSetConfig"),
        "resp_set": (13, "RespSetConfig"),
        "cmd_apply": (14, "CmdApplyConfig"),
        "resp_apply": (15, "RespApplyConfig"),
    },
}

_SCALARS = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "string": FieldDescriptorProto.TYPE_STRING,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_PACKAGE = "doorstep.protocomm"


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="protocomm.proto", package=_PACKAGE, syntax="proto3")
    for name, members in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for member, (number, kind) in members.items():
            field = message.field.add(name=member, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
                continue
            field.type = FieldDescriptorProto.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{kind.removeprefix('*')}"
            if kind.startswith("*"):
                field.label = FieldDescriptorProto.LABEL_REPEATED
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_CLASSES = _classes()


def pack(name: str, /, **members: Any) -> bytes:
    """The message's bytes; members that are messages are given as dictionaries."""
    raw: bytes = _CLASSES[name](**members).SerializeToString()
    return raw


def parse(name: str, raw: bytes, *, step: str = "") -> Any:
    """The message, members by attribute. Raises MalformedMessageError."""
    if len(raw) > MAX_BODY:
        raise MalformedMessageError(f"{len(raw)} octets", step=step)
    try:
        return _CLASSES[name].FromString(raw)
    except DecodeError as error:
        raise MalformedMessageError(f"no {name}", step=step) from error
