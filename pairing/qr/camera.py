"""What is shown to a camera: `{"p":password,"s":ssid,"t":token}`, as Tuya's cameras read it.

Everything beyond ASCII is escaped, so that it does not matter in which character set a camera reads a QR code.
"""

import json
import re
from typing import Any, Final

import msgspec

from pairing.qr.printed import UnreadableCodeError
from pairing.token import TOKEN_SIZE
from pairing.wifi import Provisioned, WifiNetwork, network_of

MAX_PAYLOAD: Final = 1024
"""Characters: 63 and 32 octets, each of them escaped, are 570."""

_TOKEN: Final = re.compile(rf"[A-Za-z0-9]{{{TOKEN_SIZE}}}")


def write(network: WifiNetwork, token: bytes) -> str:
    """What the code holds, in ASCII without a space; `token` is the session's (pairing.token)."""
    told = {"p": network.password, "s": network.ssid, "t": token.decode("ascii")}
    return json.dumps(told, ensure_ascii=True, separators=(",", ":"))


def parse(text: str) -> Provisioned:
    """What a camera has seen; raises UnreadableCodeError, UnfitNetworkError. Members it does not know are passed by."""
    if len(text) > MAX_PAYLOAD:
        raise UnreadableCodeError("it is too long")
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableCodeError("it is no JSON object") from error
    password, ssid, token = (told.get(name) for name in ("p", "s", "t"))
    if not (isinstance(password, str) and isinstance(ssid, str) and isinstance(token, str)):
        raise UnreadableCodeError("p, s or t is missing")
    if not _TOKEN.fullmatch(token):
        raise UnreadableCodeError("t is no token")
    return Provisioned(network_of(ssid, password), token.encode())
