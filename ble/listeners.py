"""Who is told of something: each may end it, and an error of one is no other's."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Listeners(Generic[T]):
    """`add` returns what ends it; to end it twice does nothing."""

    def __init__(self) -> None:
        self._told: dict[object, Callable[[T], None]] = {}

    def add(self, told: Callable[[T], None]) -> Callable[[], None]:
        key = object()
        self._told[key] = told
        return lambda: self._told.pop(key, None) and None

    def tell(self, what: T) -> None:
        for told in list(self._told.values()):
            try:
                told(what)
            except Exception:
                _log.exception("a listener of the radio failed")
