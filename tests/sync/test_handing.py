"""Two hubs of one home, and devices that go from one to the other by themselves: over real links, without pairing."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.caller import BY_SYSTEM
from app.devices.model import LAN, Device, NewDevice
from app.links.lan import LanLink
from app.virtual.device import VirtualDevice
from app.virtual.memory import KeptState, MemoryStore
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.device import Binding
from pairing.identity import Identity
from pairing.messages import Child, Hello, HubCard
from tests.sync.sealing.estate import Estate, Hub, estate
from tests.waiting import until

HASTY = Place(announced=False, retry_first=0.02, retry_most=0.1, astray_after=0.3)
LATE = Place(announced=False, retry_first=0.02, retry_most=0.1)


class House:
    """`one` and `two` serve the home and listen for devices; the lamp is paired with `one`."""

    def __init__(self, home: Estate) -> None:
        self.home = home
        self.links: dict[str, LanLink] = {}
        self.disk = MemoryStore()
        self.lamp = ""

    async def listen(self, hub: Hub) -> None:
        """Devices reach it from now on, and it says so in its home."""
        services = hub.api.services
        identity = await services.hub.identity()
        link = LanLink(identity, services.lan.peer, services.lan, hub.api.store.clock)
        port = await link.start("127.0.0.1", 0)
        services.lan.link = self.links[hub.id] = link
        card = HubCard(identity.public, hub.api.services.hub.view().name, (("127.0.0.1", port),))
        await services.hub_cards.open(lambda: card, services.sync.replica)

    async def deaf(self, hub: Hub) -> None:
        """It is off, as far as devices are concerned."""
        await self.links.pop(hub.id).stop()
        hub.api.services.lan.link = None

    async def close(self) -> None:
        for link in self.links.values():
            await link.stop()

    async def pair(self, product: str = "lamp", link: str = LAN) -> str:
        """A device that `one` has; its disk says so, too."""
        one, identity = self.home.one, Identity.generate(secrets.token_bytes)
        own = one.api.services.hub_cards.get(self.home.home, one.id)
        assert own is not None
        new = NewDevice(
            home_id=self.home.home,
            hardware_id=identity.device_id,
            product_id=product,
            public_key=identity.public,
            credential=secrets.token_bytes(32),
            link=link,
        )
        device = await one.api.store.write(lambda tx: one.api.services.devices.bind_in(tx, BY_SYSTEM, new))
        credential, epoch = new.credential or b"", device.owner_epoch
        binding = Binding(one.id, own.key, own.name, own.endpoints, credential, "b", epoch=epoch, time=0)
        self.disk.save(KeptState(identity, active=binding))
        await self.home.level()
        self.lamp = device.id
        return device.id

    def device(self, place: Place = LATE) -> VirtualDevice:
        """The lamp, switched on."""
        return VirtualDevice(product_named("lamp"), place=place, store=self.disk)

    async def hubs(self, hub: Hub) -> tuple[Any, Any]:
        """Who holds the lamp, and who stands by, as a hub has it."""
        shown = await hub.owner.get(f"/api/devices/{self.lamp}/hubs")
        assert shown.status_code == 200, shown.text
        return shown.json()["hub_id"], shown.json()["standby_id"]

    def row(self, hub: Hub) -> Device:
        """The device as a hub has it."""
        live = hub.api.services.devices.memory.get(self.lamp)
        assert live is not None
        return live.device

    async def change(self, hub: Hub, **fields: Any) -> tuple[int, str]:
        """What is answered to Anna, and why."""
        answer = await hub.owner.patch(f"/api/devices/{self.lamp}/hubs", json=fields)
        return answer.status_code, answer.json().get("code", "")

    async def stood_by(self, lamp: VirtualDevice) -> None:
        """`two` stands by for the lamp, which is at `one`; all of them have heard of it."""
        one, two = self.home.one, self.home.two
        await self.is_at(one)
        assert await self.change(one, standby_id=two.id) == (200, "")
        assert (await lamp.wait("hubs")).details == {"hub": one.id, "standby": two.id}
        await self.home.level()

    async def is_at(self, hub: Hub) -> None:
        """Return once the lamp is online there, and does what it is told there."""
        path = f"/api/devices/{self.lamp}"
        await until(lambda: hub.owner.get(path), lambda it: it.json()["online"])
        order = {"service": "light", "values": {"on": True}}
        done = await hub.owner.post(f"{path}/commands", params={"wait": 20}, json=order)
        assert done.json()["state"] == "answered", done.text


@asynccontextmanager
async def living(folder: Path, link: str = LAN) -> AsyncIterator[House]:
    """Two hubs that listen, and a lamp of the first one's."""
    async with estate(folder, "two", "three") as home, AsyncExitStack() as stack:
        house = House(home)
        stack.push_async_callback(house.close)
        await house.listen(home.one)
        await home.join()
        await house.listen(await home.attach("two"))
        assert (await home.admit(home.two, home.one)).status_code == 200
        await home.level()
        await house.pair(link=link)
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with living(tmp_path) as made:
        yield made


