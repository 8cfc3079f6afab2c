"""The event stream over the companion API."""

import pytest

from app.accounts.model import ACCESS_MS, SignedIn
from app.events import bus as bus_module
from app.events import stream as stream_module
from app.hours import Window
from app.policy import Action
from app.store.tx import Change, Tx
from tests.api.harness import Api
from tests.api.households import HOME, account_of, join, new_home
from tests.api.listening import Listening

MINUTE = 60_000
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
DAY = 24 * 60


async def a_home(api: Api, name: str) -> tuple[str, str]:
    """A person's token and the id of a home of theirs."""
    person = await api.person(name)
    return account_of(person), (await new_home(person)).rpartition("/")[2]


async def rename(api: Api, token: str, home_id: str, name: str) -> None:
    answer = await api.client(token).patch(f"/api/homes/{home_id}", json={"name": name})
    assert answer.status_code == 200


async def test_a_change_is_told_as_it_happens(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    async with Listening(api.app, anna) as stream:
        assert stream.status == 200
        assert (await stream.next()).event == "ready"
        await rename(api, anna, home, "Lindenweg 3")
        heard = await stream.next()
    assert heard.event == heard.data["type"] == "home.updated"
    assert heard.id == heard.data["id"]
    assert (heard.data["entity_id"], heard.data["home_id"]) == (home, home)
    assert heard.data["data"]["name"] == "Lindenweg 3"


async def test_nobody_hears_of_another_home(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    ben, bens = await a_home(api, "ben")
    async with Listening(api.app, ben) as stream:
        await stream.next()
        await rename(api, anna, home, "Lindenweg 3")
        await rename(api, ben, bens, "Ahornweg")
        assert (await stream.next()).data["home_id"] == bens


async def test_a_stream_without_a_valid_token_is_refused(api: Api) -> None:
    for token in (None, "wrong"):
        async with Listening(api.app, token) as stream:
            assert stream.status == 401


async def test_whoever_comes_back_misses_nothing_and_hears_nothing_twice(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    names = [f"Name {n}" for n in range(7)]
    heard: list[str] = []
    last: str | None = None
    async with Listening(api.app, anna) as stream:
        last = (await stream.next()).id
    for name in names:
        await rename(api, anna, home, name)
    for most in (3, 4):
        async with Listening(api.app, anna, last) as stream:
            assert (await stream.next()).event == "ready"
            for _ in range(most):
                event = await stream.next()
                heard.append(event.data["data"]["name"])
                last = event.id
    assert heard == names


async def test_replay_reads_in_pages_and_goes_on_live(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "PAGE", 2)
    anna, home = await a_home(api, "anna")
    here = str(api.services.bus.here)
    for n in range(5):
        await rename(api, anna, home, f"Name {n}")
    async with Listening(api.app, anna, here) as stream:
        before = [await stream.next() for _ in range(6)]
        await rename(api, anna, home, "Name 5")
        after = await stream.next()
    assert [event.data["data"]["name"] for event in [*before[1:], after]] == [f"Name {n}" for n in range(6)]


@pytest.mark.parametrize("stated", ["1-999999", "2-1", "0-0", "rubbish", "1-", "-1", "1-1-1", "9" * 40 + "-1", "１-1"])
async def test_a_place_the_hub_cannot_go_on_from_is_reset(api: Api, stated: str) -> None:
    anna, home = await a_home(api, "anna")
    async with Listening(api.app, anna, stated) as stream:
        reset = await stream.next()
        assert reset.event == "reset"
        await rename(api, anna, home, "Lindenweg 3")
        assert (await stream.next()).event == "home.updated"
    async with Listening(api.app, anna, reset.id) as stream:
        assert [event.event for event in await stream.until("home.updated")] == ["ready", "home.updated"]


async def test_a_place_older_than_what_is_kept_is_reset(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    first = api.services.bus.here.seq
    for n in range(4):
        await rename(api, anna, home, f"Name {n}")
    await api.store.write(lambda tx: tx.run("DELETE FROM events WHERE seq<=?", (first + 2,)))
    async with Listening(api.app, anna, f"1-{first + 1}") as stream:
        assert (await stream.next()).event == "reset"
    async with Listening(api.app, anna, f"1-{first + 2}") as stream:
        assert [(await stream.next()).event for _ in range(3)] == ["ready", "home.updated", "home.updated"]


async def test_the_numbering_survives_pruning_of_everything(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    await api.store.write(lambda tx: tx.run("DELETE FROM events"))
    last = api.services.bus.here.seq
    async with Listening(api.app, anna, f"1-{last}") as stream:
        assert (await stream.next()).event == "ready"
        await rename(api, anna, home, "Lindenweg 3")
        assert (await stream.next()).id == f"1-{last + 1}"


async def test_an_expired_token_ends_its_stream_before_the_next_event(api: Api) -> None:
    anna, home = await a_home(api, "anna")

    def borrow() -> str:
        account = api.services.credentials.accounts.get(anna)
        assert account is not None
        return api.services.credentials.lend(account, ACCESS_MS, api.clock.now())

    async with Listening(api.app, borrow()) as stream:
        await stream.next()
        api.clock.set(api.clock.now().ms + ACCESS_MS)
        await rename(api, anna, home, "Lindenweg 3")
        rest = await stream.rest()
    assert [(end.event, end.data) for end in rest] == [("closing", {"reason": "signed_out", "again": False})]


async def test_a_stream_outlives_the_token_it_was_opened_with_when_that_is_refreshed(api: Api) -> None:
    account = api.actor(account_of(await api.person("anna"))).account_id or ""

    def open_session(tx: Tx) -> SignedIn:
        return api.services.sessions.open_in(tx, api.services.accounts.get_in(tx, account), name="phone", address="")

    session = await api.store.write(open_session)
    async with Listening(api.app, session.access_token) as stream:
        assert (await stream.next()).event == "ready"
        body = {"refresh_token": session.refresh_token}
        renewed = (await api.client().post("/api/sign-in/refresh", json=body)).json()["access_token"]
        await new_home(api.client(renewed))
        assert (await stream.until("home.created"))[-1].event == "home.created"


async def test_the_end_of_a_session_ends_its_streams_at_once(api: Api) -> None:
    anna, _ = await a_home(api, "anna")
    session = await api.store.write(lambda tx: api.phone_in(tx, anna, "phone-2", "a second phone"))
    async with Listening(api.app, "phone-2") as stream:
        await stream.next()
        assert (await api.client("phone-2").post("/api/sign-out")).status_code == 204
        assert [end.data["reason"] for end in await stream.rest()] == ["signed_out"]
    assert session not in api.services.credentials.sessions
    assert api.services.bus.streams == 0


async def test_whoever_is_removed_loses_the_stream_and_finds_the_home_gone(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    ben = await api.person("ben")
    token = account_of(ben)
    await join(api, f"/api/homes/{home}", api.client(token), "member")
    async with Listening(api.app, token) as stream:
        await stream.next()
        await rename(api, anna, home, "Name 1")
        assert (await stream.next()).event == "home.updated"
        assert (await api.client(anna).delete(f"/api/homes/{home}/members/{token}")).status_code == 204
        rest = await stream.rest()
    assert [end.data for end in rest] == [{"reason": "rights_changed", "again": True}]
    await rename(api, anna, home, "Name 2")
    async with Listening(api.app, token, stream.last_id) as stream:
        await stream.next()
        await ben.post("/api/homes", json=HOME)
        assert (await stream.next()).data["home_id"] != home


async def test_what_happened_before_one_came_is_not_replayed(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    ben = account_of(await api.person("ben"))
    await rename(api, anna, home, "Before")
    api.forward(1000)
    await join(api, f"/api/homes/{home}", api.client(ben), "admin")
    await rename(api, anna, home, "After")
    async with Listening(api.app, ben, "1-0") as stream:
        heard = await stream.until("home.updated")
    assert [event.event for event in heard[:-1]] == ["ready", "account.created", "member.joined"]
    assert heard[-1].data["data"]["name"] == "After"


async def test_a_guests_stream_ends_with_their_time(api: Api) -> None:
    _, home = await a_home(api, "anna")
    guest = account_of(await api.person("gast"))
    await join(api, f"/api/homes/{home}", api.client(guest), "guest", until=api.clock.now().ms + 10 * MINUTE)
    async with Listening(api.app, guest) as stream:
        await stream.next()
        api.forward(9 * MINUTE)
        assert api.services.bus.streams == 1
        api.forward(MINUTE)
        assert [end.data for end in await stream.rest()] == [{"reason": "access_ended", "again": True}]


async def test_hours_end_streams_and_hide_what_happened_outside_them(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    guest = account_of(await api.person("gast"))
    await api.client(anna).patch(f"/api/homes/{home}", json={"time_zone": "UTC"})
    minute = api.clock.now().ms // MINUTE
    hours = (Window(days=EVERY_DAY, start=(minute - 5) % DAY, end=(minute + 5) % DAY),)
    await join(api, f"/api/homes/{home}", api.client(guest), "guest", hours=hours)
    async with Listening(api.app, guest) as stream:
        last = (await stream.next()).id
        await rename(api, anna, home, "Within")
        assert (await stream.next()).data["data"]["name"] == "Within"
        api.forward(10 * MINUTE)
        assert [end.data["reason"] for end in await stream.rest()] == ["access_ended"]
    await rename(api, anna, home, "Outside")
    api.forward(DAY * MINUTE - 10 * MINUTE)
    async with Listening(api.app, guest, last) as stream:
        await rename(api, anna, home, "Within again")
        heard = [await stream.next() for _ in range(3)]
    assert [event.data.get("data", {}).get("name") for event in heard] == [None, "Within", "Within again"]


async def test_a_client_that_reads_too_slowly_is_sent_to_the_disk(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MAX_WAITING", 3)
    anna, home = await a_home(api, "anna")
    async with Listening(api.app, anna) as stream:
        await stream.next()
        stream.reads.clear()
        for n in range(6):
            await rename(api, anna, home, f"Name {n}")
        stream.reads.set()
        heard = await stream.rest()
    assert heard[-1].event == "lagging"
    monkeypatch.undo()
    async with Listening(api.app, anna, heard[-1].id) as stream:
        later = [await stream.next() for _ in range(1 + 6 - (len(heard) - 1))]
    told = [event.data["data"]["name"] for event in [*heard[:-1], *later[1:]]]
    assert told == [f"Name {n}" for n in range(6)]


async def test_a_client_that_takes_nothing_makes_room(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "SEND_S", 0.01)
    anna, home = await a_home(api, "anna")
    async with Listening(api.app, anna) as stream:
        await stream.next()
        stream.reads.clear()
        await rename(api, anna, home, "Name")
        await stream.finished()
        assert api.services.bus.streams == 0


async def test_a_silent_stream_beats_and_moves_its_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_S", 0.01)
    anna, home = await a_home(api, "anna")
    ben = account_of(await api.person("ben"))
    async with Listening(api.app, ben) as stream:
        await stream.next()
        await rename(api, anna, home, "Nothing to Ben")
        await stream.place(str(api.services.bus.here))


async def test_one_session_has_so_many_streams_and_the_oldest_makes_room(api: Api) -> None:
    anna, _ = await a_home(api, "anna")
    most = 8
    streams = [Listening(api.app, anna) for _ in range(most + 1)]
    for stream in streams:
        await stream.__aenter__()
        await stream.next()
    assert [end.data["reason"] for end in await streams[0].rest()] == ["replaced"]
    for stream in streams:
        await stream.__aexit__(None, None, None)
    assert api.services.bus.streams == 0


async def test_the_hub_has_so_many_streams_and_says_when_it_is_full(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "STREAMS_PER_ACCOUNT", 1)
    anna, _ = await a_home(api, "anna")
    async with Listening(api.app, anna) as first, Listening(api.app, anna) as second:
        assert (first.status, second.status) == (200, 429)


async def test_a_hub_that_stops_says_goodbye(api: Api) -> None:
    anna, _ = await a_home(api, "anna")
    async with Listening(api.app, anna) as stream:
        await stream.next()
        api.services.bus.close()
        assert [end.data for end in await stream.rest()] == [{"reason": "stopping", "again": True}]
    async with Listening(api.app, anna) as stream:
        assert stream.status == 429


async def test_what_concerns_one_person_is_told_to_them_alone(api: Api) -> None:
    anna, home = await a_home(api, "anna")
    ben = account_of(await api.person("ben"))
    await join(api, f"/api/homes/{home}", api.client(ben), "admin")

    def tell(tx: Tx) -> None:
        for account_id in (anna, ben):
            change = Change("session.started", "session", account_id, None, Action.SELF, account_id=account_id)
            tx.record(api.actor(anna), change)

    async with Listening(api.app, anna) as hers, Listening(api.app, ben) as his:
        await api.store.write(tell)
        await rename(api, anna, home, "Lindenweg 3")
        for stream, account_id in ((hers, anna), (his, ben)):
            heard = [event.data["entity_id"] for event in (await stream.until("home.updated"))[1:]]
            assert heard == [account_id, home]
