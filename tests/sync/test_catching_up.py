"""What is on its way while something else is written, and what becomes of it when the line ends meanwhile."""

from collections.abc import Awaitable, Callable
from functools import partialmethod
from typing import Any

import pytest

from app.store.errors import StoreFull
from app.sync import catching_up, engine, outbox_queries, queries, snapshots
from app.sync.line import LineLost
from app.sync.replica import Replica
from app.sync.wire import Answer, Push, Request, Restate
from tests.api.harness import Api
from tests.api.households import new_home
from tests.sync.copies import copy_of, the_same
from tests.sync.direct import DirectLine
from tests.sync.together import Together
from tests.waiting import until

Told = Callable[[Any, int], Awaitable[None]]
Watch = Callable[[type, Told], None]
AT_ONCE = 4
ACTS = 2 * AT_ONCE + 2


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Have somebody told of each request of a type before it is asked, and how many of them have no answer yet."""
    ask, under_way = DirectLine.ask, set[int]()

    def watch(what: type, told: Told) -> None:
        async def asked(line: DirectLine, request: Request) -> Answer:
            if not isinstance(request, what):
                return await ask(line, request)
            await told(request, len(under_way))
            under_way.add(id(request))
            try:
                return await ask(line, request)
            finally:
                under_way.discard(id(request))

        monkeypatch.setattr(DirectLine, "ask", asked)

    return watch


@pytest.fixture
async def edited(together: Together, monkeypatch: pytest.MonkeyPatch) -> Together:
    """Anna has named her home `ACTS` times at the hub, of which the cloud has heard nothing."""
    few = partialmethod(Replica.next_push, limit=AT_ONCE)
    monkeypatch.setattr(Replica, "next_push", few)
    together.door.cut()
    await until(lambda: together.engine.line is None)
    for number in range(ACTS):
        assert (await together.at_hub.patch(together.home, json={"name": f"Name {number}"})).status_code == 200
    return together


async def waiting(api: Api, home_id: str) -> int:
    return await api.store.read(lambda reader: outbox_queries.waiting_count(reader, home_id))


async def are_the_same(together: Together) -> None:
    both = {"hub": together.hub, "cloud": together.cloud}
    the_same([await copy_of(api, name, together.home_id) for name, api in both.items()])


async def test_the_next_message_is_asked_before_the_answer_to_one_is_written(edited: Together, watch: Watch) -> None:
    left: list[tuple[int, int]] = []

    async def count(push: Push, _: int) -> None:
        left.append((len(push.ops), await waiting(edited.hub, edited.home_id)))

    watch(Push, count)
    await edited.again()
    assert [ops for ops, _ in left] == [AT_ONCE, AT_ONCE, ACTS - 2 * AT_ONCE]
    assert [there for _, there in left][:2] == [ACTS, ACTS]
    assert (await edited.at_cloud.get(edited.home)).json()["name"] == f"Name {ACTS - 1}"
    await are_the_same(edited)


async def test_a_line_that_ends_with_a_message_on_its_way_loses_and_doubles_nothing(
    edited: Together, watch: Watch
) -> None:
    pushed = list[list[int]]()

    async def end(push: Push, _: int) -> None:
        pushed.append([op.n for op in push.ops])
        if len(pushed) == 2:
            raise LineLost("the network is cut")

    watch(Push, end)
    await edited.again()
    assert pushed[1:3] == [pushed[1]] * 2
    assert [n for some in [pushed[0], *pushed[2:]] for n in some] == list(range(pushed[0][0], pushed[0][0] + ACTS))
    await are_the_same(edited)
    assert await edited.conflicts() == []


async def test_an_answer_that_is_lost_loses_and_doubles_nothing(
    edited: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, pushes = DirectLine.ask, list[Push]()

    async def asked(line: DirectLine, request: Request) -> Answer:
        answer = await ask(line, request)
        if isinstance(request, Push):
            pushes.append(request)
            if len(pushes) == 2:
                raise LineLost("the network is cut")
        return answer

    monkeypatch.setattr(DirectLine, "ask", asked)
    await edited.again()
    assert [op.n for op in pushes[2].ops] == [op.n for op in pushes[1].ops]
    await are_the_same(edited)
    assert await edited.conflicts() == []
    assert (await edited.at_cloud.get(edited.home)).json()["name"] == f"Name {ACTS - 1}"


async def test_somebody_else_writes_between_two_messages(edited: Together, watch: Watch) -> None:
    numbers = list[int]()

    async def write(push: Push, _: int) -> None:
        numbers.append(push.ops[0].n)
        if len(numbers) == 2:
            assert (await edited.at_cloud.patch(edited.home, json={"address": "Lindenweg"})).status_code == 200

    watch(Push, write)
    await edited.again()
    home = (await edited.at_hub.get(edited.home)).json()
    assert (home["name"], home["address"]) == (f"Name {ACTS - 1}", "Lindenweg")
    await are_the_same(edited)


async def test_a_write_that_fails_with_a_message_on_its_way_loses_nothing(
    edited: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = Replica.pushed_in, list[int]()

    def pushed_in(replica: Replica, *args: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise StoreFull
        real(replica, *args)

    monkeypatch.setattr(Replica, "pushed_in", pushed_in)
    await edited.again()
    await are_the_same(edited)
    assert await edited.conflicts() == []


async def test_a_hub_says_so_many_messages_and_then_hears(
    edited: Together, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "MESSAGES_AT_ONCE", 1)
    left: list[int] = []

    async def count(push: Push, _: int) -> None:
        left.append(await waiting(edited.hub, edited.home_id))

    watch(Push, count)
    await edited.again()
    assert left == [ACTS, ACTS - AT_ONCE, ACTS - 2 * AT_ONCE]


async def give(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anna has another home, which takes several pages, and gives it to the cloud."""
    monkeypatch.setattr(snapshots, "ROWS_AT_ONCE", 3)
    together.home = home = await new_home(together.at_hub)
    for number in range(20):
        await together.at_hub.post(f"{home}/rooms", json={"name": f"Room {number}"})
    assert (await together.at_hub.post(f"{home}/sync")).status_code == 200
    await together.keyed()
    await together.level()