async def test_a_device_is_handed_over_over_its_link(house: House) -> None:
    one, two = house.home.one, house.home.two
    async with house.device() as lamp:
        await house.is_at(one)
        assert await house.change(one, hub_id=two.id) == (200, "")
        assert (await lamp.wait("hubs")).details == {"hub": two.id, "standby": one.id}
        # The other hub has not heard of it: the lamp comes again and again, and is let in as soon as it has.
        assert (await lamp.wait("unlinked")).details["hub"] == one.id
        for _ in range(2):
            assert (await lamp.wait("unlinked")).details["hub"] == two.id
        await house.home.level()
        await house.is_at(two)
        assert await house.hubs(one) == await house.hubs(two) == (two.id, one.id)
        assert not house.links[one.id].is_online(lamp.id)
        # And back again, asked for at the other.
        assert await house.change(two, hub_id=one.id) == (200, "")
        await house.home.level()
        await house.is_at(one)
        assert await house.hubs(two) == (one.id, two.id)


async def test_one_that_was_off_is_told_when_it_comes(house: House) -> None:
    one, two = house.home.one, house.home.two
    await house.home.level()
    # At the cloud, of which the hubs hear later.
    at_cloud = await house.home.at_cloud()
    changed = await at_cloud.patch(f"/api/devices/{house.lamp}/hubs", json={"hub_id": two.id})
    assert changed.status_code == 200, changed.text
    await house.home.level()
    async with house.device() as lamp:
        assert (await lamp.wait("hubs")).details == {"hub": two.id, "standby": one.id}
        await house.is_at(two)


async def test_who_stands_by_takes_over_without_a_cloud_and_hands_back(house: House) -> None:
    one, two = house.home.one, house.home.two
    async with house.device(HASTY) as lamp:
        await house.stood_by(lamp)
        await house.deaf(one)
        # Nobody talks with the cloud meanwhile.
        await house.is_at(two)
        assert await house.hubs(two) == (two.id, one.id)
        assert await house.hubs(one) == (one.id, two.id)
        await house.listen(one)
        await house.home.level()
        assert await house.hubs(one) == (two.id, one.id)
        await house.is_at(two)
        assert await house.change(one, hub_id=one.id) == (200, "")
        await house.home.level()
        await house.is_at(one)


async def test_a_hub_that_comes_back_with_an_old_word_is_told_the_newer_one(house: House) -> None:
    one, two = house.home.one, house.home.two
    async with house.device(HASTY) as lamp:
        await house.stood_by(lamp)
        await house.deaf(one)
        await house.is_at(two)
    # The lamp was off as `two` went away; `one` has not heard of any of it, and the lamp says by what it is bound.
    await house.deaf(two)
    await house.listen(one)
    own = one.api.services.hub_cards.get(house.home.home, one.id)
    state = house.disk.load()
    assert own is not None
    assert state is not None
    assert state.standby is not None
    assert (state.active and state.active.hub_id, state.standby.hub_id) == (two.id, one.id)
    house.disk.save(_reached_at(state, own))
    async with house.device(HASTY):
        await house.is_at(one)
    await house.home.level()
    assert house.row(one).owner_epoch == house.row(two).owner_epoch


