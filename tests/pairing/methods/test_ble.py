"""A lamp is brought in over Bluetooth LE with no network at all; only the radio is a table in memory."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ble.errors import Disconnected
from ble.radio import Advertisement, RadioState
from pairing.gatt import profile
from pairing.gatt.device import GattDevice, Inside
from pairing.methods.ble import Ble
from pairing.session.states import Request, SessionState, State
from tests.pairing.gatt.table import Characteristic, TableConnection, TableRadio
from tests.pairing.methods.hub import MethodHub
from tests.pairing.methods.lamp import Lamp

PATIENCE = 30.0


class Bulb(Lamp):
    """A lamp on a radio: heard at `address`, connected to by whoever is in reach."""

    def __init__(self, radio: TableRadio, address: str, *, pin: str | None = None) -> None:
        super().__init__(pin=pin)
        self.radio = radio
        self.address = address
        self.claims = self.identity.fingerprint
        self.halves: list[GattDevice] = []
        radio.devices[address] = self.connected

    def advertise(self) -> None:
        data = profile.announcement(self.claims, paired=self.state.paired, pin=self.pin is not None)
        self.radio.advertise(Advertisement(address=self.address, name="Bulb", service_data={profile.SERVICE: data}))

    def connected(self) -> TableConnection:
        async def notify(characteristic: str, value: bytes) -> None:
            if not connection.connected:
                raise Disconnected
            connection.notify(characteristic, value)

        inside = Inside(self.claims, self._connected, self._no_link, lambda _: None)
        half = GattDevice(inside, notify, lambda: 244)
        self.halves.append(half)

        def writing(name: str) -> Callable[[bytes], None]:
            return lambda data: half.write(name, data)

        stream = profile.ACTIVATION
        table = {
            profile.WHO: Characteristic(profile.SERVICE, read=lambda: half.read(profile.WHO)),
            stream.to_device: Characteristic(profile.SERVICE, write=writing(stream.to_device)),
            stream.from_device: Characteristic(profile.SERVICE, subscribed=lambda: half.subscribed(stream.from_device)),
        }
        connection = TableConnection(table, 244)
        connection.on_disconnect(half.disconnected)
        return connection

    async def _no_link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def close(self) -> None:
        for half in self.halves:
            await half.close()


class Hub(MethodHub):
    def __init__(self, radio: TableRadio) -> None:
        self.radio = radio
        super().__init__(lambda lan: Ble(lan, radio, patience=20.0, lost_after=10.0), set())

    async def start(self, device: str | None = None, **secret: str) -> str:
        request = Request(home="h-1", account="a-1", method="ble", device=device)
        return (await self.runner.start(request, secret)).id

    async def ended(self, session_id: str, *bulbs: Bulb) -> SessionState:
        """The session's end; the bulbs advertise once it listens, and a code is compared when it is asked for."""
        while not self.radio.listened_to and not self.log.state(session_id).state.terminal:
            await asyncio.sleep(0)
        for bulb in bulbs:
            bulb.advertise()
        async for step in self.runner.watch(session_id):
            if step.key == "confirm":
                codes = {bulb.code for bulb in bulbs}
                await self.runner.confirm(session_id, self.log.state(session_id).attempts[-1].code in codes)
        return self.log.state(session_id)


@pytest.fixture
async def radio() -> TableRadio:
    return TableRadio()


@pytest.fixture
async def hub(radio: TableRadio) -> AsyncIterator[Hub]:
    made = Hub(radio)
    async with asyncio.timeout(PATIENCE):
        yield made
        await made.runner.close()
    assert not radio.listened_to
    assert not any(connection.connected for connection in radio.connections)


@asynccontextmanager
async def bulb_on(radio: TableRadio, *, pin: str | None = None, address: str = "D0:01") -> AsyncIterator[Bulb]:
    bulb = Bulb(radio, address, pin=pin)
    try:
        yield bulb
    finally:
        await bulb.close()


@pytest.mark.parametrize("pin", [None, "12345678"])
async def test_a_lamp_is_brought_in(hub: Hub, radio: TableRadio, pin: str | None) -> None:
    async with bulb_on(radio, pin=pin) as bulb:
        ended = await hub.ended(await hub.start(**({"pin": pin} if pin else {})), bulb)
        assert ended.state is State.JOINED, ended
        assert ended.attempts[-1].trust == ("pin" if pin else "first-use")
        assert bulb.state.paired
        assert ended.attempts[-1].proved == bulb.id
        assert list(hub.registrar.homes.values()) == [f"home-{bulb.id}"]


async def test_a_wrong_pin_is_named(hub: Hub, radio: TableRadio) -> None:
    async with bulb_on(radio, pin="12345678") as bulb:
        session = await hub.start(pin="87654321")
        ended = await hub.ended(session, bulb)
        assert ended.attempts[-1].failure is not None
        assert ended.attempts[-1].failure.cause == "wrong_pin"
        assert not bulb.state.paired
        await hub.runner.cancel(session)


async def test_one_that_wears_another_s_mark_is_found_out(hub: Hub, radio: TableRadio) -> None:
    async with bulb_on(radio) as bulb:
        bulb.claims = secrets.token_bytes(15)
        session = await hub.start()
        ended = await hub.ended(session, bulb)
        assert ended.attempts[-1].failure is not None
        assert ended.attempts[-1].failure.cause == "proof_failed"
        assert not bulb.state.paired


async def test_the_device_asked_for_by_id_and_no_other(hub: Hub, radio: TableRadio) -> None:
    async with bulb_on(radio) as mine, bulb_on(radio, address="D0:02") as other:
        session = await hub.start(device=mine.id)
        ended = await hub.ended(session, mine, other)
        assert ended.state is State.JOINED, ended
        assert mine.state.paired
        assert not other.state.paired


async def test_out_of_reach_when_it_is_connected_to(hub: Hub, radio: TableRadio) -> None:
    async with bulb_on(radio) as bulb:
        del radio.devices[bulb.address]
        session = await hub.start()
        ended = await hub.ended(session, bulb)
        assert ended.attempts[-1].failure is not None
        assert ended.attempts[-1].failure.cause == "device_silent"


async def test_no_bluetooth_is_said_at_once(hub: Hub, radio: TableRadio) -> None:
    radio.state = RadioState(usable=False, reason="no_adapter", sentence="There is no Bluetooth adapter.")
    ended = await hub.ended(await hub.start())
    assert ended.state is State.FAILED
    assert ended.failure is not None
    assert ended.failure.cause == "radio_off"
    assert ended.failure.detail["reason"] == "There is no Bluetooth adapter."


def test_what_is_not_ours_is_not_heard() -> None:
    def heard(data: bytes) -> object:
        return profile.announced_by(Advertisement(address="x", service_data={profile.SERVICE: data}))

    assert heard(b"") is None
    assert heard(bytes(9)) is None
    assert heard(bytes(11)) is None
    lamp = Lamp()
    found = profile.announced_by(
        Advertisement(
            address="x",
            service_data={profile.SERVICE: profile.announcement(lamp.identity.fingerprint, paired=True, pin=False)},
        )
    )
    assert found is not None
    assert lamp.id.startswith(found.mark)
    assert (found.paired, found.pin) == (True, False)
