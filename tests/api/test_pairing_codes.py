"""Codes: those printed on devices start a pairing, and the one a camera is shown is for who opened the session."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import zxingcpp
from PIL import Image

from pairing.activation import Offer
from pairing.identity import Identity
from pairing.mdns import Announcement, Gone
from pairing.methods.over_lan import OverLan
from pairing.methods.qr_shown import QrShown
from pairing.qr import camera
from tests.api.fake_methods import Joining
from tests.api.harness import Api
from tests.api.households import join, new_home

DEVICE = "d-2gn7prq3ufryaprn6j7oedxk"
LABEL = f"DS1:I={DEVICE};P=4711-0815;M=lamp;T=wired"
SSID, PASSWORD = "Lindenweg ☕", "correct horse battery"


@asynccontextmanager
async def quiet() -> AsyncIterator[AsyncIterator[Announcement | Gone]]:
    """A LAN on which nobody announces anything."""

    async def nothing() -> AsyncIterator[Announcement | Gone]:
        await asyncio.Event().wait()
        yield Gone(id=DEVICE)

    yield nothing()


async def no_offer(session_id: str, attempt: int) -> Offer:
    raise NotImplementedError


def showing() -> QrShown:
    return QrShown(OverLan(Identity(bytes(32)), no_offer, entropy=bytes, browse=quiet))


async def shown(api: Api, client: httpx2.AsyncClient, home: str) -> str:
    """The path of the code of a session that shows one."""
    await api.services.onboarding.open([showing(), Joining("ap")])
    body = {"method": "qr_shown", "ssid": SSID, "wifi_password": PASSWORD}
    begun = await client.post(f"{home}/pairing", json=body)
    assert begun.status_code == 201, begun.text
    return f"{home}/pairing/{begun.json()['id']}/qr"


async def test_the_code_is_drawn_as_it_is_asked_for(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    path = await shown(api, anna, home)
    text = await anna.get(path, headers={"Accept": "text/plain"})
    told = camera.parse(text.text)
    assert (told.network.ssid, told.network.password, len(told.token)) == (SSID, PASSWORD, 14)
    png = await anna.get(path, headers={"Accept": "image/png"})
    (seen,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(png.content)))
    assert seen.text == text.text
    svg = await anna.get(path)
    assert svg.text.startswith("<svg")
    assert PASSWORD not in svg.text
    kinds = {answer.headers["content-type"].partition(";")[0] for answer in (text, png, svg)}
    assert kinds == {"text/plain", "image/png", "image/svg+xml"}
    assert {answer.headers["cache-control"] for answer in (text, png, svg)} == {"no-store"}
    steps = (await anna.get(path.removesuffix("/qr"))).json()["steps"]
    assert "show_qr" in [step["key"] for step in steps]
    assert PASSWORD not in json.dumps(steps)


async def test_the_code_is_for_nobody_but_who_opened_the_session(api: Api) -> None:
    anna, ben, carol, eve = [await api.person(name) for name in ("anna", "ben", "carol", "eve")]
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    await join(api, home, carol, "member")
    path = await shown(api, anna, home)
    assert (await ben.get(path.removesuffix("/qr"))).status_code == 200
    told = [(await client.get(path)).status_code for client in (anna, ben, carol, eve, api.client())]
    assert told == [200, 403, 403, 404, 401]
    assert (await anna.get(path.replace(home, await new_home(anna)))).status_code == 404


async def test_the_code_goes_with_the_session(api: Api) -> None:
    anna = await api.person("anna")
    path = await shown(api, anna, await new_home(anna))
    await anna.post(path.replace("/qr", "/cancel"))
    gone = await anna.get(path)
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")


async def test_a_session_of_another_method_shows_none(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Waiting()])
    begun = (await anna.post(f"{home}/pairing", json={"method": "ap"})).json()
    assert (await anna.get(f"{home}/pairing/{begun['id']}/qr")).status_code == 404


class Waiting(Joining):
    """Hears nothing, and waits."""

    async def search(self, context: Any) -> None:
        self.given.append({**context.request.inputs, **context.secrets, "device": context.request.device or ""})
        await context.ready()
        await asyncio.Event().wait()


async def test_a_printed_code_tells_how_to_go_on(api: Api) -> None:
    anna = await api.person("anna")
    await api.services.onboarding.open([Joining("wired"), Joining("ap")])
    said = await anna.post("/api/pairing/qr", json={"code": LABEL})
    assert said.headers["cache-control"] == "no-store"
    assert said.json() == {
        "kind": "doorstep",
        "method": "wired",
        "available": True,
        "needs": [],
        "device_id": DEVICE,
        "name": "",
        "product": "lamp",
        "transports": ["wired"],
        "inputs": {},
        "secrets": {"pin": "4711-0815"},
        "matter": None,
        "link": "",
    }
    matter = (await anna.post("/api/pairing/qr", json={"code": "3497-011-2332"})).json()
    assert (matter["method"], matter["available"]) == ("matter", False)
    assert (matter["matter"]["passcode"], matter["matter"]["short_discriminator"]) == (20202021, 15)
    setup = (await anna.post("/api/pairing/qr", json={"code": "WIFI:T:WPA;S:Lamp-1A;P:12345678;;"})).json()
    assert (setup["method"], setup["inputs"], setup["secrets"]) == (
        "ap",
        {"setup_ssid": "Lamp-1A"},
        {"setup_password": "12345678"},
    )


async def test_an_esp_device_with_bluetooth_is_told_its_network_by_the_name_on_its_code(api: Api) -> None:
    anna = await api.person("anna")
    await api.services.onboarding.open([Joining("ble_wifi")])
    code = '{"ver":"v1","name":"PROV_1","pop":"abcd1234","transport":"ble","security":1}'
    said = (await anna.post("/api/pairing/qr", json={"code": code})).json()
    assert (said["method"], said["transports"]) == ("ble_wifi", ["ble"])
    assert (said["inputs"], said["secrets"]) == ({"ble_name": "PROV_1", "security": "1"}, {"pop": "abcd1234"})


async def test_it_says_what_else_is_needed(api: Api) -> None:
    anna = await api.person("anna")
    await api.services.onboarding.open([showing()])
    said = await anna.post("/api/pairing/qr", json={"code": f"DS1:I={DEVICE};T=qr"})
    assert (said.json()["method"], said.json()["needs"]) == ("qr_shown", ["ssid"])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("no code at all", "qr_not_understood"),
        ("DS9:I=x", "qr_not_understood"),
        ("WIFI:T:WPA;S:x;P:short;;", "wifi_password_length"),
        ("x" * 513, "invalid"),
        ("", "invalid"),
    ],
)
async def test_a_code_that_cannot_be_read_is_refused_and_not_told_back(api: Api, code: str, error: str) -> None:
    anna, method = await api.person("anna"), Joining("wired")
    home = await new_home(anna)
    await api.services.onboarding.open([method])
    for path in ("/api/pairing/qr", f"{home}/pairing"):
        refused = await anna.post(path, json={"code": code})
        assert (refused.status_code, refused.json()["code"]) == (400, error)
        assert len(code) < 8 or code not in refused.text
    assert method.given == []


async def test_a_printed_code_starts_the_pairing_it_is_for(api: Api) -> None:
    anna, method = await api.person("anna"), Waiting("wired")
    home = await new_home(anna)
    await api.services.onboarding.open([method, Joining("ap")])
    begun = await anna.post(f"{home}/pairing", json={"code": LABEL, "name": "Desk"})
    assert (begun.status_code, begun.json()["method"]) == (201, "wired")
    given = method.given[0]
    assert (given["device"], given["pin"], given["name"]) == (DEVICE, "4711-0815", "Desk")


@pytest.mark.parametrize("more", [{"method": "ap"}, {"device_id": DEVICE}, {"pin": "1234"}])
async def test_a_code_stands_alone(api: Api, more: dict[str, str]) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Joining("wired")])
    refused = await anna.post(f"{home}/pairing", json={"code": LABEL, **more})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


async def test_what_a_matter_controller_does_is_not_begun(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Joining("wired")])
    refused = await anna.post(f"{home}/pairing", json={"code": "MT:Y.K90AFN00KA0648G00"})
    assert (refused.status_code, refused.json()["code"]) == (400, "no_method")