def _reached_at(state: Any, card: HubCard) -> Any:
    """A device's disk on which the hub that stands by is found there."""
    return replace(state, standby=replace(state.standby, endpoints=card.endpoints))


async def test_who_stands_by_no_longer_is_forgotten(house: House) -> None:
    one, two = house.home.one, house.home.two
    async with house.device(HASTY) as lamp:
        await house.stood_by(lamp)
        assert await house.change(one, standby_id=None) == (200, "")
        assert (await lamp.wait("hubs")).details == {"hub": one.id, "standby": None}
        await house.change(one, standby_id=two.id)
        assert (await lamp.wait("hubs")).details == {"hub": one.id, "standby": two.id}
        await house.home.level()
        # A hub that is none of the home's any more is none for its devices.
        await house.home.detach("two")
        await house.home.level()
        assert (await lamp.wait("hubs")).details == {"hub": one.id, "standby": None}
        assert await house.change(one, hub_id=two.id) == (409, "hub_unfit")


async def test_a_hub_that_leaves_the_home_leaves_its_devices_to_who_stands_by(house: House) -> None:
    one, two = house.home.one, house.home.two
    async with house.device() as lamp:
        await house.stood_by(lamp)
        await house.home.detach("one")
        await house.home.level()
        await house.is_at(two)
        assert await house.hubs(two) == (two.id, one.id)
        assert lamp.state.active is not None
        assert (lamp.state.active.hub_id, lamp.state.standby) == (two.id, None)


async def test_a_hub_is_not_taken_out_with_devices_that_have_nobody_else_unless_they_are_to_be_reset(
    house: House,
) -> None:
    one, two, at_cloud = house.home.one, house.home.two, await house.home.at_cloud()
    path = f"/api/homes/{house.home.home}/hubs/{one.id}"
    # The home has three more of which nobody can be told: the lamp is the fourth.
    for standby, held in ((None, 4), (two.id, 3)):
        assert await house.change(one, standby_id=standby) == (200, "")
        await house.home.level()
        refused = await at_cloud.delete(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "hub_holds_devices")
        assert f"{held} devices" in refused.json()["detail"]
    # Who does not serve the home stands by for nobody.
    await house.home.detach("two")
    assert "4 devices" in (await at_cloud.delete(path)).json()["detail"]
    assert (await at_cloud.delete(path, params={"reset": "true"})).status_code == 204


async def test_one_that_was_off_as_its_hub_left_goes_there_too(house: House) -> None:
    two = house.home.two
    async with house.device() as lamp:
        await house.stood_by(lamp)
    await house.home.detach("one")
    await house.home.level()
    async with house.device(HASTY):
        await house.is_at(two)


async def test_who_stands_by_is_told_over_a_link_that_stands_wherever_it_was_asked_for(house: House) -> None:
    two, at_cloud = house.home.two, await house.home.at_cloud()
    async with house.device() as lamp:
        await house.is_at(house.home.one)
        await at_cloud.patch(f"/api/devices/{house.lamp}/hubs", json={"standby_id": two.id})
        await house.home.level()
        assert (await lamp.wait("hubs")).details["standby"] == two.id


@pytest.mark.parametrize(
    ("hubs", "epoch", "stays"),
    [
        # Its hub is gone; it was told a later word than this one has heard; that word is beyond belief.
        (("one", "two"), 1, True),
        (("two",), 2, True),
        (("two",), 1_002, False),
        # It was this one's before, and has not heard that it is no more; it says that it has nothing to do with it.
        (("two",), 1, False),
        (("one",), 1, False),
        # It can keep but one hub, and has come to this one.
        (None, 0, True),
    ],
)
async def test_whom_one_that_stands_by_takes_over(
    house: House, hubs: tuple[str, ...] | None, epoch: int, stays: bool
) -> None:
    one, two = house.home.one, house.home.two
    await house.change(one, standby_id=two.id)
    await house.home.level()
    ids = None if hubs is None else tuple(house.home.hubs[name].id for name in hubs)
    hello = Hello("1.0", "lamp", hubs=ids, epoch=epoch)
    greeting = await two.api.services.lan.greet(house.row(two).hardware_id, hello)
    assert greeting.stays == stays
    assert await house.hubs(two) == ((two.id, one.id) if stays else (one.id, two.id))
    now = house.row(two).owner_epoch
    assert now == (max(1, epoch) + 1 if stays else 1)
    # What it can keep, and does not know better.
    is_told = hubs is not None and epoch <= now
    assert (None if greeting.hubs is None else greeting.hubs.epoch) == (now if is_told else None)


