"""A code is shown, a camera sees it, its device joins and is brought in: real pictures, mDNS and TCP on loopback."""

import asyncio
import io
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import zxingcpp
from PIL import Image

from app.devices.product.catalogue import built_in
from app.virtual.camera import Camera, NotLooking
from app.virtual.device import VirtualDevice
from app.virtual.station import ListedNetworks
from pairing.methods.qr_shown import QrShown, code_of
from pairing.qr import UnreadableCodeError, camera, picture
from pairing.session.runner import MethodUnavailableError
from pairing.session.states import Request, SessionState, State
from pairing.token import make_token
from pairing.wifi import WifiNetwork
from tests.pairing.methods.hub import MethodHub

LAMP = built_in().get("lamp")
HOME = {"Lindenweg ☕": "correct horse battery"}
SSID, PASSWORD = next(iter(HOME.items()))
PATIENCE = 30.0


class Hub(MethodHub):
    def __init__(self, *, hint_after: float = 45.0, patience: float = 300.0) -> None:
        self.mine: set[str] = set()
        super().__init__(lambda lan: QrShown(lan, hint_after=hint_after, patience=patience), self.mine)

    async def start(self, password: str = PASSWORD, ssid: str = SSID) -> str:
        request = Request(home="h-1", account="a-1", method="qr_shown", inputs={"ssid": ssid})
        return (await self.runner.start(request, {"wifi_password": password} if password else {})).id

    def shown(self, session_id: str) -> str:
        """What a phone shows, as a camera reads it."""
        state = self.log.state(session_id)
        drawn = picture.png(code_of(state.request, self.log.secrets[session_id]))
        (seen,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(drawn)))
        return str(seen.text)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    async with asyncio.timeout(PATIENCE):
        yield made
        await made.runner.close()


@asynccontextmanager
async def doorbell(hub: Hub) -> AsyncIterator[tuple[VirtualDevice, Camera]]:
    """A device with a camera, in setup mode."""
    assert LAMP is not None
    eye = Camera()
    async with VirtualDevice(LAMP, setup=eye, station=ListedNetworks(HOME)) as device:
        await device.wait("setup")
        hub.mine.add(device.id)
        yield device, eye


def keys(state: SessionState) -> list[str]:
    return [step.key for step in state.steps]


async def confirmed(hub: Hub, session_id: str) -> SessionState:
    """Say yes to the code when it comes; the session's end."""
    async for step in hub.runner.watch(session_id):
        if step.key == "confirm":
            await hub.runner.confirm(session_id, True)
    return hub.log.state(session_id)


async def test_what_sees_the_code_is_brought_in_and_nothing_else(hub: Hub) -> None:
    async with doorbell(hub) as (device, eye), doorbell(hub) as (other, other_eye):
        session_id = await hub.start()
        # This one was told the network by somebody else's code: it is on the LAN, and not meant.
        other_eye.see(camera.write(WifiNetwork(SSID, PASSWORD), make_token(secrets.token_bytes)))
        await other.wait("ready")
        eye.see(hub.shown(session_id))
        ended = await confirmed(hub, session_id)
        assert (ended.state, ended.failure) == (State.JOINED, None)
        assert [c.id for c in ended.candidates] == [device.id]
        assert keys(ended)[1] == "show_qr"
        await device.wait("paired")
        assert not other.state.paired


async def test_a_wrong_password_brings_nothing_and_a_right_code_afterwards_does(hub: Hub) -> None:
    async with doorbell(hub) as (device, eye):
        wrong = await hub.start("another password")
        eye.see(hub.shown(wrong))
        assert (await device.wait("not_joined")).details["reason"] == "wrong_password"
        await hub.runner.cancel(wrong)
        session_id = await hub.start()
        eye.see(hub.shown(session_id))
        assert (await confirmed(hub, session_id)).state is State.JOINED


async def test_a_code_that_was_shown_outlives_a_restart_of_the_hub(hub: Hub) -> None:
    async with doorbell(hub) as (device, eye):
        session_id = await hub.start()
        code = hub.shown(session_id)
        await hub.restart()
        assert hub.shown(session_id) == code
        eye.see(code)
        assert (await confirmed(hub, session_id)).state is State.JOINED
        await device.wait("paired")


async def test_the_person_is_told_where_nobody_comes() -> None:
    hub = Hub(hint_after=0.0, patience=0.2)
    async with asyncio.timeout(PATIENCE):
        session_id = await hub.start()
        await hub.runner.ended(session_id)
    ended = hub.log.state(session_id)
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.next_step) == ("code_not_seen", "show_code_again")
    assert "nothing_heard" in keys(ended)
    assert hub.log.secrets == {}
    await hub.runner.close()


@pytest.mark.parametrize(
    ("ssid", "password", "cause"),
    [("x" * 33, PASSWORD, "ssid_length"), (SSID, "short", "wifi_password_length")],
)
async def test_what_nobody_could_join_is_not_shown(hub: Hub, ssid: str, password: str, cause: str) -> None:
    session_id = await hub.start(password, ssid)
    await hub.runner.ended(session_id)
    ended = hub.log.state(session_id)
    assert ended.failure is not None
    assert cause in (ended.failure.cause, ended.failure.detail.get("code"))
    assert "show_qr" not in keys(ended)


async def test_without_a_network_there_is_nothing_to_show(hub: Hub) -> None:
    with pytest.raises(MethodUnavailableError, match="ssid"):
        await hub.runner.start(Request(home="h-1", account="a-1", method="qr_shown"))


async def test_neither_password_nor_token_is_in_what_is_kept_in_the_clear(hub: Hub) -> None:
    async with doorbell(hub) as (_, eye):
        session_id = await hub.start()
        secret = list(told(hub, session_id))
        eye.see(hub.shown(session_id))
        ended = await confirmed(hub, session_id)
    kept = hub.log.rows[session_id].decode() + repr(ended) + repr(hub.log.history[session_id])
    assert [each for each in secret if each in kept] == []


def told(hub: Hub, session_id: str) -> Iterator[str]:
    yield from hub.log.secrets[session_id].values()
    yield bytes.fromhex(hub.log.secrets[session_id]["token"]).decode()


async def test_a_camera_passes_by_what_is_not_for_it(hub: Hub) -> None:
    async with doorbell(hub) as (device, eye):
        for text in ("https://example.org/menu", "WIFI:T:WPA;S:Lindenweg;P:12345678;;", '{"s":"x","p":""}'):
            with pytest.raises(UnreadableCodeError):
                eye.see(text)
        session_id = await hub.start()
        code = hub.shown(session_id)
        for _ in range(100):
            eye.see(code)
        assert (await confirmed(hub, session_id)).state is State.JOINED
        await device.wait("paired")
        with pytest.raises(NotLooking):
            eye.see(code)
