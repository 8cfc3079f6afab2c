"""Counting wrong attempts: windows, caps, and who is one peer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.attempts import Allowance, Attempts, peer_of
from app.accounts.model import TooManyAttempts

THREE = Allowance(3, 60, tracked=5)


def taken(attempts: Attempts, name: str, now_ms: int) -> bool:
    """Whether one more attempt is allowed; it counts then."""
    try:
        attempts.take(name, now_ms)
    except TooManyAttempts:
        return False
    return True


def test_a_window_allows_so_many_and_the_next_one_as_many_again() -> None:
    attempts = Attempts(THREE)
    assert [taken(attempts, "a", 0) for _ in range(4)] == [True] * 3 + [False]
    assert not taken(attempts, "a", 59_999)
    assert taken(attempts, "a", 60_000)


def test_it_says_how_long_to_wait() -> None:
    attempts = Attempts(THREE)
    for _ in range(3):
        attempts.take("a", 0)
    with pytest.raises(TooManyAttempts) as refused:
        attempts.take("a", 58_500)
    assert refused.value.facts["retry_after"] == 2


def test_right_attempts_do_not_count() -> None:
    attempts = Attempts(THREE)
    for _ in range(10):
        attempts.take("a", 0)
        attempts.give_back("a")
    for _ in range(3):
        attempts.take("a", 0)
    attempts.forget("a")
    assert taken(attempts, "a", 0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5_000)), max_size=200))
def test_nobody_gets_more_than_allowed_in_a_window_while_the_table_holds_them(steps: list[tuple[int, int]]) -> None:
    attempts, now = Attempts(Allowance(3, 60, tracked=50)), 0
    allowed: dict[int, list[int]] = {}
    for name, gap in steps:
        now += gap
        if taken(attempts, str(name), now):
            allowed.setdefault(name, []).append(now)
    for times in allowed.values():
        # Windows are fixed: of any four in a row the first and the last lie in different ones.
        assert all(later > earlier for earlier, later in zip(times, times[3:], strict=False))
        assert all(sum(start <= at < start + 60_000 for at in times) <= 6 for start in times)


def test_the_table_is_capped() -> None:
    attempts = Attempts(THREE)
    for n in range(1000):
        attempts.take(str(n), 0)
    assert len(attempts) == 5


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_an_ipv6_network_is_one_peer(one: str, other: str, same: bool) -> None:
    assert (peer_of(one) == peer_of(other)) is same