async def test_what_joined_while_its_gateway_changed_hubs_is_where_that_is(house: House) -> None:
    one, two, home = house.home.one, house.home.two, house.home
    await house.pair("gateway")
    gateway, services, hardware = house.lamp, one.api.services, house.row(one).hardware_id

    async def join(name: str) -> str:
        new = NewDevice(home_id=home.home, hardware_id=f"{hardware}/{name}", product_id="lamp", gateway_id=gateway)
        return (await one.api.store.write(lambda tx: services.devices.bind_in(tx, BY_SYSTEM, new))).id

    async def are_at(hub: Hub, *device_ids: str) -> None:
        await home.level()
        for at, house.lamp in ((at, it) for at in (one, two) for it in (gateway, *device_ids)):
            assert (await house.hubs(at))[0] == hub.id

    # The cloud has the other hub stand by for the gateway, while the first lets a bulb in that nobody stands by for.
    at_cloud = await home.at_cloud()
    await at_cloud.patch(f"/api/devices/{gateway}/hubs", json={"standby_id": two.id})
    bulb = await join("bulb")
    await home.level()
    assert (await house.hubs(two)) == (one.id, two.id)
    assert await two.api.store.write(lambda tx: two.api.services.devices.handing.take_over_in(tx, gateway))
    await are_at(two, bulb)
    # It goes back at the cloud, while the other hub lets another in: the gateway itself says that this one is with it.
    await at_cloud.patch(f"/api/devices/{gateway}/hubs", json={"hub_id": one.id})
    new = NewDevice(home_id=home.home, hardware_id=f"{hardware}/plug", product_id="plug", gateway_id=gateway)
    plug = (await two.api.store.write(lambda tx: two.api.services.devices.bind_in(tx, BY_SYSTEM, new))).id
    await are_at(one, bulb)
    house.lamp = plug
    assert (await house.hubs(one))[0] == two.id
    services.lan.gateways.up(hardware)
    await services.lan.gateways.child(hardware, Child("plug", "plug"))
    await are_at(one, bulb, plug)
    assert services.lan.gateways.child_of(hardware, "plug") is not None


async def test_one_that_was_handed_on_while_it_was_off_is_told_by_the_hub_it_knows(house: House) -> None:
    one, two = house.home.one, house.home.two
    assert await house.change(one, hub_id=two.id) == (200, "")
    assert await house.change(one, standby_id=None) == (200, "")
    await house.home.level()
    async with house.device() as lamp:
        assert (await lamp.wait("hubs")).details == {"hub": two.id, "standby": None}
        await house.is_at(two)


async def test_one_that_can_keep_one_hub_is_reset_as_that_leaves(house: House) -> None:
    one = house.home.one
    async with house.device() as lamp:
        await house.stood_by(lamp)
        # As a device of before there were several would have said.
        one.api.services.lan.up(lamp.id, Hello("1.0", "lamp"))
        await house.home.detach("one")
        await house.home.level()
        assert (await lamp.wait("reset")).details == {"by": "hub"}


async def test_a_take_over_that_was_refused_leaves_nothing_behind(house: House) -> None:
    one, two, home = house.home.one, house.home.two, house.home
    await house.change(one, standby_id=two.id)
    await home.level()
    await house.change(one, standby_id=None)
    await home.one.talk()
    # `two` has not heard that it stands by no longer.
    assert await two.api.store.write(lambda tx: two.api.services.devices.handing.take_over_in(tx, house.lamp, 7))
    assert (await house.hubs(two), house.row(two).owner_epoch) == ((two.id, one.id), 8)
    await home.level()
    assert (await house.hubs(two), house.row(two).owner_epoch) == ((one.id, None), 1)
    renamed = await two.owner.patch(f"/api/devices/{house.lamp}", json={"name": "Porch"})
    assert renamed.status_code == 200
    await home.level()
    assert house.row(one).name == "Porch"


