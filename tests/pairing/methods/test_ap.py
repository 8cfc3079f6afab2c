"""AP mode whole: runner, setup network, virtual device, mDNS and TCP on loopback. Only the radio is pretended."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from app.devices.product.catalogue import built_in
from app.virtual.device import VirtualDevice
from app.virtual.setup_ap import ProtocommAp, TuyaAp
from app.virtual.station import ListedNetworks
from pairing.activation import Offer
from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.radio import NoSpareRadioError, SetupNetwork, SetupNetworkError, Speaks
from pairing.ap.setup import Connecting, SeenNetwork, Setup
from pairing.ap.tuya_setup import TuyaSetup
from pairing.identity import Identity
from pairing.methods.ap import Ap, Patience
from pairing.methods.over_lan import OverLan
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.session.causes import text
from pairing.session.runner import MethodUnavailableError, Runner
from pairing.session.states import Request, SessionState, State
from pairing.talk import Entropy
from pairing.testing import MemoryLog, MemoryRegistrar
from pairing.wifi import WifiNetwork

HOST = "127.0.0.1"
POP = "abcd1234"
PRODUCT = built_in().get("lamp")
NO_WIFI = "The hub has no Wi-Fi interface."
HOME = {"ssid": "Home ☕"}
PASSWORD = "the password"
LAMP = SetupNetwork("PROV_lamp", 70, True, "/ap/1")
QUICK = Patience(finding=0.0, between=0.0, joining=20.0, asking=0.05, announcing=20.0, phone=20.0)


@dataclass
class PretendedRadio:
    """A spare interface that sees `sees`, and is on what it joins at once."""

    sees: tuple[SetupNetwork, ...] = (LAMP, SetupNetwork("Home ☕", 90, False))
    refuses: str = ""
    interface: str = ""
    joined_now: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)

    async def networks(self) -> tuple[SetupNetwork, ...]:
        return self.sees

    @asynccontextmanager
    async def joined(self, network: SetupNetwork, password: str = "") -> AsyncIterator[None]:
        if self.refuses:
            raise SetupNetworkError(self.refuses)
        self.joined_now.append(network.ssid)
        self.passwords.append(password)
        try:
            yield
        finally:
            self.joined_now.remove(network.ssid)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator["PretendedRadio"]:
        yield self


@asynccontextmanager
async def no_radio(why: str = NO_WIFI) -> AsyncIterator[PretendedRadio]:
    if why:
        raise NoSpareRadioError(why)
    yield PretendedRadio()


class Hub:
    """One hub that pairs by AP; `ap` is the setup network it finds behind whatever it joins."""

    def __init__(self, ap: ProtocommAp | TuyaAp, radio: PretendedRadio | None, patience: Patience = QUICK) -> None:
        self.ap = ap
        self.log = MemoryLog()
        ids = count(1)
        method = Ap(
            OverLan(Identity.generate(secrets.token_bytes), self._offer, entropy=secrets.token_bytes),
            radios=radio.lent if radio else no_radio,
            setups=self._setup,
            patience=patience,
        )
        self.runner = Runner(
            log=self.log,
            registrar=MemoryRegistrar(),
            methods=[method],
            now=lambda: time.time_ns() // 1_000_000,
            new_id=lambda: f"s-{next(ids)}",
        )

    async def _offer(self, session_id: str, attempt: int) -> Offer:
        return Offer(
            hub_name="Home",
            endpoints=((HOST, 8471),),
            credential=secrets.token_bytes(32),
            binding_id=f"{session_id}-{attempt}",
            time=1_700_000_000_000,
        )

    @asynccontextmanager
    async def _setup(self, speaks: Speaks, _interface: str, proof: Proof, entropy: Entropy) -> AsyncIterator[Setup]:
        if speaks == "tuya":
            yield TuyaSetup((HOST,), port=self.ap.port)
            return
        async with HttpCarrier(HOST, self.ap.port) as carrier:
            yield ProtocommSetup(carrier.ask, proof, entropy=entropy, reach_patience=0.0)

    async def start(self, inputs: Mapping[str, str] = HOME, **secret: str) -> str:
        given = {"wifi_password": PASSWORD, "pop": POP} | secret
        request = Request(home="h-1", account="a-1", method="ap", inputs=dict(inputs))
        return (await self.runner.start(request, given)).id

    async def pair(self, inputs: Mapping[str, str] = HOME, **secret: str) -> SessionState:
        """The session at its end; a code is confirmed when it is shown."""
        session = await self.start(inputs, **secret)
        return await self.follow(session)

    async def follow(self, session: str) -> SessionState:
        async with asyncio.timeout(40):
            async for step in self.runner.watch(session):
                if step.key == "confirm" and step.attempt:
                    await self.runner.confirm(session, True, step.attempt)
        return self.log.state(session)

    async def see(self, session: str, key: str) -> dict[str, str]:
        async with asyncio.timeout(30):
            async for step in self.runner.watch(session):
                if step.key == key:
                    return step.detail
        raise AssertionError(key)


@dataclass
class House:
    stack: AsyncExitStack

    async def lamp(self, ap: ProtocommAp | TuyaAp) -> VirtualDevice:
        """A lamp in its setup network."""
        assert PRODUCT is not None
        station = ListedNetworks({"Home ☕": PASSWORD})
        lamp = await self.stack.enter_async_context(VirtualDevice(PRODUCT, setup=ap, station=station))
        await lamp.wait("setup")
        return lamp

    def hub(self, ap: ProtocommAp | TuyaAp, radio: PretendedRadio | None, **more: Any) -> Hub:
        hub = Hub(ap, radio, **more)
        self.stack.push_async_callback(hub.runner.close)
        return hub


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack)


def keys(state: SessionState) -> list[str]:
    return [step.key for step in state.steps]


@pytest.mark.parametrize("scheme", [1, 2])
async def test_a_hub_with_a_spare_radio_brings_a_device_in(house: House, scheme: int) -> None:
    ap, radio = ProtocommAp(Proof(POP), scheme=scheme, networks=[SeenNetwork("Home ☕")]), PretendedRadio()
    lamp = await house.lamp(ap)
    ended = await house.hub(ap, radio).pair()
    assert ended.state is State.JOINED, ended.failure
    assert ended.devices == (f"home-{lamp.id}",)
    assert "wifi_not_in_its_sight" not in keys(ended)
    told = [key for key in keys(ended) if key in ("looking_for_setup_network", "joining_setup_network", "device_told")]
    assert told == ["looking_for_setup_network", "joining_setup_network", "device_told"]
    assert radio.joined_now == []


async def test_tuyas_older_way_brings_a_device_in(house: House) -> None:
    ap, radio = TuyaAp(port=0), PretendedRadio(sees=(SetupNetwork("SmartLife-1A2B"),))
    lamp = await house.lamp(ap)
    ended = await house.hub(ap, radio).pair()
    assert (ended.state, ended.devices) == (State.JOINED, (f"home-{lamp.id}",)), ended.failure
    assert radio.joined_now == []


async def test_without_a_spare_radio_the_phone_does_it_and_the_announcement_decides(house: House) -> None:
    ap = ProtocommAp(Proof(POP))
    lamp = await house.lamp(ap)
    hub = house.hub(ap, None)
    session = await hub.start()
    assert await hub.see(session, "no_spare_radio") == {"reason": NO_WIFI}
    told = await hub.see(session, "phone_local")
    assert told["setup_ssid"] == "PROV_* ESP_* Doorstep-* SmartLife-*"
    assert (told["protocomm"], told["tuya"]) == ("192.168.4.1:80", "192.168.175.1:6669")
    assert PASSWORD not in str(told)
    token = bytes.fromhex(hub.log.secrets[session]["token"])
    assert token.decode() not in str(told)
    assert token.hex() not in str(told)
    async with HttpCarrier(HOST, ap.port) as phone:
        setup = ProtocommSetup(phone.ask, Proof(POP), entropy=secrets.token_bytes)
        assert await setup.send(WifiNetwork("Home ☕", PASSWORD), token) is True
        while isinstance(await setup.status(), Connecting):
            await asyncio.sleep(0.05)
    ended = await hub.follow(session)
    assert (ended.state, ended.devices) == (State.JOINED, (f"home-{lamp.id}",)), ended.failure


async def test_a_named_setup_network_is_told_to_the_phone_with_what_is_spoken_there(house: House) -> None:
    hub = house.hub(TuyaAp(port=0), None)
    session = await hub.start(HOME | {"setup_ssid": "SmartLife-1A2B"})
    told = await hub.see(session, "phone_local")
    assert told == {"setup_ssid": "SmartLife-1A2B", "settings": "handover", "tuya": "192.168.175.1:6669"}


@pytest.mark.parametrize(
    ("inputs", "secret", "cause"),
    [
        ({"ssid": "Home ☕"}, {"wifi_password": "another password"}, "wifi_password_wrong"),
        ({"ssid": "Away"}, {}, "wifi_not_found"),
        ({"ssid": "Home ☕"}, {"pop": "abcd1235"}, "wrong_pop"),
        ({"ssid": "Home ☕", "username": "somebody"}, {}, "wrong_pop"),
        ({"ssid": "Home ☕", "security": "1"}, {}, "wrong_pop"),
    ],
)
async def test_why_a_device_did_not_join_is_said(
    house: House, inputs: dict[str, str], secret: dict[str, str], cause: str
) -> None:
    ap, radio = ProtocommAp(Proof(POP), networks=[SeenNetwork("Home ☕")]), PretendedRadio()
    await house.lamp(ap)
    ended = await house.hub(ap, radio).pair(inputs, **secret)
    assert ended.failure is not None
    assert ended.failure.cause == cause
    assert ("wifi_not_in_its_sight" in keys(ended)) is (inputs["ssid"] == "Away")
    assert radio.joined_now == []


async def test_after_a_wrong_password_the_device_takes_the_right_one_unreset(house: House) -> None:
    ap, radio = ProtocommAp(Proof(POP)), PretendedRadio()
    lamp = await house.lamp(ap)
    hub = house.hub(ap, radio)
    assert (await hub.pair(wifi_password="another password")).state is State.FAILED
    assert (await hub.pair()).devices == (f"home-{lamp.id}",)


@pytest.mark.parametrize(
    ("radio", "inputs", "cause"),
    [
        (PretendedRadio(sees=()), {}, "setup_network_not_found"),
        (PretendedRadio(), {"setup_ssid": "PROV_other"}, "setup_network_not_found"),
        (PretendedRadio(refuses="not_found"), {}, "setup_network_not_found"),
        (PretendedRadio(refuses="password"), {}, "setup_password_wrong"),
        (PretendedRadio(refuses="no_address"), {}, "setup_network_failed"),
        (PretendedRadio(sees=(LAMP, SetupNetwork("SmartLife-1A2B"))), {}, "several_setup_networks"),
    ],
)
async def test_why_a_setup_network_was_of_no_use_is_said(
    house: House, radio: PretendedRadio, inputs: dict[str, str], cause: str
) -> None:
    ended = await house.hub(TuyaAp(port=0), radio).pair(HOME | inputs)
    assert ended.failure is not None
    assert ended.failure.cause == cause
    assert "?" not in text(ended.failure)


async def test_a_device_that_joined_and_is_not_heard_is_told_from_one_that_did_not(house: House) -> None:
    short = Patience(finding=0.0, joining=5.0, asking=0.01, announcing=0.0)
    ap = ProtocommAp(Proof(POP), takes_token=False)
    await house.lamp(ap)
    ended = await house.hub(ap, PretendedRadio(), patience=short).pair()
    assert ended.failure is not None
    assert ended.failure.cause == "joined_never_announced"
    ended = await house.hub(TuyaAp(port=1), PretendedRadio(sees=(SetupNetwork("SmartLife-1"),)), patience=short).pair()
    assert ended.failure is not None
    assert ended.failure.cause == "decoded_never_joined"


@pytest.mark.parametrize("network", [{"ssid": "x" * 33}, {"ssid": ""}, {"ssid": "Home", "bssid": "nonsense"}])
async def test_no_device_is_told_what_it_could_not_join(house: House, network: dict[str, str]) -> None:
    radio = PretendedRadio()
    ended = await house.hub(TuyaAp(port=0), radio).pair(network)
    assert ended.state is State.FAILED
    assert radio.passwords == []


async def test_it_cannot_start_without_a_network(house: House) -> None:
    with pytest.raises(MethodUnavailableError):
        await house.hub(TuyaAp(port=0), PretendedRadio()).start({})


@pytest.mark.parametrize(
    "step", ["looking_for_setup_network", "joining_setup_network", "telling_device", "device_told"]
)
async def test_cancelled_at_any_step_it_leaves_the_setup_network(house: House, step: str) -> None:
    patience = Patience(finding=60.0, between=0.01, joining=60.0, asking=60.0, announcing=60.0)
    seen = () if step == "looking_for_setup_network" else (LAMP,)
    ap, radio = ProtocommAp(Proof(POP)), PretendedRadio(sees=seen)
    await house.stack.enter_async_context(ap.open())
    tasks = asyncio.all_tasks()
    hub = house.hub(ap, radio, patience=patience)
    session = await hub.start()
    await hub.see(session, step)
    await hub.runner.cancel(session)
    async with asyncio.timeout(20):
        await hub.runner.ended(session)
    assert hub.log.state(session).state is State.CANCELLED
    assert radio.joined_now == []
    await hub.runner.close()
    ours = {task for task in asyncio.all_tasks() - tasks if "setup_http" not in repr(task)}
    assert ours == set()
