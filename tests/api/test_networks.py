"""The Wi-Fi networks a home knows: kept without telling their passwords, learnt by joining, used by name."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.store.folder import DATABASE
from app.store.retention import KEEP
from app.store.tx import Reader
from tests.api.fake_methods import DEVICE, Joining
from tests.api.harness import Api
from tests.api.households import join, new_home
from tests.security.canaries import Canaries

PASSWORD = "a canary's password: tweet"
NETWORK = {"ssid": "Lindenweg ☕", "password": PASSWORD, "bssid": "02:00:5E:10:00:01"}
MOST = KEEP["wifi_networks"].most or 0


def in_vault(reader: Reader) -> list[str]:
    return [row[0] for row in reader.all("SELECT row FROM secrets WHERE row LIKE 'wifi_network/%' ORDER BY row")]


async def known(client: httpx2.AsyncClient, home: str) -> list[dict[str, Any]]:
    found = await client.get(f"{home}/networks")
    assert found.status_code == 200
    items: list[dict[str, Any]] = found.json()["items"]
    return items


async def ended(client: httpx2.AsyncClient, home: str, body: dict[str, Any]) -> dict[str, Any]:
    """A pairing of the one device, once it is over; with its id there is no wait for others."""
    begun = await client.post(f"{home}/pairing", json={"device_id": DEVICE, **body})
    assert begun.status_code == 201, begun.text
    async with asyncio.timeout(20):
        while True:
            state: dict[str, Any] = (await client.get(f"{home}/pairing/{begun.json()['id']}")).json()
            if state["state"] in ("joined", "failed", "cancelled", "expired"):
                return state
            await asyncio.sleep(0)


class ByCable(Joining):
    """Tells its device no network."""

    inputs = ()


def on_disk(folder: Path, canaries: Canaries) -> dict[str, set[str]]:
    """What of the secrets is in the database, its log, and the values of its rows."""
    found = {name: canaries.found_in_file(folder / name) for name in (DATABASE, f"{DATABASE}-wal")}
    return {**found, "rows": canaries.found_in_rows(folder / DATABASE)}


async def test_it_is_kept_replaced_and_forgotten(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    made = await anna.post(f"{home}/networks", json=NETWORK)
    assert made.status_code == 201
    network = made.json()
    assert (network["ssid"], network["bssid"]) == (NETWORK["ssid"], "02:00:5e:10:00:01")
    assert (network["secured"], network["used_at"]) == (True, None)
    assert set(network) == {"id", "home_id", "ssid", "bssid", "secured", "created_at", "used_at"}
    assert await known(anna, home) == [network]
    assert await api.store.read(in_vault) == [f"wifi_network/{network['id']}"]
    opened = (await anna.post(f"{home}/networks", json={"ssid": NETWORK["ssid"]})).json()
    assert opened == network | {"secured": False, "bssid": ""}
    assert await api.store.read(in_vault) == []
    assert (await anna.delete(f"{home}/networks/{network['id']}")).status_code == 204
    assert await known(anna, home) == []
    assert (await anna.delete(f"{home}/networks/{network['id']}")).status_code == 404


async def test_a_repeat_keeps_it_once(api: Api) -> None:
    anna = await api.person("anna")
    home, once = await new_home(anna), {"Idempotency-Key": "my network"}
    said = [await anna.post(f"{home}/networks", json=NETWORK, headers=once) for _ in range(2)]
    assert said[0].json() == said[1].json()
    changed = await anna.post(f"{home}/networks", json=NETWORK | {"password": "another password"}, headers=once)
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")


async def test_only_who_may_pair_sees_and_changes_them(api: Api) -> None:
    anna, ben, carol, eve = [await api.person(name) for name in ("anna", "ben", "carol", "eve")]
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    await join(api, home, carol, "member")
    network = (await anna.post(f"{home}/networks", json=NETWORK)).json()
    there = await new_home(eve)
    assert await known(ben, home) == [network]
    for client, status in ((carol, 403), (eve, 404)):
        for refused in (
            await client.get(f"{home}/networks"),
            await client.post(f"{home}/networks", json=NETWORK),
            await client.delete(f"{home}/networks/{network['id']}"),
        ):
            assert refused.status_code == status
    assert (await eve.delete(f"{there}/networks/{network['id']}")).status_code == 404
    assert await known(anna, home) == [network]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ssid": ""}, "ssid_length"),
        ({"ssid": "x" * 33}, "ssid_length"),
        ({"ssid": "☕" * 11}, "ssid_length"),
        ({"password": "1234567"}, "wifi_password_length"),
        ({"password": "x" * 64}, "wifi_password_length"),
        ({"password": "é" * 32}, "wifi_password_length"),
        ({"bssid": "02:00:5e:10:00"}, "bad_bssid"),
        ({"ssid": "x" * 257}, "invalid"),
    ],
)
async def test_what_no_device_could_join_is_refused(api: Api, fields: dict[str, str], code: str) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    method = Joining()
    await api.services.onboarding.open([method])
    network = NETWORK | fields
    pairing = {"ssid": network["ssid"], "wifi_password": network["password"], "bssid": network["bssid"]}
    for refused in (
        await anna.post(f"{home}/networks", json=network),
        await anna.post(f"{home}/pairing", json={"method": "ap", **pairing}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (400, code)
        assert network["password"] not in refused.text
    assert (await known(anna, home), method.given) == ([], [])


async def test_there_is_an_end_to_them(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    for n in range(MOST):
        assert (await anna.post(f"{home}/networks", json={"ssid": f"net {n}"})).status_code == 201
    refused = await anna.post(f"{home}/networks", json={"ssid": "one more"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    assert (await anna.post(f"{home}/networks", json={"ssid": "net 3", "password": PASSWORD})).status_code == 201
    assert len(await known(anna, home)) == MOST


async def test_it_is_learnt_when_a_device_joins_with_it_and_used_by_name_the_next_time(api: Api) -> None:
    anna, method = await api.person("anna"), Joining()
    home = await new_home(anna)
    await api.services.onboarding.open([method])
    told = {"ssid": NETWORK["ssid"], "wifi_password": PASSWORD, "bssid": NETWORK["bssid"]}
    assert (await ended(anna, home, {"method": "ap", **told}))["state"] == "joined"
    (network,) = await known(anna, home)
    assert (network["ssid"], network["bssid"]) == (NETWORK["ssid"], "02:00:5e:10:00:01")
    assert network["used_at"] == network["created_at"]
    api.forward(60_000)
    assert (await ended(anna, home, {"method": "ap", "ssid": NETWORK["ssid"]}))["state"] == "joined"
    assert (method.given[1]["wifi_password"], method.given[1]["bssid"]) == (PASSWORD, network["bssid"])
    (again,) = await known(anna, home)
    assert again["used_at"] > network["used_at"]
    assert again | {"used_at": ""} == network | {"used_at": ""}
    changed = {"ssid": NETWORK["ssid"], "wifi_password": "the new password"}
    assert (await ended(anna, home, {"method": "ap", **changed}))["state"] == "joined"
    assert (await ended(anna, home, {"method": "ap", "ssid": NETWORK["ssid"]}))["state"] == "joined"
    assert method.given[3]["wifi_password"] == "the new password"
    assert [item["id"] for item in await known(anna, home)] == [network["id"]]


async def test_it_is_not_learnt_where_nobody_wants_that_or_where_it_was_not_used(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Joining("ap"), ByCable("wired")])
    told = {"ssid": NETWORK["ssid"], "wifi_password": PASSWORD}
    assert (await ended(anna, home, {"method": "ap", "keep_network": False, **told}))["state"] == "joined"
    assert (await ended(anna, home, {"method": "wired", **told}))["state"] == "joined"
    assert await known(anna, home) == []


async def test_an_open_network_is_learnt_too(api: Api) -> None:
    anna, method = await api.person("anna"), Joining()
    home = await new_home(anna)
    await api.services.onboarding.open([method])
    await ended(anna, home, {"method": "ap", "ssid": "Open", "wifi_password": ""})
    await ended(anna, home, {"method": "ap", "ssid": "Open"})
    assert [given["wifi_password"] for given in method.given] == ["", ""]


async def test_the_one_unused_longest_makes_room_for_one_that_is_learnt(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Joining()])
    for n in range(MOST):
        await anna.post(f"{home}/networks", json={"ssid": f"net {n}", "password": PASSWORD})
        api.forward(1)
    await ended(anna, home, {"method": "ap", "ssid": "new", "wifi_password": PASSWORD})
    names = [network["ssid"] for network in await known(anna, home)]
    assert names == ["new", *(f"net {n}" for n in reversed(range(1, MOST)))]
    assert len(await api.store.read(in_vault)) == MOST


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ssid": "Nobody's"}, "unknown_wifi_network"),
        ({"wifi_password": PASSWORD}, "invalid"),
        ({"bssid": "02:00:5e:10:00:01"}, "invalid"),
    ],
)
async def test_a_password_must_come_from_somewhere(api: Api, fields: dict[str, str], code: str) -> None:
    anna, method = await api.person("anna"), Joining()
    home = await new_home(anna)
    await api.services.onboarding.open([method])
    refused = await anna.post(f"{home}/pairing", json={"method": "ap", **fields})
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert method.given == []


async def test_a_known_network_is_nothing_to_another_home(api: Api) -> None:
    anna, eve = await api.person("anna"), await api.person("eve")
    home, there = await new_home(anna), await new_home(eve)
    await api.services.onboarding.open([Joining()])
    await anna.post(f"{home}/networks", json=NETWORK)
    refused = await eve.post(f"{there}/pairing", json={"method": "ap", "ssid": NETWORK["ssid"]})
    assert refused.json()["code"] == "unknown_wifi_network"
    assert (await eve.post(f"{home}/pairing", json={"method": "ap", "ssid": NETWORK["ssid"]})).status_code == 404


async def test_it_goes_with_its_home(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await anna.post(f"{home}/networks", json=NETWORK)
    gone = await anna.post(f"{home}/dissolve", json={"name": "Lindenweg"})
    assert gone.is_success, gone.text
    assert await api.store.read(in_vault) == []
    assert await api.store.read(lambda reader: reader.all("SELECT * FROM wifi_networks")) == []


async def test_its_password_is_nowhere_in_the_clear(api: Api) -> None:
    canaries = Canaries()
    canaries.add("wifi password", PASSWORD)
    anna, method = await api.person("anna"), Joining()
    home = await new_home(anna)
    await api.services.onboarding.open([method])
    answers = [
        await anna.post(f"{home}/networks", json=NETWORK, headers={"Idempotency-Key": "one"}),
        await anna.post(f"{home}/networks", json={"ssid": [PASSWORD]}),
        await anna.post(f"{home}/networks", json={"ssid": "x", "password": PASSWORD * 20}),
        await anna.post(f"{home}/networks", json={"ssid": "x", PASSWORD: PASSWORD}),
        await anna.post(f"{home}/pairing", json={"method": "magic", "ssid": "x", "wifi_password": PASSWORD}),
        await anna.post(f"{home}/pairing", json={"code": f"WIFI:T:WPA;S:;P:{PASSWORD};;"}),
        await anna.post("/api/pairing/qr", json={"code": f"WIFI:T:EAP;S:x;P:{PASSWORD};;"}),
    ]
    told = {"method": "ap", "ssid": NETWORK["ssid"], "wifi_password": PASSWORD}
    assert (await ended(anna, home, told))["state"] == "joined"
    assert method.given[0]["wifi_password"] == PASSWORD
    for path in ("networks", "pairing", "audit"):
        answers.append(await anna.get(f"{home}/{path}"))
    # The member's own name may be told back where it is not one of ours; no value is.
    leaked = [a.text for a in answers if canaries.found_in(a.content.replace(f"`{PASSWORD}`".encode(), b""))]
    assert leaked == []
    found = await asyncio.to_thread(on_disk, api.store.path.parent, canaries)
    assert found == {DATABASE: set(), f"{DATABASE}-wal": set(), "rows": set()}
