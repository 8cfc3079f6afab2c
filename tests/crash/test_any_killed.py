"""A hub is killed while it tries whatever works: it goes on where it was, with the token it had, to one whole lamp."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.onboarding.service import Onboarding
from app.virtual.camera import Camera
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from app.virtual.station import ListedNetworks
from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, Method, SearchContext
from pairing.methods.over_lan import OverLan
from pairing.methods.qr_shown import QrShown
from pairing.qr import camera
from pairing.wifi import WifiNetwork
from tests.crash.killing import PIN, TIMES, Phone, Trap, back_and_whole, killed_at
from tests.e2e.living import Living

SSID, PASSWORD = "Lindenweg", "correct horse battery"
WIFI = (Input(name="ssid"), Input(name="wifi_password", secret=True), TOKEN)


class Unheard:
    """Says "ez", and that nobody understands it."""

    name = "ez"
    inputs = WIFI
    follows: Follows | None = None

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        raise NotImplementedError


class ByPhone:
    """Says "ap": the phone tells the device its network, which is heard on the LAN then."""

    name = "ap"
    inputs = WIFI
    follows: Follows | None = Follows(methods=("ez",), after=0.3)

    def __init__(self, lan: OverLan) -> None:
        self._lan = lan

    async def search(self, context: SearchContext) -> None:
        await self._lan.hear(context, self.name)

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)


def have_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hub of this process has these two methods, over its own LAN."""
    inner = Onboarding.open

    async def opened(onboarding: Onboarding, methods: Sequence[Method]) -> int:
        (lan,) = [method._lan for method in methods if isinstance(method, QrShown)]
        return await inner(onboarding, [Unheard(), ByPhone(lan)])

    monkeypatch.setattr(Onboarding, "open", opened)
    # What came onto the network while the hub was off is heard in less on loopback.
    monkeypatch.setattr("pairing.session.turns.HEAR_MS", 300)


class TellingPhone(Phone):
    """It tells the lamp what the session says, once it does."""

    def __init__(self, device: VirtualDevice, lens: Camera) -> None:
        super().__init__(device, {"method": "any", "ssid": SSID, "wifi_password": PASSWORD})
        self._lens = lens
        self._told: set[str] = set()

    async def pair(self, hub: Living) -> dict[str, Any]:
        telling = asyncio.create_task(self._tell(hub))
        try:
            return await super().pair(hub)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, hub: Living) -> None:
        while not self._told:
            (session,) = (await hub.owner.get(hub.pairing)).json()["items"] or [None]
            if session is not None:
                handover = await hub.owner.get(f"{hub.pairing}/{session['id']}/handover")
                if handover.status_code == 200:
                    told = handover.json()
                    network = WifiNetwork(told["ssid"], told["password"])
                    self._lens.see(camera.write(network, told["token"].encode()))
                    self._told.add(told["token"])
            await asyncio.sleep(0.02)


@asynccontextmanager
async def lamp_to_be_told(**how: Any) -> AsyncIterator[tuple[VirtualDevice, Camera]]:
    lens, station = Camera(), ListedNetworks({SSID: PASSWORD})
    place = Place(retry_first=0.05, retry_most=0.2)
    async with VirtualDevice(product_named("lamp"), place=place, setup=lens, station=station, **how) as device:
        await device.wait("setup")
        yield device, lens


MOMENTS = [
    ("created", {}),
    ("preparing", {}),
    ("Ready", {}),
    ("Due", {}),
    ("Heard", {}),
    ("asking", {"pin": PIN}),
    ("proving", {}),
    ("confirming", {}),
    ("Confirmed", {}),
    ("joining", {}),
    ("committed", {}),
    ("Registered", {}),
    ("joined", {}),
]
SAMPLE = [each for each in MOMENTS if each[0] in ("created", "Due", "asking", "confirming", "committed")]


async def killed_and_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str, how: dict[str, Any], after: float
) -> None:
    have_both(monkeypatch)
    trap = Trap(moment, folder / "data", after)
    trap.set_in(monkeypatch)
    async with lamp_to_be_told(**how) as (device, lens):
        phone = TellingPhone(device, lens)
        token = await killed_at(trap, phone)
        assert token is not None
        await back_and_whole(trap.kept, token, phone, device)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("pairing session")]


@pytest.mark.parametrize(("moment", "how"), SAMPLE, ids=lambda value: value if isinstance(value, str) else None)
async def test_killed_it_goes_on_with_the_methods_and_the_token_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, how: dict[str, Any]
) -> None:
    await killed_and_back(tmp_path, monkeypatch, moment, how, after=0.0)


@pytest.mark.full
@pytest.mark.parametrize(("moment", "how"), MOMENTS, ids=lambda value: value if isinstance(value, str) else None)
async def test_killed_again_and_again_in_each_state(tmp_path: Path, moment: str, how: dict[str, Any]) -> None:
    chance = Random(f"{moment} {how}")
    for time in range(TIMES):
        with pytest.MonkeyPatch.context() as monkeypatch:
            await killed_and_back(tmp_path / str(time), monkeypatch, moment, how, chance.uniform(0, 0.1))
