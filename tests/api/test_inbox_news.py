"""Who may pair hears on the event stream that a device is there to be paired, and that it is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.onboarding.inbox_news import InboxNews
from pairing.announcement import Announcement
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home
from tests.api.listening import Heard, Listening

MODULE = "app.onboarding.inbox_news"
WAIT = 30.0


def device(number: int) -> Announcement:
    return Announcement(
        id=f"d-{number:024}", product="lamp", name="", addresses=("192.0.2.1",), port=80, paired=False, auth="pin"
    )


@pytest.fixture
async def news(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InboxNews]:
    monkeypatch.setattr(f"{MODULE}.SETTLE_S", 0.01)
    monkeypatch.setattr(f"{MODULE}.TELL_EVERY_S", 0.05)
    monkeypatch.setattr(f"{MODULE}.LOOK_EVERY_S", 0.05)
    made = InboxNews(api.store, api.services.standings, api.services.onboarding.inbox)
    made.start()
    yield made
    await made.stop()


async def test_a_device_comes_and_goes(api: Api, news: InboxNews) -> None:
    anna = await api.person("anna")
    home = (await new_home(anna)).rpartition("/")[2]
    async with Listening(api.app, account_of(anna)) as stream:
        await stream.next()
        news.saw(device(1), "192.0.2.1")
        news.saw(device(2), "192.0.2.1")
        heard = await stream.next()
        assert (heard.event, heard.data["home_id"]) == ("pairing.inbox", home)
        assert heard.data["data"] == {"appeared": [device(1).id, device(2).id], "left": []}
        news.gone(device(1).id)
        assert (await stream.next()).data["data"] == {"appeared": [], "left": [device(1).id]}
        api.forward(16 * 60_000)  # the other one has said nothing for too long
        assert (await stream.next()).data["data"] == {"appeared": [], "left": [device(2).id]}


async def test_only_who_may_pair_is_told(api: Api, news: InboxNews) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    path = await new_home(anna)
    await join(api, path, ben, "guest")
    async with Listening(api.app, account_of(ben)) as guest, Listening(api.app, account_of(anna)) as owner:
        await guest.next()
        await owner.next()
        news.saw(device(1), "192.0.2.1")
        assert (await owner.next()).event == "pairing.inbox"
        await anna.patch(path, json={"name": "Renamed"})
        assert (await guest.next()).event == "home.updated"


async def test_however_fast_devices_come_it_is_told_seldom(
    api: Api, news: InboxNews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.TELL_EVERY_S", 3600.0)
    anna = await api.person("anna")
    path = await new_home(anna)
    async with Listening(api.app, account_of(anna)) as stream:
        await stream.next()
        news.saw(device(1), "192.0.2.1")
        assert (await stream.next()).event == "pairing.inbox"
        for number in range(2, 1_000):
            news.saw(device(number), f"192.0.2.{number % 250}")
            await asyncio.sleep(0)
        await anna.patch(path, json={"name": "Renamed"})
        heard: Heard = await stream.next()
        assert heard.event == "home.updated"
