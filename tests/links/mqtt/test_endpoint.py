"""The endpoint as the hub uses it: the way down, restarts, and what clients may not take up."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from app.links.mqtt.errors import Reason
from app.links.mqtt.limits import Limits
from app.links.mqtt.pace import Pace
from app.links.mqtt.ports import Fate, Properties
from app.store.connection import open_plain
from app.store.errors import StoreFull
from app.store.folder import DATABASE
from app.store.restore import new_incarnation
from tests.links.mqtt.house import House, house
from tests.links.mqtt.wire import PING, ack, connect, publish, short, subscribe, wire

WAIT = 20.0


async def until(made: House, happened: Callable[[], bool]) -> None:
    """Returns once it has, looked at at each thing the hearing is told."""
    changed = asyncio.Event()
    made.keeper.on_change.append(changed.set)
    async with asyncio.timeout(WAIT):
        while not happened():
            changed.clear()
            await changed.wait()


async def test_down_to_a_device_by_implication_at_qos_0(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        assert not made.endpoint.is_online("dev")
        assert not made.endpoint.publish("dev", "$oc/dev/down/x", b"1")
        await it.enter()
        await until(made, lambda: ("connected", "dev") in made.keeper.log)
        fates: list[Fate] = []
        assert made.endpoint.is_online("dev")
        assert made.endpoint.publish("dev", "$oc/dev/down/x", b"1", on_fate=fates.append)
        got = await it.message()
        assert (got.topic, got.payload, got.qos, fates) == ("$oc/dev/down/x", b"1", 0, ["written"])
        assert not made.endpoint.publish("dev", "$oc/dev/other", b"1")
        assert not made.endpoint.publish("another", "$oc/another/down/x", b"1")


async def test_down_at_qos_1_tells_when_it_is_acknowledged_or_lost(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("$oc/dev/down/#", 1)))
        fates: list[Fate] = []
        assert made.endpoint.publish("dev", "$oc/dev/down/x", b"1", on_fate=fates.append)
        got = await it.message()
        assert (got.qos, fates) == (1, [])
        it.say(ack(0x40, got.packet_id))
        assert await it.silent()
        assert fates == ["acked"]
        made.endpoint.publish("dev", "$oc/dev/down/x", b"2", on_fate=fates.append)
        it.cut()
        await until(made, lambda: ("lost", "dev") in made.keeper.log)
        assert fates == ["acked", "lost"]


async def test_of_two_connections_the_first_acknowledgement_counts(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as one, wire(made.port) as two:
        for it, name in ((one, "one"), (two, "two")):
            await it.enter(name)
            await it.ask(subscribe(1, ("dev/down", 1)))
        fates: list[Fate] = []
        made.endpoint.publish("dev", "dev/down", b"x", on_fate=fates.append)
        await one.message()
        two.say(ack(0x40, (await two.message()).packet_id))
        assert await two.silent()
        assert fates == ["acked"]
        one.cut()
        await until(made, lambda: ("lost", "dev") in made.keeper.log)
        assert fates == ["acked"]


async def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    beside = Properties(expiry=1000, user=(("a", "b"),))
    async with house(tmp_path / "h") as made:
        async with wire(made.port) as it:
            await it.enter("sleeper", clean=False)
            await it.ask(subscribe(1, ("dev/down", 1), ("dev/more", 2)))
            await it.ask(publish("dev/kept", b"retained", 1, 1, retain=True))
            await it.leave()
        await until(made, lambda: ("client", "dev") in made.keeper.log)
        for n in range(3):
            assert await made.endpoint.keep("dev", "dev/down", b"%d" % n, properties=beside) == 1
        assert await made.endpoint.keep("dev", "dev/nobody", b"x") == 0
        assert not made.endpoint.publish("dev", "dev/down", b"not kept")
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        assert (await it.enter("sleeper", clean=False))[0] == 1
        got = [await it.message() for _ in range(3)]
        assert [each.payload for each in got] == [b"0", b"1", b"2"]
        it.say(ack(0x40, got[0].packet_id))
        await it.ask(subscribe(2, ("dev/kept", 0)))
        assert (await it.message()).payload == b"retained"
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter("sleeper", clean=False)
        again = [await it.message() for _ in range(2)]
        assert [(each.payload, each.dup, each.packet_id) for each in again] == [
            (each.payload, True, each.packet_id) for each in got[1:]
        ]


async def test_qos_2_downward_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter("two", clean=False)
        await it.ask(subscribe(1, ("dev/down", 2)))
        await made.endpoint.keep("dev", "dev/down", b"x", qos=2)
        got = await it.message()
        assert await it.ask(ack(0x50, got.packet_id)) == b"\x62" + short(got.packet_id)
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter("two", clean=False)
        assert await it.next() == (0x62, short(got.packet_id))
        it.say(ack(0x70, got.packet_id))
        assert await it.silent()
        await it.leave()
        await until(made, lambda: ("client", "dev") in made.keeper.log)
        assert await made.store.read(lambda reader: reader.all("SELECT * FROM mqtt_owed")) == []


async def test_a_restore_ends_sessions_whose_packet_ids_have_been_used_since(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter("stays", clean=False)
        await it.ask(subscribe(1, ("dev/#", 1)))
        await it.ask(publish("dev/a", b"x", 2, 1))
        await made.endpoint.keep("dev", "dev/a", b"x")

    def restore() -> None:
        with closing(open_plain(tmp_path / "h" / DATABASE)) as db:
            new_incarnation(db, 0)

    await asyncio.to_thread(restore)
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        for table in ("mqtt_sessions", "mqtt_owed", "mqtt_received"):
            assert await made.store.read(lambda reader, t=table: reader.all(f"SELECT * FROM {t}")) == []  # type: ignore[misc]
        assert (await it.enter("stays", clean=False))[0] == 0


async def test_forget_leaves_nothing(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter("stays", clean=False)
        await it.ask(subscribe(1, ("dev/#", 1)))
        await it.ask(publish("dev/kept", b"x", 0, retain=True))
        await made.endpoint.keep("dev", "dev/a", b"x")
        await made.endpoint.forget("dev")
        await it.closed()
        for table in ("mqtt_sessions", "mqtt_owed", "mqtt_received", "mqtt_retained"):
            assert await made.store.read(lambda reader, t=table: reader.all(f"SELECT * FROM {t}")) == []  # type: ignore[misc]
        async with wire(made.port) as again:
            assert (await again.enter("stays", clean=False))[0] == 0


async def test_of_a_device_that_is_forgotten_no_will_is_published(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        more = {"more": b"\x11\0\0\0\x50", "will_more": b"\x18\0\0\0\x01"}
        await it.enter(level=5, will=("dev/will", b"", 0, True), **more)  # type: ignore[arg-type]
        it.cut()
        await until(made, lambda: ("lost", "dev") in made.keeper.log)
        assert made.endpoint.arrivals.is_due(made.endpoint.now_ms + 2000)
        await made.endpoint.forget("dev")
        assert not made.endpoint.arrivals.is_due(made.endpoint.now_ms + 2000)


async def test_drop_tells_a_client_of_5_why(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter(level=5)
        await until(made, lambda: made.endpoint.is_online("dev"))
        made.endpoint.drop("dev", Reason.BANNED)
        assert await it.closed() == b"\xe0\x02\x8a\x00"
        await until(made, lambda: ("dropped", "dev") in made.keeper.log)


async def test_drop_reaches_who_is_admitted_and_not_yet_let_in(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as former, wire(made.port) as latter:
        published, gate, stuck = made.keeper.published, asyncio.Event(), asyncio.Event()

        async def slow(principal, messages):  # type: ignore[no-untyped-def]
            stuck.set()
            await gate.wait()
            return await published(principal, messages)

        made.keeper.published = slow  # type: ignore[method-assign]
        await former.enter("twin")
        former.say(publish("dev/a", b"x"))
        await stuck.wait()
        latter.say(connect("twin"))
        assert await former.closed() == b""
        made.endpoint.drop("dev")
        assert await latter.closed() == b""
        gate.set()
        await until(made, lambda: ("taken_over", "dev") in made.keeper.log)
        assert made.keeper.log == [("connected", "dev"), ("published", "dev/a"), ("taken_over", "dev")]


async def test_a_take_over_is_heard_in_order(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as former, wire(made.port) as latter:
        await former.enter("twin")
        former.say(*(publish("dev/a", b"%d" % n) for n in range(50)))
        await latter.enter("twin")
        log = made.keeper.log
        assert (log.index(("connected", "dev")), log[-2:]) == (0, [("taken_over", "dev"), ("connected", "dev")])


async def test_of_many_that_come_at_once_one_stays(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, AsyncExitStack() as opened:
        crowd = [await opened.enter_async_context(wire(made.port)) for _ in range(12)]
        for it in crowd:
            it.say(connect("twin"))
        ended = await asyncio.gather(*(it.next() for it in crowd), return_exceptions=True)
        assert ended.count((0x20, b"\x00\x00")) >= 1
        await until(made, lambda: [what for what, _ in made.keeper.log].count("connected") == 12)
        # Never two of them: each left before the next was there.
        assert [what for what, _ in made.keeper.log] == ["connected", "taken_over"] * 11 + ["connected"]
        assert len(made.endpoint.spaces.of("dev").sessions) == 1


async def test_of_another_device_the_same_client_id_takes_nothing_over(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as one, wire(made.port) as two:
        await one.enter("same", user="a")
        await two.enter("same", user="b")
        assert await one.silent()


@pytest.mark.parametrize("level", [4, 5])
async def test_who_is_not_admitted_is_told_in_its_own_words(tmp_path: Path, level: int) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        answer = await it.ask(connect(level=level, password=b"wrong"))
        assert answer == (b"\x20\x00\x86\x00" if level == 5 else b"\x20\x00\x04")
        assert await it.closed() == b""
    assert made.keeper.log == []


async def test_a_will_for_another_device_is_not_admitted(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        assert await it.ask(connect(will=("other/x", b"", 0, False))) == b"\x20\x00\x05"


async def test_who_says_nothing_is_hung_up_on(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(handshake=0.2)) as made, wire(made.port) as it:
        assert await it.closed() == b""


async def test_who_says_it_one_octet_at_a_time_is_hung_up_on_as_well(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(handshake=0.5)) as made, wire(made.port) as it:

        async def drip() -> None:
            for octet in connect("x" * 60_000):
                it.say(bytes((octet,)))
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert await it.closed() == b""
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_strangers_have_little_room(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(strangers_per_address=2)) as made:
        async with wire(made.port) as one, wire(made.port) as two, wire(made.port) as three:
            assert await three.closed() == b""
            await one.enter("one")
            async with wire(made.port) as four:
                await four.enter("four")
            await two.enter("two")
        async with wire(made.port) as five:
            await five.enter("five")
    assert made.endpoint.counts["turned_away"] == 1


async def test_a_packet_of_a_stranger_is_small(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        it.say(b"\x10\xff\xff\x7f")
        assert await it.closed() == b""


async def test_sessions_of_a_device_are_counted(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(sessions=2)) as made:
        for name in ("one", "two", "three"):
            async with wire(made.port) as it:
                await it.enter(name, clean=False)
                await it.leave()
            await until(made, lambda: made.keeper.log[-1] == ("client", "dev"))
        async with wire(made.port) as two, wire(made.port) as three, wire(made.port) as four:
            assert (await two.enter("two", clean=False))[0] == 1
            assert (await three.enter("three", clean=False))[0] == 1
            assert await four.ask(connect("four")) == b"\x20\x00\x03"


async def test_what_is_kept_and_retained_has_its_bounds(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(kept=2, retained=2)) as made:
        async with wire(made.port) as it:
            await it.enter("s", clean=False, level=5, more=b"\x11\0\0\0\x50")
            await it.ask(subscribe(1, ("dev/down", 1), level=5))
            it.say(*(publish(f"dev/r{n}", b"x", 1, n, retain=True, level=5) for n in (1, 2, 3)))
            for n, code in ((1, b""), (2, b""), (3, b"\x97")):
                assert await it.next() == (0x40, short(n) + code)
            await it.leave()
        await until(made, lambda: ("client", "dev") in made.keeper.log)
        assert [await made.endpoint.keep("dev", "dev/down", b"x") for _ in range(3)] == [1, 1, 0]


async def test_a_client_that_does_not_read_loses_qos_0_first_and_then_its_connection(tmp_path: Path) -> None:
    limits = Limits(unsent=4096, patience=0.5, waiting=5, window=2)
    async with house(tmp_path / "h", limits) as made, wire(made.port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("dev/down", 1), ("dev/zero", 0)))
        it.writer.transport.pause_reading()  # type: ignore[attr-defined]
        block = b"x" * 60_000
        sent = 0
        while made.endpoint.publish("dev", "dev/zero", block):
            sent += 1
            await asyncio.sleep(0)
            assert sent < 2000
        taken = [made.endpoint.publish("dev", "dev/down", b"x") for _ in range(10)]
        assert taken == [True] * 5 + [False] * 5
        await until(made, lambda: ("lost", "dev") in made.keeper.log)
        assert not made.endpoint.is_online("dev")


async def test_what_lags_on_disk_is_not_read_ahead(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(unread=4)) as made, wire(made.port) as it:
        await it.enter()
        gate = asyncio.Event()
        published = made.keeper.published
        seen: list[int] = []

        async def slow(principal, messages):  # type: ignore[no-untyped-def]
            seen.append(len(messages))
            await gate.wait()
            return await published(principal, messages)

        made.keeper.published = slow  # type: ignore[method-assign]
        it.say(*(publish("dev/a", b"%d" % n, 1, n + 1) for n in range(100)), PING)
        async with asyncio.timeout(WAIT):
            while not seen:
                await asyncio.sleep(0.01)
        (client,) = made.endpoint._clients
        assert len(client.talk.todo) <= 4
        gate.set()
        assert [(await it.next())[1] for _ in range(100)] == [short(n + 1) for n in range(100)]
        assert await it.next() == (0xD0, b"")
        assert max(seen) <= 4
    assert len(seen) >= 25


async def test_what_is_too_much_for_long_waits(tmp_path: Path) -> None:
    pace = Pace(5, 0.0)
    assert [pace.wait(1, 20, 5, 0.0) for _ in range(6)] == [0, 0, 0, 0, 0, 1 / 20]
    assert pace.wait(20, 20, 5, 100.0) == 15 / 20
    async with house(tmp_path / "h", Limits(rate=1, burst=1, unread=1)) as made, wire(made.port) as it:
        await it.enter()
        it.say(*(publish("dev/a", b"x", 1, n + 1) for n in range(1000)))
        assert [await it.next() for _ in range(2)] == [(0x40, b"\x00\x01"), (0x40, b"\x00\x02")]
        async with wire(made.port) as again:
            # That takes a quarter of an hour, which a take-over does not.
            await again.enter()
            assert await again.silent()


async def test_when_nothing_can_be_written_nothing_is_acknowledged(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made:
        async with wire(made.port) as it:
            await it.enter(level=5)
            await made.store.write(lambda tx: tx.run("ALTER TABLE heard RENAME TO away"))
            it.say(publish("dev/a", b"x", 1, 1, level=5))
            assert await it.closed() == b"\xe0\x02\x88\x00"
        await until(made, lambda: ("refused", "dev") in made.keeper.log)
        await made.store.write(lambda tx: tx.run("ALTER TABLE away RENAME TO heard"))
        async with wire(made.port) as it:
            await it.enter()
            assert await it.ask(publish("dev/a", b"x", 1, 1)) == b"\x40\x00\x01"
        assert await made.heard() == [("dev", "dev/a", b"x")]


async def test_what_the_disk_did_not_take_is_not_owed(tmp_path: Path) -> None:
    async with house(tmp_path / "h", Limits(kept=1)) as made, wire(made.port) as it:
        await it.enter("s", clean=False)
        await it.ask(subscribe(1, ("dev/down", 1)))
        write = made.store.write

        async def full(act, **more):  # type: ignore[no-untyped-def]
            raise StoreFull

        made.store.write = full  # type: ignore[method-assign]
        with pytest.raises(StoreFull):
            await made.endpoint.keep("dev", "dev/down", b"lost")
        made.store.write = write  # type: ignore[method-assign]
        assert await made.endpoint.keep("dev", "dev/down", b"kept") == 1
        assert (await it.message()).payload == b"kept"


async def test_closing_says_so_and_publishes_no_will(tmp_path: Path) -> None:
    async with house(tmp_path / "h") as made, wire(made.port) as it:
        await it.enter(level=5, will=("dev/will", b"", 1, False))
        await made.endpoint.close()
        assert await it.closed() == b"\xe0\x02\x8b\x00"
        assert made.keeper.log == [("connected", "dev"), ("stopping", "dev")]
