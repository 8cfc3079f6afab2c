"""Every link against every credential that is not, or not any more, the device's: one table, at a whole hub.

What a knock says must not be believed of anybody, and who is right is let in all the same afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from app.links.iotda.service import AUTHORITIES
from tests.e2e.living import Living, living
from tests.links.iotda.certified import CLOSED, WRONG, Authority, Street
from tests.security.links import IN, ONLY_ITS_RESET, SAID, Certified, Heartbeat, Https, HttpsToken, Lamp, Lan, Mqtt


class NotHere(str):
    """Why a cell does not apply."""


KEPT_OUT, UNPROVED, TOKEN, NOBODY = "Not authorized", "401 IOTDA.00002", "403 IOTDA.00004", "401 unauthenticated"
NEITHER = "neither written nor read"
NO_END = NotHere("it has no end of its own: it is replaced or taken away")
IS_THE_DEVICE = NotHere("its token is all that says which device it is: with another's it is that other")
BY_SECRET: Final = {
    "missing": WRONG,
    "wrong": WRONG,
    "expired": WRONG,
    "renewed": WRONG,
    "reset": ONLY_ITS_RESET,
    "reset and forgotten": WRONG,
    "removed": WRONG,
    "frozen": KEPT_OUT,
    "another device's": WRONG,
    "another home's": WRONG,
    "about another device": NEITHER,
    "about another home's": NEITHER,
}
EXPECTED: Final[dict[str, dict[str, str]]] = {
    "lan": {
        "missing": "refused: credential",
        "wrong": "refused: credential",
        "expired": NO_END,
        "renewed": NotHere("a binding is made anew by pairing, which begins with a reset or a removal"),
        "reset": ONLY_ITS_RESET,
        "reset and forgotten": "refused: removed",
        "removed": "refused: removed",
        "frozen": "refused: unknown",
        "another device's": "refused: credential",
        "another home's": "refused: credential",
        # It is linked as itself; what it says of others is not taken.
        "about another device": IN,
        "about another home's": IN,
    },
    "mqtt": BY_SECRET,
    "mqtt over websocket": BY_SECRET,
    "mqtt with a certificate": BY_SECRET | {"expired": CLOSED},
    "https": {
        "missing": "400 IOTDA.00006",
        "wrong": UNPROVED,
        "expired": UNPROVED,
        "renewed": UNPROVED,
        "reset": ONLY_ITS_RESET,
        "reset and forgotten": UNPROVED,
        "removed": UNPROVED,
        "frozen": UNPROVED,
        "another device's": UNPROVED,
        "another home's": UNPROVED,
        "about another device": TOKEN,
        "about another home's": TOKEN,
    },
    "https by token": dict.fromkeys(BY_SECRET, TOKEN),
    "heartbeat": {
        "missing": NOBODY,
        "wrong": NOBODY,
        "expired": NO_END,
        "renewed": NOBODY,
        "reset": ONLY_ITS_RESET,
        "reset and forgotten": NOBODY,
        "removed": NOBODY,
        "frozen": "409 device_frozen",
        "another device's": IS_THE_DEVICE,
        "another home's": IS_THE_DEVICE,
        "about another device": NotHere("nothing it says names a device"),
        "about another home's": NotHere("nothing it says names a device"),
    },
}


class House:
    """A hub with two homes, and one link of it."""

    def __init__(self, hub: Living, link: Any, elsewhere: str) -> None:
        self.hub = hub
        self.link = link
        self.elsewhere = elsewhere
        self.lamps: list[Lamp] = []

    async def lamp(self, home_id: str = "") -> Lamp:
        """A new one, of this home."""
        made: Lamp = await self.link.let_in(home_id or self.hub.home_id)
        self.lamps.append(made)
        return made

    async def act(self, lamp: Lamp, verb: str) -> Any:
        """Of the owner's, at a device."""
        answer = await self.hub.owner.post(f"/api/devices/{lamp.id}/{verb}", json={} if verb == "reset" else None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def believed(self) -> list[str]:
        """Of whom the hub believes what was said."""
        found = []
        for lamp in self.lamps:
            answer = await self.hub.owner.get(f"/api/devices/{lamp.id}")
            shown = answer.json().get("services", {}).get("light", {"reported": {}})["reported"]
            found += [lamp.wire_id] * (SAID.keys() <= shown.keys())
        return found

    # troubles

    async def missing(self) -> str:
        return str(await self.link.knock(await self.lamp(), None))

    async def wrong(self) -> str:
        lamp = await self.lamp()
        return str(await self.link.knock(lamp, await self.link.wrong(lamp)))

    async def expired(self) -> str:
        return str(await self.link.expired(await self.lamp()))

    async def renewed(self) -> str:
        lamp = await self.lamp()
        await self.link.renew(lamp)
        return str(await self.link.knock(lamp, lamp.credential))

    async def reset(self) -> str:
        lamp = await self.lamp()
        await self.act(lamp, "reset")
        return str(await self.link.knock(lamp, lamp.credential))

    async def forgotten(self) -> str:
        lamp = await self.lamp()
        lamp.reset_id = (await self.act(lamp, "reset"))["id"]
        await self.link.forget(lamp)
        return str(await self.link.knock(lamp, lamp.credential))

    async def removed(self) -> str:
        lamp = await self.lamp()
        assert (await self.hub.owner.delete(f"/api/devices/{lamp.id}")).status_code == 204
        return str(await self.link.knock(lamp, lamp.credential))

    async def frozen(self) -> str:
        lamp = await self.lamp()
        await self.act(lamp, "freeze")
        return str(await self.link.knock(lamp, lamp.credential))

    async def with_anothers(self, home_id: str = "") -> str:
        lamp, other = await self.lamp(), await self.lamp(home_id)
        return str(await self.link.knock(lamp, other.credential))

    async def about_another(self, home_id: str = "") -> str:
        return str(await self.link.about(await self.lamp(), await self.lamp(home_id)))

    def troubles(self) -> dict[str, Callable[[], Awaitable[str]]]:
        """By the table's names."""
        return {
            "missing": self.missing,
            "wrong": self.wrong,
            "expired": self.expired,
            "renewed": self.renewed,
            "reset": self.reset,
            "reset and forgotten": self.forgotten,
            "removed": self.removed,
            "frozen": self.frozen,
            "another device's": self.with_anothers,
            "another home's": lambda: self.with_anothers(self.elsewhere),
            "about another device": self.about_another,
            "about another home's": lambda: self.about_another(self.elsewhere),
        }


@asynccontextmanager
async def house_with(name: str, folder: Path, authority: Authority, token: str = "") -> AsyncIterator[House]:
    """A hub that has the link of that name; `token` is its owner's, where it was there before."""
    async with living(folder, tls=True, mqtt_websocket_port=0) as hub:
        if token:
            hub.owner = hub.client(token)
        else:
            await hub.claim()
        made = await hub.owner.post("/api/homes", json={"name": "Cabin", "time_zone": "Europe/Berlin"})
        street = Street(hub, folder, authority)
        links: dict[str, Callable[[], Any]] = {
            "lan": lambda: Lan(hub),
            "mqtt": lambda: Mqtt(hub, street),
            "mqtt over websocket": lambda: Mqtt(hub, street, "websockets"),
            "mqtt with a certificate": lambda: Certified(hub, street),
            "https": lambda: Https(hub),
            "https by token": lambda: HttpsToken(hub),
            "heartbeat": lambda: Heartbeat(hub),
        }
        yield House(hub, links[name](), made.json()["id"])


# What was taken away stays so when the hub starts anew.
TAKEN_AWAY: Final = ("renewed", "reset", "reset and forgotten", "removed", "frozen")


@pytest.mark.parametrize("name", EXPECTED)
async def test_nobody_comes_in_by_what_is_not_theirs(name: str, tmp_path: Path) -> None:
    folder, authority, expected = tmp_path / "hub", Authority(tmp_path), EXPECTED[name]
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / AUTHORITIES).write_bytes, authority.pem)
    outcomes, tried = dict[str, str](), dict[str, Lamp]()
    async with house_with(name, folder, authority) as house:
        troubles = house.troubles()
        assert troubles.keys() == expected.keys()
        for trouble, why in expected.items():
            if isinstance(why, NotHere):
                continue
            before = len(house.lamps)
            outcomes[trouble] = await troubles[trouble]()
            tried[trouble] = house.lamps[before]
        assert outcomes == {trouble: expected[trouble] for trouble in tried}
        assert await house.believed() == []
        right = await house.lamp()
        assert await house.link.knock(right, right.credential) == IN
        assert await house.believed() == [right.wire_id]
        token, lamps = house.hub.owner.headers["authorization"].removeprefix("Bearer "), house.lamps
    async with house_with(name, folder, authority, token) as house:
        house.lamps = lamps
        again = [each for each in TAKEN_AWAY if each in tried]
        outcomes = {each: await house.link.knock(tried[each], tried[each].credential) for each in again}
        assert outcomes == {each: expected[each] for each in again}
        assert await house.believed() == [right.wire_id]
        assert await house.link.knock(right, right.credential) == IN
