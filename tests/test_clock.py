"""Time never runs back, never behind its floor, and says whether it can be trusted."""

from hypothesis import given
from hypothesis import strategies as st

from app.clock import NS_PER_MS, Moment, SystemClock, machine_clock_is_set

HOUR = 3_600_000


class Machine:
    """A wall clock and a monotonic one, in ms."""

    def __init__(self, wall: int = 0) -> None:
        self.wall = wall
        self.ticks = 0

    def clock(self, *, floor_ms: int = 0, trusted: bool = False) -> SystemClock:
        return SystemClock(
            floor_ms=floor_ms,
            trusted=trusted,
            wall_ns=lambda: self.wall * NS_PER_MS,
            monotonic_ns=lambda: self.ticks * NS_PER_MS,
        )

    def wait(self, ms: int) -> None:
        self.wall += ms
        self.ticks += ms


def test_a_dead_battery_starts_at_the_floor_and_time_goes_on() -> None:
    machine = Machine(wall=0)
    clock = machine.clock(floor_ms=HOUR)
    machine.wait(1000)
    assert clock.now() == Moment(HOUR + 1000, trusted=False)


def test_a_phone_sets_it() -> None:
    machine = Machine()
    clock = machine.clock(floor_ms=HOUR)
    clock.set(5 * HOUR)
    machine.wait(10)
    assert clock.now() == Moment(5 * HOUR + 10)


def test_a_time_behind_is_reached_slowly_never_backwards() -> None:
    machine = Machine(wall=10 * HOUR)
    clock = machine.clock()
    clock.set(8 * HOUR)
    assert clock.now() == Moment(10 * HOUR)
    machine.wait(2 * HOUR)
    assert clock.now() == Moment(11 * HOUR)
    machine.wait(2 * HOUR)
    assert clock.now() == Moment(12 * HOUR)
    machine.wait(HOUR)
    assert clock.now() == Moment(13 * HOUR)


def test_slowness_loses_nothing_to_rounding() -> None:
    machine = Machine(wall=10 * HOUR)
    clock = machine.clock(trusted=True)
    machine.wall = 0
    for _ in range(1000):
        machine.wait(1)
        clock.now()
    assert clock.now().ms == 10 * HOUR + 500


def test_ntp_knows_better_than_a_phone() -> None:
    machine = Machine(wall=HOUR)
    clock = machine.clock()
    clock.follow_machine()
    clock.set(50 * HOUR)
    assert clock.now() == Moment(HOUR)


@given(
    st.integers(0, 10**13),
    st.lists(
        st.one_of(
            st.integers(-(10**9), 10**9).map(lambda n: ("jump", n)), st.integers(0, 10**9).map(lambda n: ("set", n))
        )
    ),
)
def test_it_never_runs_back(floor: int, happens: list[tuple[str, int]]) -> None:
    machine = Machine(wall=10**10)
    clock = machine.clock(floor_ms=floor)
    last = clock.now().ms
    assert last >= floor
    for what, ms in happens:
        if what == "set":
            clock.set(ms)
        else:
            machine.wall = max(0, machine.wall + ms)
            machine.ticks += 1
        assert clock.now().ms >= last
        last = clock.now().ms


def test_asking_the_machine_needs_no_privilege() -> None:
    assert machine_clock_is_set() in (True, False)


def test_a_clock_chip_that_says_anything_is_not_believed_until_something_has_set_it() -> None:
    floor, bogus = 1_800_000_000_000, 4_000_000_000_000
    machine = Machine(wall=bogus)
    clock = machine.clock(floor_ms=floor)
    assert clock.now() == Moment(floor, trusted=False)
    machine.wall, machine.ticks = bogus + HOUR, HOUR
    assert clock.now() == Moment(floor + HOUR, trusted=False)
    machine.wall = floor + 2 * HOUR
    clock.follow_machine()
    assert clock.now() == Moment(floor + 2 * HOUR)
    assert Machine(wall=bogus).clock(floor_ms=floor, trusted=True).now().ms == bogus
    assert Machine(wall=bogus).clock().now().ms == bogus


def test_a_phone_sets_a_clock_that_is_not_believed() -> None:
    floor, bogus = 1_800_000_000_000, 4_000_000_000_000
    clock = Machine(wall=bogus).clock(floor_ms=floor)
    clock.set(floor + HOUR)
    assert clock.now() == Moment(floor + HOUR)
