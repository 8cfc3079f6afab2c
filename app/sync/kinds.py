"""What sync asks of the nouns: each kind of fact, between the tables of its noun and the fields of its entity.

The implementations live beside their nouns (`app/homes/replica.py` and so on), and are wired in `app/services.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import msgspec
from msgspec import Struct

from app.caller import Caller
from app.store.tx import Reader, Tx

Fields = Mapping[str, Any]
F = TypeVar("F", bound=Struct)


class Watch(Struct, frozen=True):
    """A table in which facts of a kind stand.

    `id` and `home_id` are SQL over the row, whose columns are written `$.name`; a NULL of either: it is none of ours.
    `columns`: those whose update matters; None: all. `many` is for a row that is part of several facts: a SELECT of
    their id and home_id (so named), with the row's columns in it, instead of the two. `inserted`: whether a row that is
    new says something.
    """

    table: str
    id: str = "NULL"
    home_id: str = "NULL"
    columns: tuple[str, ...] | None = None
    many: str | None = None
    inserted: bool = True


class Item(Struct, frozen=True):
    """An entity for the tables: its fields from now on (None: it is gone), and who made it so."""

    id: str
    fields: Fields | None
    by: Caller


class Kind(Protocol):
    """One kind of fact. Everything runs in the writer, inside one act."""

    @property
    def name(self) -> str:
        """As in PROTOCOL.md 2."""

    @property
    def watches(self) -> Sequence[Watch]:
        """Where its facts stand; none: in the log alone."""

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """The fact as the tables have it, None where they have none: JSON values, nulls left out.

        `known` is what the log has: where a value can be written in several ways (a person has several keys), as there.
        """

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """Every fact of this kind in a home."""

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """Make the tables, and what is resident of them, as `items` say; leave an event of each change.

        Nothing is asked of policy. What refers to something that is not there (see `refers`) stands without it.
        An entity that is the same already is passed over, and one the tables do not want is not an error.
        """

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """Other entities (kind, id) without which its rows cannot be whole: it is put again once they are there."""


@runtime_checkable
class SeveralIds(Protocol):
    """A kind whose facts may be named in several ways: people, by each of their keys."""

    def id_of_in(self, reader: Reader, home_id: str, entity_id: str, known: Callable[[str], bool]) -> str:
        """Of all ids of that fact the one that is `known` to the log; else `entity_id` itself."""


def filled(fields: Fields) -> dict[str, Any]:
    """Without what says nothing: a field that is not there is null, or empty."""
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def fitting(as_what: type[F], fields: Fields | None) -> F | None:
    """`fields` as what they are meant to be; None where they are not that. Null is as good as not there."""
    if fields is None:
        return None
    try:
        return msgspec.convert({name: value for name, value in fields.items() if value is not None}, as_what)
    except msgspec.ValidationError:
        return None


# Put in this order, and taken away in the other: what is referred to comes first.
ORDER: Final = (
    "home",
    "member",
    "room",
    "wifi_network",
    "device",
    "names",
    "device_user",
    "group",
    "share",
    "invitation",
    "hub",
    "home_key",
    "secret",
    "conflict",
)
RANK: Final = {name: rank for rank, name in enumerate(ORDER)}
