"""The sender by a clock of its own, and once on this machine's own loopback."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from pairing.ez.frames import BROADCAST, Datagram
from pairing.ez.sender import HARD_STOP, LAG_MOST, RETRY_AFTER, Attempt, Progress, UdpOutlet, send
from pairing.methods.method import MethodFailedError

GAP = 1 / 128  # exact in binary: times add up to what they should
SHORT = Attempt("one", [Datagram(BROADCAST, 30011, length, GAP) for length in (1, 2, 3)])
OTHER = Attempt("two", [Datagram("226.1.2.3", 30012, 1, GAP)])


class Time:
    """A clock that only sleepers move. `oversleeps` is how late each of them wakes."""

    def __init__(self, *, start: float = 1000.0, oversleeps: float = 0.0) -> None:
        self.time = start
        self.oversleeps = oversleeps
        self.sleeps = 0
        self._waking: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Whoever wakes first moves the time there; the others of this clock sleep on."""
        self.sleeps += 1
        until = self.time + seconds + (self.oversleeps if seconds else 0.0)
        self._waking.append((until, self.sleeps, asyncio.get_running_loop().create_future()))
        mine = self._waking[-1]
        await asyncio.sleep(0)
        while not mine[2].done():
            first = min(self._waking, key=lambda one: one[:2])
            if first is mine:
                self._waking.remove(mine)
                self.time = max(self.time, until)
                return
            await asyncio.sleep(0)


