"""What may be asked of a device, by its product's model and the link it is reached by. Pure."""

import base64
import binascii

import msgspec
from msgspec import UNSET

from app.control.model import (
    EXPIRES_AFTER_S,
    MAX_BODY,
    MAX_CONTENT,
    MESSAGE_EXPIRES_AFTER_S,
    Body,
    CommandTooLong,
    Kind,
    Message,
    NewCommand,
)
from app.devices.product.model import Product, Service
from app.devices.product.values import ValueUnfit, check_call, check_set
from app.errors import Invalid

_encode = msgspec.json.Encoder().encode


def expires_in_ms(new: NewCommand) -> int:
    """How long it waits at most."""
    if new.expires_in is not UNSET:
        return round(new.expires_in * 1000)
    return round(1000 * (MESSAGE_EXPIRES_AFTER_S if new.kind is Kind.MESSAGE else EXPIRES_AFTER_S))


def checked(product: Product | None, new: NewCommand) -> Body:
    """What the device is told; raises ValueUnfit, Invalid, CommandTooLong."""
    body = _body(product, new)
    if len(_encode(body)) > (MAX_BODY if body.message is None else 2 * MAX_CONTENT):
        raise CommandTooLong
    return body


def _body(product: Product | None, new: NewCommand) -> Body:
    match new.kind:
        case Kind.SET:
            service = _service(product, new)
            return Body(service.id, values=check_set(service, new.values))
        case Kind.GET:
            return Body(_service(product, new).id)
        case Kind.CALL:
            service = _service(product, new)
            return Body(service.id, name=new.name, params=check_call(service, new.name or "", new.params))
        case Kind.MESSAGE:
            return _message(new)


def _service(product: Product | None, new: NewCommand) -> Service:
    if not new.service:
        raise Invalid("service: what is to be done it with")
    if new.message is not None:
        raise Invalid("message: goes with the kind message")
    service = None if product is None else product.service(new.service)
    if service is None:
        raise ValueUnfit(f"the device has no service {new.service!r}")
    return service


def _message(new: NewCommand) -> Body:
    if new.message is None:
        raise Invalid("message: what it is to be told")
    if new.service or new.values or new.params:
        raise Invalid("service, values, params: a message has none")
    octets_of(new.message)
    return Body("", name=new.name, message=new.message)


def octets_of(message: Message) -> bytes:
    """Its content as it is; raises Invalid, CommandTooLong."""
    match message.content:
        case str(text) if message.encoding == "base64":
            try:
                octets = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise Invalid("content: not base64") from None
        case str(text):
            octets = text.encode()
        case _ if message.encoding == "base64":
            raise Invalid("content: base64 is a text")
        case fields:
            octets = _encode(fields)
    if len(octets) > MAX_CONTENT:
        raise CommandTooLong
    return octets
