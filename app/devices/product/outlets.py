"""The outlets of a device: what of it switches something of its own on and off, as Tuya counts them."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from app.devices.product.model import Bool, Product

# "For example, the identifier of the first outlet is switch_1" (specs/tuya, multiple-name).
_CODE: Final = re.compile(r"switch_[1-9][0-9]?\Z")


class Outlet(Struct, frozen=True, gc=False):
    """`identifier` is the data point's code; `name` what the product calls it."""

    identifier: str
    service: str
    property: str
    name: str


def outlets(product: Product) -> Iterator[Outlet]:
    """In the order of the model. A device with one switch has one."""
    for service in product.services:
        for each in service.properties:
            if isinstance(each, Bool) and each.access.writable and each.tuya and _CODE.match(each.tuya.code):
                yield Outlet(each.tuya.code, service.id, each.id, service.name)
