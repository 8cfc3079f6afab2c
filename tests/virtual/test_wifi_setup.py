"""A virtual device that is told its network: on no LAN before, on it afterwards, found by the token it was given."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.devices.product.catalogue import built_in
from app.virtual.device import VirtualDevice
from app.virtual.memory import KeptState, MemoryStore
from app.virtual.parts import Place
from app.virtual.station import ListedNetworks
from pairing.activation import Offer, hub_talk
from pairing.device import new_state
from pairing.errors import PairingError
from pairing.identity import Identity
from pairing.mdns import Announcement, browse_devices
from pairing.pump import pump
from pairing.token import MAX_TOKEN_TRIES, was_given
from pairing.wifi import Provisioned, WifiNetwork

LAMP = built_in().get("lamp")
TOKEN = b"DSabcdefghijkm"
HOME = {"Home": "the password"}
RIGHT = Provisioned(WifiNetwork("Home", "the password"), TOKEN)


class Post:
    """A setup by letter: `letters` are told one after the other, what came of each is in `outcomes`."""

    def __init__(self) -> None:
        self.letters: asyncio.Queue[Provisioned] = asyncio.Queue()
        self.outcomes: list[str | None] = []
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Post"]:
        self.opened += 1
        yield self

    async def next(self) -> Provisioned:
        return await self.letters.get()

    async def outcome(self, refused: str | None) -> None:
        self.outcomes.append(refused)


def lamp(post: Post, store: MemoryStore | None = None, place: Place | None = None) -> VirtualDevice:
    assert LAMP is not None
    return VirtualDevice(LAMP, store=store, place=place, setup=post, station=ListedNetworks(HOME))


async def announced(device_id: str, *, hinted: bool) -> Announcement:
    async with browse_devices() as browser:
        async for news in browser:
            if isinstance(news, Announcement) and news.id == device_id and bool(news.hint) is hinted:
                return news
    raise AssertionError


async def test_it_joins_only_with_the_right_name_and_password() -> None:
    post = Post()
    async with asyncio.timeout(30), lamp(post) as device:
        await device.wait("setup")
        post.letters.put_nowait(Provisioned(WifiNetwork("Home", "another one"), TOKEN))
        assert (await device.wait("not_joined")).details["reason"] == "wrong_password"
        post.letters.put_nowait(Provisioned(WifiNetwork("Away", "the password"), TOKEN))
        assert (await device.wait("not_joined")).details["reason"] == "no_such_network"
        post.letters.put_nowait(RIGHT)
        await device.wait("ready")
        assert post.outcomes == ["wrong_password", "no_such_network", None]
        heard = await announced(device.id, hinted=True)
        assert was_given(heard.hint, TOKEN, device.id)
        assert not was_given(heard.hint, b"DSanothertoken", device.id)


async def test_power_comes_back_and_it_is_on_its_network_untold() -> None:
    store, post = MemoryStore(), Post()
    post.letters.put_nowait(RIGHT)
    async with asyncio.timeout(30):
        async with lamp(post, store) as device:
            await device.wait("ready")
        async with lamp(post, store) as device:
            await device.wait("ready")
            await announced(device.id, hinted=True)
    assert post.opened == 1


async def test_a_reset_makes_it_forget_the_network() -> None:
    post = Post()
    post.letters.put_nowait(RIGHT)
    async with asyncio.timeout(30), lamp(post) as device:
        await device.wait("ready")
        await device.wait("setup")
        await device.reset()
        await device.wait("setup")
        post.letters.put_nowait(RIGHT)
        await device.wait("ready")
    assert post.opened == 2


def test_neither_network_nor_token_is_of_use_to_who_reads_a_log() -> None:
    state = KeptState(new_state(secrets.token_bytes).identity, network=RIGHT.network)
    assert "the password" not in repr(state)
    assert TOKEN.decode() not in repr(RIGHT)


async def knock(device: VirtualDevice, token: bytes) -> str:
    """The code of how a hub with that token fares."""
    reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
    offer = Offer("Home", (("127.0.0.1", 1),), secrets.token_bytes(32), "b-1", 0)
    talk = hub_talk(Identity.generate(secrets.token_bytes), offer, entropy=secrets.token_bytes, token=token)
    try:
        await pump(talk, reader, writer)
    except PairingError as error:
        return error.code
    return ""


async def test_a_token_that_was_tried_wrongly_too_often_is_forgotten_and_so_is_the_network() -> None:
    post = Post()
    post.letters.put_nowait(RIGHT)
    async with asyncio.timeout(30), lamp(post) as device:
        await device.wait("ready")
        await device.wait("setup")
        for _ in range(MAX_TOKEN_TRIES):
            assert device.state.token == TOKEN
            assert await knock(device, b"DSanothertoken") == "proof_failed"
            await device.wait("pairing_failed")
        await device.wait("setup")
        assert device.state.token_tries == 0
        assert (device.state.token, device.state.network) == (b"", None)
        post.letters.put_nowait(RIGHT)
        await device.wait("ready")


async def test_a_token_that_nobody_comes_for_is_forgotten_in_time() -> None:
    post = Post()
    post.letters.put_nowait(RIGHT)
    async with asyncio.timeout(30), lamp(post, place=Place(token_life=0.1)) as device:
        await device.wait("ready")
        await device.wait("setup")
        await device.wait("setup")
    assert (device.state.token, device.state.network) == (b"", None)
