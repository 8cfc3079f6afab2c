"""What happens, as messages of this API tell it, and their encryption. Pure (specs/tuya/api.json, `messages`)."""

import base64
import hashlib
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from app.devices.product.model import Product
from app.dialects.tuya.points import points_of, value_out
from app.store.tx import Event

STATUS: Final = 4
BUSINESS: Final = 20
# Events by what they are called there.
BIZ: Final = {
    "device.online": "online",
    "device.offline": "offline",
    "device.updated": "nameUpdate",
    "device.names_changed": "dpNameUpdate",
    "device.added": "bindUser",
    "device.rebound": "bindUser",
    "device.removed": "delete",
    "device.unbound": "delete",
    "home.created": "homeCreate",
    "home.updated": "homeUpdate",
    "home.dissolved": "homeDelete",
    "room.created": "roomCreate",
    "room.updated": "roomNameUpdate",
    "room.removed": "roomDelete",
    "rooms.ordered": "roomSort",
    "share.accepted": "share",
    "share.ended": "share",
}


def told(event: Event, product: Product | None, uid: str) -> tuple[int, dict[str, Any]] | None:
    """(protocol, message) of an event; None for what they have no message for.

    `product` is that of the event's device, `uid` the person the listener acts for.
    """
    data = msgspec.json.decode(event.data) if event.data else None
    fields: dict[str, Any] = data if isinstance(data, dict) else {}
    if event.type == "device.reported":
        return None if product is None else (STATUS, _status(event, product, fields))
    if (code := BIZ.get(event.type)) is None or (code == "nameUpdate" and "name" not in fields):
        return None
    subject = {"devId": event.device_id or "", "productKey": "" if product is None else product.id, "uuid": ""}
    return BUSINESS, {"bizCode": code, "bizData": _business(event, code, fields, uid), "ts": event.at, **subject}


def _status(event: Event, product: Product, fields: dict[str, Any]) -> dict[str, Any]:
    status = []
    for name, value in fields["values"].items():
        point = points_of(product).by_property.get((fields["service"], name))
        if point is not None:
            shown = value_out(point, value)
            status.append({"code": point.code, "t": event.at, "value": shown, str(point.dp): shown})
    return {"dataId": f"{event.seq:032x}", "devId": event.device_id, "productKey": product.id, "status": status}


def _business(event: Event, code: str, fields: dict[str, Any], uid: str) -> dict[str, Any]:
    match code:
        case "online" | "offline":
            return {"time": event.at}
        case "nameUpdate":
            return {"devId": event.device_id, "uid": uid, "name": fields["name"]}
        case "dpNameUpdate":
            return {"devId": event.device_id, "uid": uid, "dpName": fields.get("names", {})}
        case "bindUser":
            return {"devId": event.device_id, "uid": uid, "ownerId": event.home_id or "", "uuid": "", "token": ""}
        case "delete":
            return {"devId": event.device_id, "uid": uid, "ownerId": event.home_id or ""}
        case "share":
            begins = event.type == "share.accepted"
            things = [fields["thing_id"]] if fields.get("kind") == "device" else []
            group = fields.get("thing_id", "") if fields.get("kind") == "group" else ""
            receiver = fields.get("receiver_id") or event.account_id or ""
            lists = {"addDevIds": things if begins else [], "removedDevIds": [] if begins else things}
            return {"receiver": receiver, "share": fields.get("giver_id", ""), "groupId": group, **lists}
        case _:
            named = {"name": fields["name"]} if "name" in fields else {}
            return {"homeId": event.home_id or "", "uid": uid, "roomId": _room(event), **named}


def _room(event: Event) -> str:
    return event.id if event.kind == "room" else ""


def password_of(client_id: str, secret: str) -> str:
    """What the official client opens its stream with; half of an MD5, as it computes it."""
    return _md5(client_id + _md5(secret))[8:24]


def payload_of(secret: str, protocol: int, message: dict[str, Any], at: int) -> bytes:
    """A message as it is carried: encrypted with AES-128-ECB under a part of the secret, in its outer object."""
    padder = PKCS7(algorithms.AES.block_size).padder()
    padded = padder.update(msgspec.json.encode(message)) + padder.finalize()
    sealing = Cipher(algorithms.AES(secret[8:24].encode()), modes.ECB()).encryptor()  # noqa: S305 - what its clients read
    sealed = base64.b64encode(sealing.update(padded) + sealing.finalize()).decode()
    sign = _md5(f"data={sealed}||protocol={protocol}||pv=2.0||t={at}||{secret}")
    return msgspec.json.encode({"data": sealed, "protocol": protocol, "pv": "2.0", "sign": sign, "t": at})


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
