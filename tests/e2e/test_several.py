"""Three lamps are told a network and the session's token at once: each joins, or does not, by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from app.virtual.camera import Camera
from app.virtual.device import VirtualDevice
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.process import product_named
from app.virtual.station import ListedNetworks
from tests.e2e.living import WAIT, Living, living

SSID, PASSWORD = "Lindenweg", "correct horse battery"
ENDS = ("joined", "failed", "cancelled", "expired")


@asynccontextmanager
async def shown_a_code(text: str, name: str, how: Misbehaviour | None = None) -> AsyncIterator[VirtualDevice]:
    camera, station = Camera(), ListedNetworks({SSID: PASSWORD})
    async with VirtualDevice(product_named("lamp"), name=name, setup=camera, station=station, how=how) as device:
        await device.wait("setup")
        camera.see(text)
        await device.wait("ready")
        yield device


async def waits(hub: Living, path: str, number: int) -> dict[str, Any]:
    """The session once so many of its attempts wait for their code to be confirmed."""
    async with asyncio.timeout(WAIT):
        while True:
            session = await hub.until(path, "searching", "confirming", "proving", "joining", *ENDS)
            if sum(one["state"] == "confirming" for one in session["attempts"]) == number:
                return session
            assert session["state"] not in ENDS, session["failure"]
            await asyncio.sleep(0.02)


async def test_two_join_and_the_one_that_cannot_prove_itself_holds_up_neither(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub, AsyncExitStack() as stack:
        await hub.claim()
        path = await hub.start_pairing(method="qr_shown", want=3, ssid=SSID, wifi_password=PASSWORD)
        code = (await hub.owner.get(f"{path}/qr", headers={"Accept": "text/plain"})).text
        liar = await stack.enter_async_context(shown_a_code(code, "Liar", Misbehaviour(wrong_proof=True)))
        lamps = [await stack.enter_async_context(shown_a_code(code, name)) for name in ("Left", "Right")]
        session = await waits(hub, path, 2)
        codes = {one["candidate_id"]: (one["number"], one["code"]) for one in session["attempts"] if one["code"]}
        assert set(codes) == {lamp.id for lamp in lamps}
        for lamp in lamps:
            number, shown = codes[lamp.id]
            assert (await lamp.wait("code")).details["code"] == shown
            await hub.owner.post(f"{path}/confirm", json={"accepted": True, "attempt": number})
        await asyncio.gather(*(lamp.wait("paired") for lamp in lamps))
        await hub.owner.post(f"{path}/finish")
        ended = await hub.until(path, *ENDS)
        assert (ended["state"], len(ended["device_ids"])) == ("joined", 2)
        results = {each["name"]: (each["state"], each["cause"]) for each in ended["results"]}
        assert results == {"Left": ("joined", None), "Right": ("joined", None), "Liar": ("failed", "proof_failed")}
        assert ended["steps"][-1]["detail"]["causes"] == "proof_failed"
        assert not liar.state.paired
        assert [lamp.state.token for lamp in lamps] == [b"", b""]
