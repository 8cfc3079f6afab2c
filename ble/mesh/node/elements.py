"""A node's elements and what each of its models is set to."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from msgspec import Struct, field

from ble.mesh.config.bindings import Publication
from ble.mesh.config.composition import Composition
from ble.mesh.config.composition import Element as ElementShape
from ble.mesh.model_id import ModelId
from ble.mesh.models import health
from ble.mesh.models.server import Server
from ble.mesh.models.vendor import VendorServer

CONFIG_SERVER, CONFIG_CLIENT = ModelId(0x0000), ModelId(0x0001)
MAX_BOUND, MAX_SUBSCRIBED = 4, 16
"""What one model keeps at most."""

AnyServer: TypeAlias = Server | VendorServer


class Publishing(Struct, frozen=True):
    """Where a model publishes; `label` is the label UUID of a virtual address."""

    address: int
    publication: Publication
    label: bytes = b""


class Model(Struct, kw_only=True):
    """One model of one element: what it does, and how it was configured. `server` is None for the configuration's."""

    identifier: ModelId
    server: AnyServer | None = None
    bound: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    labels: dict[int, bytes] = field(default_factory=dict)
    publishing: Publishing | None = None

    @property
    def subscribes(self) -> bool:
        return self.identifier not in (CONFIG_SERVER, CONFIG_CLIENT, health.SERVER)

    @property
    def subscriptions(self) -> list[int]:
        return [*self.groups, *self.labels]


Sync: TypeAlias = Callable[[AnyServer, float], None]
"""Told which server has just been spoken to, and when: carries its state over to those it is bound to."""


def _unbound(_: AnyServer, __: float) -> None:
    return None


class Element(Struct):
    """An addressable part of the node."""

    models: list[Model]
    location: int = 0
    sync: Sync = _unbound

    def model(self, identifier: ModelId) -> Model | None:
        return next((model for model in self.models if model.identifier == identifier), None)


def element(*servers: AnyServer, location: int = 0, primary: bool = False, sync: Sync = _unbound) -> Element:
    """An element of these servers; the primary one has the configuration server too."""
    models = [Model(identifier=CONFIG_SERVER)] if primary else []
    for server in servers:
        identifier = server.model if isinstance(server, VendorServer) else server.MODEL
        models.append(Model(identifier=identifier, server=server))
    return Element(models, location, sync)


def composition(
    elements: list[Element], *, company: int, product: int, version: int, features: int, replay_list: int = 64
) -> Composition:
    """What Composition Data page 0 says of these elements."""
    return Composition(
        company=company,
        product=product,
        version=version,
        replay_list=replay_list,
        features=features,
        elements=tuple(ElementShape(one.location, tuple(model.identifier for model in one.models)) for one in elements),
    )


def models_of(elements: list[Element]) -> Iterator[Model]:
    for one in elements:
        yield from one.models
