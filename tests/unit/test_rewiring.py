"""What becomes of a device that is moved to another network: every state, every event, by hand."""

import pytest

from app.onboarding.rewiring_model import Event, Late, Mover, Order, Progress, State, WifiChange, mover_view, step
from pairing.messages import Hello, WifiAccepted, WifiRefused

P = Progress
CHANGE = WifiChange("w-1", "h-1", "a-1", "New", State.OPEN, 0, 1)
OLD, NEW = Hello("1", "lamp", "Old"), Hello("1", "lamp", "New")
TRIAL, KEPT = Hello("1", "lamp", "New", "w-1", trial=True), Hello("1", "lamp", "New", "w-1")
FORMER = Hello("1", "lamp", "Old", "w-0")
WIRED = Hello("1", "lamp")
ENDS = (P.DONE, P.WIRED, P.REFUSED, P.ROLLED_BACK, P.LET_BE)


def after(state: Progress, event: Event, was: str | None = "Old") -> tuple[Progress, Order | None]:
    mover, order = step(Mover("d-1", state, was), CHANGE, event)
    return mover.state, order


@pytest.mark.parametrize("state", [s for s in P if s not in ENDS])
def test_one_that_is_back_is_told_to_keep_it_and_then_is_through(state: Progress) -> None:
    assert after(state, TRIAL) == (P.KEEPING, Order.KEEP)
    assert after(state, KEPT) == (P.DONE, None)


@pytest.mark.parametrize("hello", [OLD, FORMER])
def test_one_on_the_old_network_is_told_or_has_gone_back(hello: Hello) -> None:
    assert after(P.UNREACHABLE, hello, None) == (P.TOLD, Order.TRY)
    assert after(P.TOLD, hello) == (P.TOLD, Order.TRY)
    assert after(P.TRYING, hello) == (P.ROLLED_BACK, None)
    assert after(P.KEEPING, hello) == (P.ROLLED_BACK, None)


def test_one_that_was_brought_there_by_hand_is_through() -> None:
    for state in (P.UNREACHABLE, P.TOLD, P.TRYING):
        assert after(state, NEW) == (P.DONE, None)
    # Under the same name as before it may still be the former network.
    assert after(P.UNREACHABLE, NEW, None) == (P.TOLD, Order.TRY)
    assert after(P.UNREACHABLE, NEW, "New") == (P.TOLD, Order.TRY)


def test_what_it_says_counts_where_it_was_asked() -> None:
    assert after(P.TOLD, WifiAccepted("w-1")) == (P.TRYING, None)
    assert after(P.TOLD, WifiRefused("w-1", "busy")) == (P.REFUSED, None)
    assert after(P.TOLD, WifiRefused("w-1", "wired")) == (P.WIRED, None)
    assert after(P.UNREACHABLE, WIRED) == (P.WIRED, None)
    for said in (WifiAccepted("w-2"), WifiRefused("w-2", "busy")):
        assert after(P.TOLD, said) == (P.TOLD, None)
    for state in set(P) - {P.TOLD}:
        assert after(state, WifiAccepted("w-1")) == (state, None)
        assert after(state, WifiRefused("w-1", "busy")) == (state, None)


def test_time_ends_what_it_is_about_and_nothing_else() -> None:
    assert after(P.TOLD, Late(P.TOLD, linked=True)) == (P.REFUSED, None)
    assert after(P.TOLD, Late(P.TOLD, linked=False)) == (P.UNREACHABLE, None)
    assert after(P.TRYING, Late(P.TRYING, linked=False)) == (P.ROLLED_BACK, None)
    assert after(P.KEEPING, Late(P.KEEPING, linked=True)) == (P.ROLLED_BACK, None)
    for state in P:
        for about in set(P) - {state}:
            assert after(state, Late(about, linked=True)) == (state, None)


@pytest.mark.parametrize("state", ENDS)
def test_an_end_is_one(state: Progress) -> None:
    for hello in (OLD, NEW, WIRED, FORMER):
        assert after(state, hello) == (state, None)
    late = state is P.ROLLED_BACK  # it was given up too early: it is back after all
    assert after(state, TRIAL) == ((P.KEEPING, Order.KEEP) if late else (state, None))
    assert after(state, KEPT) == ((P.DONE, None) if late else (state, None))


def test_who_needs_somebody_is_shown_with_what_to_do() -> None:
    helped = {state for state in P if mover_view(Mover("d-1", state)).hint}
    assert helped == {P.UNREACHABLE, P.REFUSED, P.ROLLED_BACK}