async def test_a_hub_that_holds_it_by_an_older_word_says_a_later_one(house: House) -> None:
    one, two = house.home.one, house.home.two
    hello = Hello("1.0", "lamp", hubs=(two.id, one.id), epoch=5)
    greeting = await one.api.services.lan.greet(house.row(one).hardware_id, hello)
    assert greeting.stays
    assert greeting.hubs is not None
    assert (greeting.hubs.epoch, house.row(one).owner_epoch) == (6, 6)
    # So often, and no more: whoever comes with ever later words at once writes no log full.
    again = await one.api.services.lan.greet(house.row(one).hardware_id, replace(hello, epoch=9))
    assert (again.stays, house.row(one).owner_epoch) == (True, 6)
    await house.home.level()
    assert house.row(two).owner_epoch == 6


async def test_a_hub_that_leaves_its_cloud_can_hold_all_and_nobody_stands_by(house: House) -> None:
    one, two = house.home.one, house.home.two
    async with house.device() as lamp:
        await house.stood_by(lamp)
        await one.api.services.sync.leave_cloud()
        assert (await lamp.wait("hubs")).details["standby"] is None
    assert one.api.services.hub_cards.get(house.home.home, two.id) is None
    await one.api.store.write(lambda tx: tx.run("UPDATE devices SET holder=? WHERE id=?", (two.id, house.lamp)))
    assert await house.change(one, hub_id=one.id) == (200, "")
    assert await house.change(one, hub_id=two.id) == (409, "hub_unfit")


async def test_hubs_that_cannot_be_told_of_and_devices_that_cannot_be_told(house: House) -> None:
    one, two, home = house.home.one, house.home.two, house.home
    assert await house.change(one, hub_id="h-nobody") == (409, "hub_unfit")
    assert await house.change(one, standby_id=one.id) == (409, "hub_unfit")
    assert await house.change(one, hub_id=two.id, standby_id=None) == (409, "hub_unfit")
    assert await house.change(one, hub_id=two.id, standby_id=two.id) == (409, "hub_unfit")
    assert await house.change(one, hub_id=one.id) == (200, "")
    three = await home.attach("three")
    # It serves the home, and was not let in to its secrets: no device can be told of it.
    await house.listen(three)
    await home.level()
    assert await house.change(one, hub_id=three.id) == (409, "hub_unfit")
    sensor = next(it for it in one.api.services.devices.memory.in_place(home.home) if it.device.trust == "registered")
    refused = await one.owner.patch(f"/api/devices/{sensor.device.id}/hubs", json={"hub_id": two.id})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_handed_over")
    await one.owner.post(f"/api/devices/{house.lamp}/freeze")
    assert await house.change(one, hub_id=two.id) == (409, "device_frozen")


async def test_a_gateway_takes_along_what_is_behind_it(house: House) -> None:
    one, two, home = house.home.one, house.home.two, house.home
    await house.pair("gateway")
    gateway, services, hardware = house.lamp, one.api.services, house.row(one).hardware_id
    await house.change(one, standby_id=two.id)
    new = NewDevice(home_id=home.home, hardware_id=f"{hardware}/bulb", product_id="lamp", gateway_id=gateway)
    child = (await one.api.store.write(lambda tx: services.devices.bind_in(tx, BY_SYSTEM, new))).id
    await home.level()
    assert await two.api.store.write(lambda tx: two.api.services.devices.handing.take_over_in(tx, gateway, 0))
    await home.level()
    for hub in (one, two):
        for device_id in (gateway, child):
            house.lamp = device_id
            assert await house.hubs(hub) == (two.id, one.id)
    assert await house.change(two, hub_id=one.id) == (409, "behind_gateway")
    house.lamp = gateway
    assert await house.change(two, hub_id=one.id) == (200, "")
    house.lamp = child
    assert await house.hubs(two) == (one.id, two.id)
