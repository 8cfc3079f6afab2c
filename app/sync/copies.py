"""Which homes a hub has a copy of: how that begins, ends, and leaves a home its own again (PROTOCOL.md 2, 11)."""

from collections.abc import Callable
from typing import Final

from app.homes.standing import Standings
from app.store.tx import Tx
from app.sync.capture import Capture
from app.sync.model import NOBODY
from app.sync.replica import Replica

# Of a home that was here already, in one operation.
EDITS_AT_ONCE: Final = 500
_OF_THE_CLOUD: Final = frozenset({"home", "member", "share", "invitation", "hub", "home_key"})


class Copies:
    """Everything inside one act. `homes` is `Capture.homes`."""

    def __init__(self, capture: Capture, replica: Replica, standings: Standings) -> None:
        self.homes = capture.homes
        self._capture = capture
        self._replica = replica
        self._standings = standings
        # Told inside the act, of a home that this hub is about to leave, and of one that it keeps alone.
        self.on_ending: list[Callable[[Tx, str], None]] = []
        self.on_alone: list[Callable[[Tx, str], None]] = []

    def begin_in(self, tx: Tx, home_id: str, cloud_id: str, epoch: str, *, founding: bool) -> None:
        """A home that this hub serves from now on: its own, which it brings, or one that is there."""
        self.homes[home_id] = False
        parts = self._capture.parts_in(tx, home_id, self._capture.everything_in(tx, home_id))
        self._replica.join_in(tx, home_id, cloud_id, epoch, restating=founding)
        if founding:
            self._replica.state_in(tx, home_id, parts, NOBODY)
            return
        # It has lived here by itself: what it had is told as its owner's edits of the one that is there. Who is in it,
        # the cloud knows better.
        owner = next((it.id for it in parts if it.kind == "member" and it.fields.get("role") == "owner"), NOBODY)
        edits = [it for it in parts if it.kind not in _OF_THE_CLOUD]
        for begin in range(0, len(edits), EDITS_AT_ONCE):
            self._replica.act_in(tx, home_id, owner, edits[begin : begin + EDITS_AT_ONCE])

    def end_in(self, tx: Tx, home_id: str) -> None:
        """A home that is not this hub's: nothing of it stays."""
        for told in self.on_ending:
            told(tx, home_id)
        self.homes.pop(home_id, None)
        self._replica.leave_in(tx, home_id)
        self._standings.contacts.drop(tx, home_id)

    def let_go_in(self, tx: Tx, home_id: str) -> None:
        """A home that a cloud ordered is this hub's alone."""
        self.homes.pop(home_id, None)
        for told in self.on_alone:
            told(tx, home_id)
        self._replica.let_go_in(tx, home_id)
        self._standings.contacts.drop(tx, home_id)
