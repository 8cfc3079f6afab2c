"""Requests whose writes are done and undone: everything is checked as for real, and the world stays as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from msgspec import Struct

from app import policy
from app.policy import Action, Actor, Decision, Resource
from app.store.once import Once
from app.store.store import Store
from app.store.tx import Event, Tx

T = TypeVar("T")
Tell = Callable[[bytes | None, Exception | None], None]


class Undone(Exception):
    """Carries the result of an act out of the transaction it undoes."""

    def __init__(self, result: Any) -> None:
        self.result = result


@contextmanager
def rehearsing(store: Store, events: list[Event], keys: list[str] | None = None) -> Iterator[None]:
    """While this lasts no act of `store` is kept; what it would have told is added to `events`.

    The Idempotency-Keys it would have been remembered by are added to `keys`.
    """
    write = store.write

    async def rehearse(act: Callable[[Tx], T], *, once: Once | None = None, returns: object = None) -> T:
        if once is not None and keys is not None:
            keys.append(once.key)

        def undo(tx: Tx) -> T:
            result = act(tx)
            told.append([Event(0, *row) for row in tx.told])
            raise Undone(result)

        told: list[list[Event]] = []
        try:
            return await write(undo)
        except Undone as undone:
            # An act may be run twice in one batch; what counts is the last.
            events.extend(told[-1])
            result: T = undone.result
            return result

    def rehearse_submitted(act: Callable[[Tx], bytes], tell: Tell, once: Once | None) -> None:
        def told(result: bytes | None, error: Exception | None) -> None:
            tell(*((error.result, None) if isinstance(error, Undone) else (result, error)))

        def undo(tx: Tx) -> bytes:
            raise Undone(act(tx))

        submit(undo, told, None)

    submit = store.submit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "write", rehearse)
        patch.setattr(store, "submit", rehearse_submitted)
        yield


class Asked(Struct):
    """What policy was asked while a request was served, in order."""

    actions: list[Action]


@contextmanager
def overheard(asked: Asked) -> Iterator[None]:
    """While this lasts every question to policy is noted in `asked`, wherever the function was imported to."""
    ask = policy.allowed

    def noted(actor: Actor, action: Action, resource: Resource, now: Any) -> Decision:
        asked.actions.append(action)
        return ask(actor, action, resource, now)

    with pytest.MonkeyPatch.context() as patch:
        for module in importers_of(ask):
            patch.setattr(module, "allowed", noted)
        yield


def importers_of(function: Any) -> list[Any]:
    """The modules of the application that hold `function` under its name."""
    import sys

    modules = [module for name, module in sys.modules.items() if name.startswith("app.") or name == "app"]
    return [module for module in modules if getattr(module, function.__name__, None) is function]
