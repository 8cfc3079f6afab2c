"""What can be shared, as sharing asks about it: a device or a group, by its id."""

from collections.abc import Mapping
from typing import Protocol

from app.policy import Actor, Resource
from app.sharing.model import Kind
from app.store.tx import Reader


class Things(Protocol):
    """One kind of things. One that does not exist is nobody's: a Resource without a standing."""

    def resource(self, actor: Actor, thing_id: str) -> Resource:
        """From memory."""

    def resource_in(self, reader: Reader, actor: Actor, thing_id: str) -> Resource:
        """From disk: what a write goes by."""

    def name_of(self, thing_id: str) -> str:
        """What it is called, from memory; empty when there is none."""


Sharable = Mapping[Kind, Things]