class Sockets:
    """Outlets that write down what leaves them, and when. `fails`: by interface, what its sends raise now."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.sent: list[tuple[float, str, Datagram]] = []
        self.fails: dict[str, OSError] = {}
        self.unopenable: set[str] = set()
        self.open = 0
        self.on_send: Callable[[], None] = lambda: None

    def __call__(self, interface: str) -> "Outlet":
        if interface in self.unopenable:
            raise OSError(errno.EADDRNOTAVAIL, "not there")
        self.open += 1
        return Outlet(self, interface)

    def times(self, interface: str = "a") -> list[float]:
        return [at for at, name, _ in self.sent if name == interface]


class Outlet:
    def __init__(self, sockets: Sockets, interface: str) -> None:
        self._sockets = sockets
        self._interface = interface

    def send(self, datagram: Datagram) -> None:
        if (error := self._sockets.fails.get(self._interface)) is not None:
            raise error
        self._sockets.sent.append((self._sockets.time.now(), self._interface, datagram))
        self._sockets.on_send()

    def close(self) -> None:
        self._sockets.open -= 1


class Told:
    def __init__(self) -> None:
        self.all: list[Progress] = []

    async def __call__(self, progress: Progress) -> None:
        self.all.append(progress)


async def run(sockets: Sockets, *attempts: Attempt, interfaces: str = "a", seconds: float = HARD_STOP) -> Told:
    told = Told()
    plans = dict.fromkeys(interfaces, attempts)
    await send(plans, on_progress=told, seconds=seconds, clock=sockets.time, open_outlet=sockets)
    return told


async def test_everything_leaves_in_its_order_and_rhythm_until_the_end() -> None:
    sockets = Sockets(Time())
    told = await run(sockets, SHORT, OTHER, seconds=8 * GAP)
    assert [d.length for _, _, d in sockets.sent] == [1, 2, 3, 1, 1, 2, 3, 1]
    assert sockets.times() == [1000 + GAP * i for i in range(8)]
    assert [(p.attempt, p.encoding) for p in told.all] == [(1, "one"), (2, "two"), (3, "one"), (4, "two")]
    assert told.all[2].seconds_left == 4 * GAP
    assert sockets.open == 0


async def test_it_stops_after_two_minutes_whatever_is_asked() -> None:
    sockets = Sockets(Time())
    slow = Attempt("slow", [Datagram(BROADCAST, 1, 1, 1.0)])
    await run(sockets, slow, seconds=10_000)
    assert len(sockets.sent) == 120
    assert sockets.time.now() == pytest.approx(1000 + HARD_STOP)


async def test_lateness_does_not_add_up() -> None:
    sockets = Sockets(Time(oversleeps=0.004))
    await run(sockets, Attempt("long", list(SHORT.datagrams) * 100), seconds=2.0)
    late = [at - (1000 + GAP * i) for i, at in enumerate(sockets.times())]
    assert max(late) < 0.005
    assert len(late) == 256


async def test_a_loop_that_hangs_does_not_end_in_a_burst() -> None:
    time = Time()
    sockets = Sockets(time)

    def hang() -> None:
        if len(sockets.sent) == 10:
            time.time += 4 * LAG_MOST

    sockets.on_send = hang
    await run(sockets, Attempt("long", list(SHORT.datagrams) * 100), seconds=2.0)
    gaps = [after - before for before, after in zip(sockets.times(), sockets.times()[1:], strict=False)]
    assert max(gaps) >= 4 * LAG_MOST
    assert sum(gap < GAP / 2 for gap in gaps) <= 1


async def test_late_as_it_is_others_get_their_turn() -> None:
    sockets = Sockets(Time(oversleeps=0.2))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    fast = Attempt("fast", [Datagram(BROADCAST, 1, 1, 0.0001)] * 1000)
    await run(sockets, fast, seconds=0.5)
    other.cancel()
    assert turns > 50


async def test_both_interfaces_send_at_once() -> None:
    sockets = Sockets(Time())
    await run(sockets, SHORT, interfaces="ab", seconds=6 * GAP)
    assert sockets.times("a") == pytest.approx(sockets.times("b"))
    assert len(sockets.times("a")) == 6


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
async def test_a_full_queue_costs_the_frame_only(number: int) -> None:
    sockets = Sockets(Time())
    sockets.fails["a"] = OSError(number, "full")
    told = await run(sockets, SHORT, seconds=30 * GAP)
    assert (sockets.sent, told.all[-1].attempt, sockets.open) == ([], 10, 0)


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.ENETDOWN, errno.EPERM])
async def test_one_interface_that_fails_does_not_stop_the_other_and_may_come_back(number: int) -> None:
    sockets = Sockets(Time())
    sockets.fails["b"] = OSError(number, "gone")

    def back() -> None:
        if sockets.time.now() > 1000 + RETRY_AFTER / 2:
            sockets.fails.clear()

    sockets.on_send = back
    await run(sockets, SHORT, interfaces="ab", seconds=2 * RETRY_AFTER)
    assert len(sockets.times("a")) == pytest.approx(2 * RETRY_AFTER / GAP, abs=1)
    assert sockets.times("b")[0] == pytest.approx(1000 + RETRY_AFTER, abs=0.1)
    assert sockets.open == 0


@pytest.mark.parametrize("how", ["unopenable", "failing", "one each"])
async def test_where_no_interface_works_it_says_so(how: str) -> None:
    sockets = Sockets(Time())
    if how != "failing":
        sockets.unopenable = {"a", "b"} if how == "unopenable" else {"a"}
    if how != "unopenable":
        sockets.fails = dict.fromkeys("ab" if how == "failing" else "b", OSError(errno.ENETUNREACH, "gone"))
    with pytest.raises(MethodFailedError, match="network_unavailable") as raised:
        await run(sockets, SHORT, interfaces="ab")
    assert raised.value.facts["reason"] in ("EADDRNOTAVAIL", "ENETUNREACH")
    assert sockets.open == 0


async def test_no_interface_at_all() -> None:
    with pytest.raises(MethodFailedError, match="network_unavailable"):
        await send({}, on_progress=Told())


@pytest.mark.parametrize("turns", range(0, 30, 3))
async def test_cancelled_whenever_it_closes_what_it_has_open(turns: int) -> None:
    sockets = Sockets(Time())
    sending = asyncio.create_task(run(sockets, SHORT, interfaces="ab"))
    for _ in range(turns):
        await asyncio.sleep(0)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    assert sockets.open == 0


async def test_who_watches_and_fails_ends_it() -> None:
    sockets = Sockets(Time())

    async def fails(progress: Progress) -> None:
        raise RuntimeError("the session is over")

    with pytest.raises(RuntimeError):
        await send({"a": [SHORT]}, on_progress=fails, clock=sockets.time, open_outlet=sockets)
    assert sockets.open == 0


async def test_on_real_sockets() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind(("", 0))
        port = ear.getsockname()[1]
        attempt = Attempt("real", [Datagram(BROADCAST, port, length, 0.001) for length in (1, 268, 1091)])
        heard: list[tuple[int, str]] = []

        async def listen() -> None:
            while len(heard) < 6:
                octets, (address, _) = await asyncio.get_running_loop().sock_recvfrom(ear, 2048)
                assert not any(octets)
                heard.append((len(octets), address))

        sending = asyncio.create_task(send({"127.0.0.5": [attempt]}, on_progress=Told()))
        async with asyncio.timeout(30):
            await listen()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert [length for length, _ in heard] == [1, 268, 1091] * 2
    assert {address for _, address in heard} == {"127.0.0.5"}


async def test_an_address_this_machine_has_not_leaves_no_socket(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(OSError, match="Cannot assign"):
        UdpOutlet("192.0.2.1")
    assert not recwarn.list
