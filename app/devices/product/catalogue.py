"""The products a hub knows: one JSON file each, decoded strictly."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from app.devices.product.model import Bool, Enum, Float, Int, Product, Property, Service
from app.devices.product.sensors import sensor_product
from app.devices.product.values import is_finite

_DEVICES: Final = Path(__file__).parent.parent
# Installed, the files lie within the package; in a clone, among the fixtures.
_PACKAGED: Final = _DEVICES / "catalogue"
_CLONE: Final = _DEVICES.parent.parent / "fixtures" / "products"

_decoder = msgspec.json.Decoder(Product)


class ProductUnfit(ValueError):
    """A product file does not describe a product."""


class Catalogue:
    """Products by id: those of files, and those that are made of what a sensor measures."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._products = {product.id: product for product in products}

    def get(self, product_id: str) -> Product | None:
        """The product of that id."""
        return self._products.get(product_id) or sensor_product(product_id)

    def all(self) -> list[Product]:
        """Every product of a file, in order of id."""
        return [self._products[product_id] for product_id in sorted(self._products)]


@cache
def built_in() -> Catalogue:
    """The catalogue that comes with Doorstep. Reads files the first time: called while nothing runs yet."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CLONE
    return load(folder)


def load(folder: Path) -> Catalogue:
    """Every `*.json` of a folder; raises ProductUnfit, OSError."""
    return Catalogue(decode(path.read_bytes(), path.stem) for path in sorted(folder.glob("*.json")))


def decode(raw: bytes, name: str) -> Product:
    """One product; `name` is what its id must be. Raises ProductUnfit."""
    try:
        product = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProductUnfit(f"{name}: {error}") from error
    complaints = [*_misnamed(product, name), *_complaints(product)]
    if complaints:
        raise ProductUnfit(f"{name}: " + "; ".join(complaints))
    return product


def _misnamed(product: Product, name: str) -> list[str]:
    return [] if product.id == name else [f"its id is {product.id!r}"]


def _complaints(product: Product) -> Iterable[str]:
    """What the types alone do not say: ids are unique where they are looked up, ranges are ranges."""
    yield from _repeated("service", (service.id for service in product.services))
    points = [field.tuya for service in product.services for field in service.properties if field.tuya is not None]
    yield from _repeated("data point", (str(point.dp) for point in points))
    yield from _repeated("code", (point.code for point in points))
    for service in product.services:
        yield from _of_service(service)


def _of_service(service: Service) -> Iterable[str]:
    yield from _repeated("property", (field.id for field in service.properties))
    yield from _repeated("command", (command.id for command in service.commands))
    for fields in (service.properties, *(command.params for command in service.commands)):
        for field in fields:
            yield from _of_field(field)
    for command in service.commands:
        yield from _repeated("parameter", (field.id for field in command.params))


def _of_field(field: Property) -> Iterable[str]:
    match field:
        case Int() | Float() if not is_finite(field):
            yield f"{field.id}: no range"
        case Int() if field.step > max(1, field.max - field.min):
            yield f"{field.id}: a step beyond its range"
        case Enum():
            yield from _repeated("value", field.values)
    if field.tuya is not None and field.tuya.scale and isinstance(field, Bool | Enum):
        yield f"{field.id}: a scale without a number"


def _repeated(what: str, ids: Iterable[str]) -> Iterable[str]:
    return (f"{what} {each!r} twice" for each, count in Counter(ids).items() if count > 1)
