"""Espressif's own client against our device, over real sockets; and ours against the same device."""

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from app.virtual import setup_http
from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connected
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.wifi import Provisioned, WifiNetwork
from tests import outside
from tests.pairing.protocomm import espressif
from tests.pairing.protocomm.provisioning import POP, TOKEN, Lamp

HOST = "127.0.0.1"
HOME = WifiNetwork("home", "secret-pass")
SCHEMES = pytest.mark.parametrize("scheme", [1, 2])


@pytest.fixture(scope="module")
def folder() -> Path:
    return outside.installed(outside.ESPRESSIF)


async def provision(folder: Path, port: int, scheme: int, pop: str) -> tuple[int, str]:
    """What the client ended with, and said."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        espressif.__file__,
        f"{HOST}:{port}",
        str(scheme),
        pop,
        HOME.ssid,
        HOME.password,
        env=outside.environment(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await program.communicate()
    assert program.returncode is not None
    return program.returncode, said.decode()


@SCHEMES
async def test_espressifs_client_provisions_our_device_and_so_does_ours(folder: Path, scheme: int) -> None:
    lamp = Lamp(scheme)
    async with setup_http.serving(lamp.device, HOST) as port:
        code, said = await provision(folder, port, scheme, POP)
        assert code == 0, said
        assert lamp.told == [Provisioned(HOME)]
        assert "status connected" in said
        assert [line for line in said.splitlines() if line.startswith("seen ")] == [f"seen Net {n}" for n in range(9)]
        async with HttpCarrier(HOST, port) as carrier:
            ours = ProtocommSetup(carrier.ask, Proof(POP), entropy=Random(5).randbytes)
            assert await ours.send(HOME, TOKEN) is True
            assert await ours.status() == Connected("192.0.2.7")
    assert lamp.told == [Provisioned(HOME), Provisioned(HOME, TOKEN)]


@SCHEMES
async def test_espressifs_client_is_refused_with_a_wrong_proof_of_possession(folder: Path, scheme: int) -> None:
    lamp = Lamp(scheme)
    async with setup_http.serving(lamp.device, HOST) as port:
        code, said = await provision(folder, port, scheme, "abcd1235")
    assert (code, lamp.told) == (1, []), said
    assert "refused Server responded with error code 403" in said or "refused Connection Failure" in said, said
