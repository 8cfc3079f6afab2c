"""`doorstep pair` with codes: one shown to a camera, one read off a label; and `doorstep wifi`, which it fills."""

import asyncio
import json
from pathlib import Path
from typing import Any

from app.commands.child import Child, ChildEnded, HubProcess
from tests.e2e.claimed import hub, pair
from tests.e2e.seeing import picture_of, seeing
from tests.e2e.verbs import command

__all__ = ["hub"]

SSID, PASSWORD = "Lindenweg ☕", "correct horse battery"
WIFI = ("--wifi", f"{SSID}={PASSWORD}")


def told(password: str) -> dict[str, str]:
    return {"DOORSTEP_WIFI_PASSWORD": password}


async def session_path(hub: HubProcess) -> str:
    """The newest session of the hub's one home."""
    async with hub.client(hub.ready["token"]) as api:
        (home,) = [home async for home in api.pages("/api/homes")]
        path = f"/api/homes/{home['id']}/pairing"
        return f"{path}/{(await api.get(path))['items'][0]['id']}"


async def known(hub: HubProcess) -> list[dict[str, Any]]:
    """The networks the home knows."""
    async with hub.client(hub.ready["token"]) as api:
        (home,) = [home async for home in api.pages("/api/homes")]
        return [network async for network in api.pages(f"/api/homes/{home['id']}/networks")]


async def shown(hub: HubProcess, pairing: Child) -> str:
    """What the picture says, which is what the command was told."""
    line: dict[str, Any] = {}
    while "show" not in line:
        line = await pairing.line()
        assert "error" not in line, line
    assert await picture_of(hub, f"{await session_path(hub)}/qr") == line["show"]
    return str(line["show"])


async def until_ended(pairing: Child) -> tuple[int, dict[str, Any]]:
    last: dict[str, Any] = {}
    try:
        while True:
            last = await pairing.line()
    except ChildEnded:
        return await pairing.ended(), last


def showing(hub: HubProcess, password: str | None = None) -> Child:
    where = ("pair", "--data", hub.ready["data"], "--method", "qr_shown", "--ssid", SSID, "--yes")
    return Child(*where, environ=None if password is None else told(password))


async def test_a_camera_is_shown_a_code_and_the_network_is_known_from_then_on(hub: HubProcess) -> None:
    async with seeing(*WIFI, "--product", "lamp") as lamp, showing(hub, PASSWORD) as pairing:
        lamp.scan(await shown(hub, pairing))
        code, last = await until_ended(pairing)
        assert (code, last["key"]) == (0, "joined")
        await lamp.until("linked")
    listed = await known(hub)
    assert [(network["ssid"], network["secured"]) for network in listed] == [(SSID, True)]
    assert PASSWORD not in json.dumps(listed)
    # Nobody can be asked with --json: the password is the one the home knows.
    async with seeing(*WIFI, "--product", "plug") as plug, showing(hub) as pairing:
        plug.scan(await shown(hub, pairing))
        assert (await until_ended(pairing))[0] == 0
        await plug.until("linked")
    assert (await command("wifi", "remove", SSID, "--data", hub.ready["data"]))[0] == 0
    assert await known(hub) == []


async def test_with_a_wrong_password_it_joins_nothing(hub: HubProcess) -> None:
    async with seeing(*WIFI) as lamp, showing(hub, "another password") as pairing:
        lamp.scan(await shown(hub, pairing))
        assert (await lamp.until("not_joined"))["reason"] == "wrong_password"
        lamp.scan("https://example.org/menu")
        assert "JSON" in (await lamp.until("misunderstood"))["cause"]
        async with hub.client(hub.ready["token"]) as api:
            await api.post(f"{await session_path(hub)}/cancel")
        code, last = await until_ended(pairing)
        assert (code, last["error"]["code"]) == (7, "cancelled")
    assert await known(hub) == []


async def test_the_code_on_the_label_is_all_that_is_needed(hub: HubProcess) -> None:
    async with Child("device", "--product", "lamp", "--pin", "4711-0815", "--label") as lamp:
        label = (await lamp.until(event="label"))["text"]
        assert label.startswith("DS1:I=d-")
        code, lines = await pair(hub, "--code", label)
        assert (code, lines[-1]["key"]) == (0, "joined")
        await lamp.until(event="linked")


REFUSED = {
    ("--ssid", "x" * 33): "ssid_length",
    ("--ssid", SSID): "wifi_password_length",
    ("--code", "gibberish"): "qr_not_understood",
    ("--code", "MT:Y.K90AFN00KA0648G00"): "no_method",
}


async def test_what_cannot_be_is_refused_at_once(hub: HubProcess) -> None:
    for options, code in REFUSED.items():
        exit_code, refused = await command("pair", "--data", hub.ready["data"], *options, environ=told("short"))
        assert (exit_code, refused["error"]["code"]) == (2, code)


async def test_networks_are_added_by_hand(hub: HubProcess, tmp_path: Path) -> None:
    file = tmp_path / "password"
    await asyncio.to_thread(file.write_text, f"{PASSWORD}\n")
    data = ("--data", hub.ready["data"])
    code, made = await command("wifi", "add", SSID, "--wifi-password-file", str(file), *data)
    assert (code, made["ssid"], made["secured"]) == (0, SSID, True)
    assert PASSWORD not in json.dumps(made)
    asked = await command("wifi", "add", "other", *data)
    assert (asked[0], asked[1]["error"]["code"]) == (2, "usage")
    missing = await command("wifi", "remove", "other", *data)
    assert missing[1]["error"]["hint"] == f"There is: {SSID}"
