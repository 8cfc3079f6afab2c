"""Client and device of Improv on one connection: told a network, told a wrong one, and everything that goes wrong."""

from collections.abc import Callable

import pytest

from pairing.ap.setup import Connected, Failed, Reason, SeenNetwork
from pairing.errors import ConnectionLostError, MalformedMessageError, PairingError
from pairing.gatt import profile
from pairing.improv import messages
from pairing.improv.client import AuthorizationNeededError, ImprovSetup, RefusedCommandError, improv_setup
from pairing.improv.device import ImprovDevice, Inside, Notified
from pairing.improv.messages import Capability, Info, Packet, State, Verb
from pairing.wifi import Provisioned, WifiNetwork
from tests.pairing.gatt.table import Characteristic, TableConnection

HOME = WifiNetwork("home", "right-password")
TOKEN = b"DSa1b2c3d4WXYZ"
NETWORKS = (SeenNetwork("home", rssi=-40), SeenNetwork("café", rssi=-70, open=True))
INFO = Info("doorstep", "1.0", "virtual", "Lamp")


class Rig:
    """A device that joins `HOME` only, and a connection to it."""

    def __init__(self, *, authorized: bool = True, takes_token: bool = True, max_write: int = 20) -> None:
        self.told: list[Provisioned] = []
        self.identified = 0
        self.device = ImprovDevice(
            INFO, Inside(lambda: NETWORKS, self.told.append, self._identify), authorized=authorized
        )
        table = {
            name: Characteristic(messages.SERVICE, read=self._reader(name))
            for name in (messages.STATE, messages.ERROR, messages.CAPABILITIES, messages.RESULT)
        }
        table[messages.COMMAND] = Characteristic(messages.SERVICE, write=self._write)
        if takes_token:
            table[profile.TOKEN] = Characteristic(profile.SERVICE, write=self.device.take_token)
        self.connection = TableConnection(table, max_write)

    def _reader(self, name: str) -> Callable[[], bytes]:
        return lambda: self.device.read(name)

    def _identify(self) -> None:
        self.identified += 1

    def _write(self, part: bytes) -> None:
        known = len(self.told)
        self.notify(self.device.write(part))
        if len(self.told) > known:
            right = self.told[-1].network == HOME
            self.notify(self.device.joined("http://192.0.2.7/") if right else self.device.not_joined())

    def notify(self, values: list[Notified]) -> None:
        for characteristic, value in values:
            self.connection.notify(characteristic, value)


@pytest.mark.parametrize("max_write", [20, 244])
@pytest.mark.parametrize("takes_token", [True, False])
async def test_a_device_is_told_its_network(max_write: int, takes_token: bool) -> None:
    rig = Rig(takes_token=takes_token, max_write=max_write)
    async with improv_setup(rig.connection) as setup:
        assert await setup.identify()
        assert await setup.info() == INFO
        assert [network.ssid for network in await setup.scan()] == ["home", "café"]
        assert await setup.send(HOME, TOKEN) is takes_token
        assert await setup.status() == Connected()
        assert setup.redirect == "http://192.0.2.7/"
    assert rig.told == [Provisioned(HOME, TOKEN if takes_token else b"")]
    assert rig.identified == 1
    assert rig.device.state is State.PROVISIONED


async def test_a_wrong_password_and_then_the_right_one() -> None:
    rig = Rig()
    async with improv_setup(rig.connection) as setup:
        await setup.send(WifiNetwork("home", "wrong-password"), TOKEN)
        assert await setup.status() == Failed(Reason.AUTH)
        await setup.send(HOME, TOKEN)
        assert await setup.status() == Connected()


async def test_a_device_whose_button_must_be_pressed() -> None:
    rig = Rig(authorized=False)
    async with improv_setup(rig.connection) as setup:
        with pytest.raises(AuthorizationNeededError):
            await setup.send(HOME, TOKEN)
        assert rig.told == []
        rig.notify(rig.device.authorize())
        await setup.send(HOME, TOKEN)
        assert await setup.status() == Connected()


async def test_a_device_that_knows_no_more_than_revision_1_0() -> None:
    rig = Rig()
    rig.device.capabilities = Capability.NONE
    async with improv_setup(rig.connection) as setup:
        assert not await setup.identify()
        assert await setup.info() is None
        assert await setup.scan() == ()
        await setup.send(HOME, b"")
        assert await setup.status() == Connected()


async def test_a_device_that_drops_while_it_joins() -> None:
    rig = Rig(max_write=244)
    async with improv_setup(rig.connection) as setup:
        rig.connection._table[messages.COMMAND].write = lambda _: rig.connection.drop()
        await setup.send(HOME, TOKEN)
        with pytest.raises(ConnectionLostError):
            await setup.status()


async def test_a_device_that_refuses_what_it_was_asked() -> None:
    rig = Rig()
    async with improv_setup(rig.connection) as setup:
        rig.connection._table[messages.COMMAND].write = lambda _: rig.connection.notify(messages.ERROR, b"\xff")
        await setup.send(HOME, TOKEN)
        with pytest.raises(RefusedCommandError, match="unknown"):
            await setup.status()


async def test_a_device_that_floods_is_not_kept() -> None:
    rig = Rig()
    setup = ImprovSetup(rig.connection)
    await setup.open()
    for _ in range(1000):
        rig.connection.notify(messages.RESULT, messages.pack(Packet(9)))
    assert setup._results.qsize() <= 16


@pytest.mark.parametrize("state", [b"", b"\x09", b"\x01\x02"])
async def test_nonsense_where_the_state_should_be(state: bytes) -> None:
    rig = Rig()
    rig.connection._table[messages.STATE].read = lambda: state
    with pytest.raises(MalformedMessageError):
        async with improv_setup(rig.connection):
            raise AssertionError("opened")


def test_commands_a_device_does_not_do() -> None:
    rig = Rig()

    def errors(packet: bytes) -> list[int]:
        return [value[0] for name, value in rig.device.write(packet) if name == messages.ERROR]

    assert errors(messages.pack(Packet(99)))[-1] == messages.Error.UNKNOWN_COMMAND
    assert errors(b"\x01\x00\x00")[-1] == messages.Error.INVALID_PACKET
    assert errors(messages.pack(Packet(Verb.WIFI, (b"only one",))))[-1] == messages.Error.INVALID_PACKET
    assert errors(messages.pack(Packet(Verb.WIFI, (b"home", b"short"))))[-1] == messages.Error.INVALID_PACKET
    assert errors(messages.pack(Packet(Verb.HOSTNAME, (b"-bad-",))))[-1] == messages.Error.BAD_HOSTNAME
    assert errors(messages.pack(Packet(Verb.HOSTNAME, (b"lamp-1",)))) == [messages.Error.NONE]
    with pytest.raises(PairingError):
        rig.device.take_token(b"short")
