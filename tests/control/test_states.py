"""Every state and every event of a command."""

from itertools import product

import pytest

from app.control.states import ENDED, Event, State, move

EXPECTED = {
    State.QUEUED: {Event.SEND: State.SENT, Event.DELIVER: State.DELIVERED},
    State.SENT: {Event.SEND: State.SENT, Event.DELIVER: State.DELIVERED},
    State.DELIVERED: {Event.SEND: State.DELIVERED, Event.DELIVER: State.DELIVERED},
}
ENDS = {Event.ANSWER: State.ANSWERED, Event.FAIL: State.FAILED, Event.EXPIRE: State.EXPIRED}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_the_table(state: State, event: Event) -> None:
    wanted = None if state in ENDED else EXPECTED[state].get(event, ENDS.get(event))
    assert move(state, event) is wanted


def test_nothing_leaves_an_end() -> None:
    assert [(s, e) for s, e in product(ENDED, Event) if move(s, e) is not None] == []
