"""What a virtual node keeps while it has no power: its state, and how its models were configured."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.node.elements import Element, Publishing, models_of
from ble.mesh.state import MeshState


class KeptModel(Struct, frozen=True):
    """One model's, in the order of the elements."""

    bound: list[int]
    groups: list[int]
    labels: dict[int, bytes]
    publishing: Publishing | None


class Kept(Struct, frozen=True):
    """Everything. What the models' states were is lost, as most lamps lose it."""

    state: MeshState
    models: list[KeptModel]

    def pack(self) -> bytes:
        """JSON; it holds the keys."""
        return msgspec.json.encode(self)


def keep(state: MeshState, elements: list[Element]) -> Kept:
    models = (KeptModel(one.bound, one.groups, one.labels, one.publishing) for one in models_of(elements))
    return Kept(state, list(models))


def unpack(text: bytes) -> Kept:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(text, type=Kept)
    except msgspec.MsgspecError as error:
        raise Malformed(str(error)) from None


def put_back(models: Iterable[KeptModel], elements: list[Element]) -> None:
    """Configure these elements as they were. Raises Malformed where it was another product."""
    try:
        for kept, model in zip(models, models_of(elements), strict=True):
            model.bound, model.groups, model.labels = kept.bound, kept.groups, kept.labels
            model.publishing = kept.publishing
    except ValueError as error:
        raise Malformed("the models of another product") from error
