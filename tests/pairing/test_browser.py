"""Who is heard: fairly among strangers, by id and never by name, with the latest of what they say."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pairing import browser as of_browsing
from pairing.announcement import DEVICES, Announcement, Gone
from pairing.browser import MAX_HEARD, MAX_PER_SOURCE, MAX_RESOLVING, Browser, Told
from tests.pairing.test_mdns import PATIENCE, SOUND, an_id

Device = Browser[Announcement]


class Air:
    """A `Records`: what is in it has come; what is asked for and is not in it never comes."""

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}
        self.asked: list[str] = []
        self.never = asyncio.Event()
        self.everybody_asked = asyncio.Event()

    def have(self, announcer_id: str) -> Told | None:
        return self.told.get(announcer_id)

    async def get(self, announcer_id: str) -> Told | None:
        self.asked.append(announcer_id)
        await self.never.wait()
        return None

    def ask(self) -> None:
        self.asked.append("")
        self.everybody_asked.set()

    async def refresh(self) -> None:
        pass

    def say(self, announcer_id: str, address: str = "192.0.2.1", port: int = 80, **text: str) -> str:
        self.told[announcer_id] = Told({**SOUND, "id": announcer_id, **text}, (address,), port)
        return announcer_id


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture
async def browser(air: Air, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Device]:
    monkeypatch.setattr(of_browsing, "UPDATE_INTERVAL", 0)
    made: Device = Browser(air, DEVICES)
    yield made
    await made.stop()
    assert not made._tasks


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def drain(browser: Device) -> list[Announcement | Gone]:
    await settle()
    return [await anext(browser) for _ in range(len(browser._news))]


async def test_a_flood_of_announcers_is_bounded(air: Air, browser: Device) -> None:
    for number in range(4 * MAX_HEARD):
        browser.sign(air.say(an_id(number)), f"192.0.2.{number % 200}", changed=True)
    heard = await drain(browser)
    assert len([news for news in heard if isinstance(news, Announcement)]) == MAX_HEARD == len(browser)


async def test_one_source_does_not_crowd_out_the_others(air: Air, browser: Device) -> None:
    browser.sign(air.say(an_id(1)), "192.0.2.7", changed=True)
    await drain(browser)
    for number in range(10, 10 + 4 * MAX_HEARD):
        browser.sign(air.say(an_id(number)), "192.0.2.66", changed=True)
    browser.sign(air.say(an_id(2)), "192.0.2.8", changed=True)
    heard = await drain(browser)
    assert len(heard) == MAX_PER_SOURCE + 1
    assert heard[-1].id == an_id(2)
    assert Gone(an_id(1)) not in heard


async def test_those_who_tell_nothing_do_not_keep_others_waiting(air: Air, browser: Device) -> None:
    for number in range(10, 10 + 2 * MAX_RESOLVING):
        browser.sign(an_id(number), "192.0.2.66", changed=True)
    browser.sign(air.say(an_id(1)), "192.0.2.7", changed=True)
    assert [news.id for news in await drain(browser)] == [an_id(1)]
    assert len(air.asked) == MAX_RESOLVING


async def test_an_id_is_read_from_its_own_name_only(air: Air, browser: Device) -> None:
    thief = an_id(66)
    air.say(thief, "192.0.2.66", id=an_id(1))
    browser.sign(thief, "192.0.2.66", changed=True)
    assert await drain(browser) == []
    browser.sign(air.say(an_id(1)), "192.0.2.1", changed=True)
    (heard,) = await drain(browser)
    assert isinstance(heard, Announcement)
    assert heard.addresses == ("192.0.2.1",)


async def test_unread_news_are_replaced_by_the_latest(air: Air, browser: Device) -> None:
    for port in range(1, 500):
        browser.sign(air.say(an_id(1), port=port), "192.0.2.1", changed=True)
        await asyncio.sleep(0)
    (latest,) = await drain(browser)
    assert isinstance(latest, Announcement)
    assert latest.port == 499


async def test_what_becomes_unsound_is_gone(air: Air, browser: Device) -> None:
    browser.sign(air.say(an_id(1)), "192.0.2.1", changed=True)
    assert [type(news) for news in await drain(browser)] == [Announcement]
    browser.sign(air.say(an_id(1), v="9"), "192.0.2.1", changed=True)
    assert await drain(browser) == [Gone(an_id(1))]
    assert len(browser) == 0


async def test_a_goodbye_is_told_and_a_return_heard(air: Air, browser: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_browsing, "GOODBYE_LASTS", 0.01)
    browser.sign(air.say(an_id(1)), "192.0.2.1", changed=True)
    await drain(browser)
    browser.goodbye(an_id(1))
    browser.goodbye(an_id(1))
    assert await drain(browser) == [Gone(an_id(1))]
    browser.sign(an_id(1), "192.0.2.1", changed=True)  # an answer that was under way
    assert await drain(browser) == []
    async with asyncio.timeout(PATIENCE):
        await air.everybody_asked.wait()
    browser.sign(an_id(1), "192.0.2.1", changed=True)
    assert [type(news) for news in await drain(browser)] == [Announcement]


async def test_a_sign_of_life_is_told_though_nothing_changed(air: Air, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_browsing, "UPDATE_INTERVAL", 0)
    signs: list[tuple[str, str]] = []
    browser = Browser(air, DEVICES, on_sign=lambda heard, source: signs.append((heard.id, source)))
    browser.sign(air.say(an_id(1)), "192.0.2.1", changed=True)
    await settle()
    signs.clear()
    browser.sign(an_id(1), "192.0.2.66", changed=False)
    assert signs == [(an_id(1), "192.0.2.1")]
    assert len(await drain(browser)) == 1
    await browser.stop()


async def test_it_goes_on_asking_ever_more_seldom(air: Air, browser: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 12:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE):
            await browser.keep_asking()
    assert 0 < waits[0] < 0.2
    assert waits[1:] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]
    assert len(air.asked) == 11