async def test_the_first_page_is_restated_before_all_others_and_the_last_after(
    together: Together, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []

    async def count(restate: Restate, under_way: int) -> None:
        asked.append((under_way, restate.last))

    watch(Restate, count)
    await give(together, monkeypatch)
    assert [under_way for under_way, last in asked if last] == [0]
    assert [under_way for under_way, _ in asked[:2]] == [0, 0]
    assert max(under_way for under_way, _ in asked) == 1
    await are_the_same(together)


@pytest.mark.parametrize("at", [0, 1, 4])
async def test_a_line_that_ends_while_restating_goes_on_after_what_was_answered(
    together: Together, watch: Watch, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(engine, "MOST_BACKOFF_S", 0.05)
    pages = list[list[bytes]]()

    async def end(restate: Restate, _: int) -> None:
        pages.append([bytes(row) for row in restate.rows])
        if len(pages) == at + 1:
            raise LineLost("the network is cut")

    watch(Restate, end)
    await give(together, monkeypatch)
    # What was on its way beside the lost one may have been answered, and nobody has heard that.
    again = [page for page in pages if pages.count(page) > 1]
    assert pages[at] in again
    assert len(again) <= 2 * catching_up.PAGES_AT_ONCE
    assert at == 0 or pages[0] not in again
    await are_the_same(together)


async def test_facts_that_lie_far_apart_are_found_without_all_between(together: Together) -> None:
    for number in range(8):
        await together.at_hub.post(f"{together.home}/rooms", json={"name": f"Room {number}"})
    await together.level()
    read = together.hub.store.read
    rooms = [it.id for it in await read(lambda it: queries.entities_of(it, together.home_id, "room"))]
    for some in (rooms[:3], [rooms[0], rooms[-1]], ["nobody's", rooms[4]]):
        keys = [("room", room_id) for room_id in some] + [("home", together.home_id)]
        walked = await read(lambda it, keys=keys: queries.entities_run(it, together.home_id, keys))  # type: ignore[misc]
        assert walked == await read(lambda it, keys=keys: queries.entities(it, together.home_id, keys))  # type: ignore[misc]
        assert len(walked) == sum(room_id in rooms for room_id in some) + 1
