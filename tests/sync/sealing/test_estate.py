"""What a cloud carries it cannot read; who is let in can; who is keyed out cannot any more."""

import asyncio
import base64
import logging
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from app.caller import BY_SYSTEM
from app.store.backup import backup
from app.store.stream import DecryptingReader
from app.store.tx import Tx
from app.sync.kinds import Item
from app.sync.model import NOBODY, Part
from app.sync.sealing import crypto
from app.sync.sealing.model import HomeKey, Recipient, sealed_by, sealed_of, wrapped_for, wrapped_of
from app.sync.sealing.places import is_of_homes
from tests.api.harness import Api
from tests.security.canaries import Canaries
from tests.sync.sealing.estate import PASSWORD, Estate, Hub, estate

PASSPHRASE = "correct horse battery staple"
LATER = "canary-wifi-after-removal"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Estate]:
    """Founded at `one`, and with its cloud."""
    async with estate(tmp_path, "two", "three") as made:
        await made.join()
        yield made


async def let_in(home: Estate, name: str = "two") -> Hub:
    hub = await home.attach(name)
    admitted = await home.admit(hub, home.one)
    assert admitted.status_code == 200, admitted.text
    await home.level()
    return hub


def canaries_of(home: Estate, *more: str) -> Canaries:
    canaries = Canaries()
    for place, secret in home.places.items():
        canaries.add(place, secret)
    for text in more:
        canaries.add(text, text)
    return canaries


async def searched(home: Estate, folder: Path, canaries: Canaries) -> set[str]:
    """What is found of them in everything that a cloud has, and in all that was said to it and by it."""
    out = folder / "cloud.backup"
    await backup(home.cloud.store, folder / "cloud", out, PASSPHRASE)
    found = canaries.found_in(b"\n".join(home.wire))
    return found | await asyncio.to_thread(_on_disk, home.cloud.store.path, folder / "cloud", out, canaries)


def _on_disk(database: Path, folder: Path, made: Path, canaries: Canaries) -> set[str]:
    found = canaries.found_in_rows(database)
    for file in folder.rglob("*"):
        if file.is_file():
            found |= canaries.found_in_file(file)
    with made.open("rb") as raw, tarfile.open(fileobj=DecryptingReader(raw, PASSPHRASE), mode="r|") as tar:
        for member in tar:
            packed = tar.extractfile(member)
            assert packed is not None
            found |= canaries.found_in(packed.read())
    return found


async def hands_over(home: Estate, client: httpx2.AsyncClient, device_id: str) -> list[httpx2.Response]:
    """Somebody who tells a cloud what it must not know."""
    wifi = {"ssid": "Linde", "password": LATER}
    new = {"product_id": "lamp", "node_id": "n2", "secret": LATER}
    once = {"Idempotency-Key": "1"}
    return [
        await client.post(f"{home.path}/networks", json=wifi, headers=once),
        await client.post(f"{home.path}/wifi-change", json=wifi, headers=once),
        await client.post(f"{home.path}/devices", json=new),
        await client.post(f"{home.path}/pairing", json={"method": "softap", "wifi": wifi}),
        await client.post(f"/api/devices/{device_id}/secret", json={"secret": LATER}),
        await client.get(f"{home.path}/mesh"),
        await client.post(f"{home.path}/mesh", json={"database": {"x": LATER}}),
    ]


async def canary_search(home: Estate, folder: Path) -> set[str]:
    """A home lives a little; then its cloud is searched."""
    two = await let_in(home)
    assert {place: await two.secret(place) for place in home.places} == home.places
    await home.set_password(LATER, two)
    await home.level()
    assert await home.one.secret(f"wifi_network/{home.network}") == LATER.encode()
    code = (await home.one.owner.post(f"{home.path}/recovery-code")).json()["code"]
    await home.level()
    return await searched(home, folder, canaries_of(home, PASSWORD, LATER, code))


async def test_a_canary_is_found_nowhere_in_the_cloud(
    home: Estate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_cloud = await home.at_cloud()
    device_id = next(iter(await home.entities("device")))
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logs:
        answers = await hands_over(home, at_cloud, device_id)
        found = await canary_search(home, tmp_path)
    assert {(it.status_code, it.json()["code"]) for it in answers} == {(409, "at_the_hub"), (409, "held_elsewhere")}
    assert found == set()
    assert canaries_of(home, PASSWORD, LATER).found_in(repr((logs, caplog.text)).encode()) == set()
    vault = await vault_of(home.cloud)
    assert [row for row in vault if is_of_homes(row)] == []
    assert canaries_of(home, PASSWORD, LATER).found_in(b"\n".join(vault.values())) == set()


async def test_the_search_finds_what_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same search with sealing that does nothing: it would have been seen."""
    monkeypatch.setattr(crypto, "seal", lambda key, home_id, place, secret: secret)
    monkeypatch.setattr(crypto, "open_", lambda key, home_id, place, sealed: sealed)
    async with estate(tmp_path, "two") as home:
        await home.join()
        found = await canary_search(home, tmp_path)
        assert found == {place for place, secret in home.places.items() if secret != PASSWORD.encode()} | {
            PASSWORD,
            LATER,
        }


# letting in


async def test_who_waits_has_nothing_and_who_is_let_in_has_all(home: Estate) -> None:
    two = await home.attach("two")
    waiting = await two.keys(home.home)
    assert (waiting["state"], len(waiting["code"])) == ("waiting", 24)
    assert {await two.secret(place) for place in home.places} == {None}
    at_one = {it["id"]: it["state"] for it in (await home.one.keys(home.home))["hubs"]}
    assert at_one == {home.one.id: "in", two.id: "waiting"}
    assert (await home.one.keys(home.home))["code"] is None
    assert (await home.admit(two, home.one)).status_code == 200
    await home.level()
    known = await two.keys(home.home)
    assert (known["state"], known["code"]) == ("in", None)
    assert {place: await two.secret(place) for place in home.places} == home.places
    assert await home.entities("conflict") == {}


async def test_only_the_code_that_the_hub_shows_lets_it_in(home: Estate) -> None:
    two = await home.attach("two")
    code = (await two.keys(home.home))["code"]
    path = f"{home.path}/hubs/{two.id}/admit"
    wrong = "0" * 24 if code != "0" * 24 else "1" * 24
    refused = await home.one.owner.post(path, json={"code": wrong})
    assert (refused.status_code, refused.json()["code"]) == (400, "admission_code_wrong")
    nobody = await home.one.owner.post(f"{home.path}/hubs/h-nobody/admit", json={"code": code})
    assert nobody.status_code == 404
    not_in = await two.owner.post(path, json={"code": code})
    assert (not_in.status_code, not_in.json()["code"]) == (409, "hub_not_in")
    at_cloud = await home.at_cloud()
    cloud = await at_cloud.post(path, json={"code": code})
    assert (cloud.status_code, cloud.json()["code"]) == (409, "at_the_hub")
    await home.level()
    assert (await two.keys(home.home))["state"] == "waiting"
    # As people write it.
    written = await home.one.owner.post(path, json={"code": code.lower().replace("-", " ")})
    assert written.status_code == 200


async def test_a_cloud_that_swaps_a_hubs_key_for_its_own_gets_nothing(home: Estate) -> None:
    two = await home.attach("two")
    mine = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    await forge(home, Part("hub", two.id, "put", {"seal_key": mine}))
    await home.one.talk()
    refused = await home.admit(two, home.one)
    assert (refused.status_code, refused.json()["code"]) == (400, "admission_code_wrong")


async def test_a_cloud_that_makes_a_home_key_is_not_believed(home: Estate) -> None:
    """Neither by a hub that has the home's key, nor by one that waits for it."""
    two = await home.attach("two")
    fake = HomeKey(2, "ffffffff-ffff-7fff-8fff-ffffffffffff", b"\x07" * 32)
    hubs = await home.entities("hub")
    to = {
        f"to/hub/{it}": wrapped_for(fake, home.home, Recipient(f"hub/{it}", bytes.fromhex(fields["seal_key"])))
        for it, fields in hubs.items()
    }
    former = next(iter(await home.entities("home_key")))
    fields = {"number": 2, "made_by": home.one.id, "after": former, "proof": "00" * 32, **to}
    await forge(home, Part("home_key", fake.id, "new", fields))
    await home.level()
    await home.set_password(LATER)
    await home.level()
    assert {key_of(it) for it in (await home.entities("secret")).values()} == {former}
    assert await keys_at(two, home) == {}


async def test_a_hub_is_let_in_by_the_recovery_code_alone(home: Estate) -> None:
    made = await home.one.owner.post(f"{home.path}/recovery-code")
    assert made.status_code == 201
    code = made.json()["code"]
    await home.level()
    # The key changes since: what was sealed for recovery then says so of what came after.
    await let_in(home, "three")
    await home.detach("three")
    await home.one.talk()
    await home.one.talk()
    home.hubs.pop("one")
    two = await home.attach("two")
    wrong = await two.owner.post(f"{home.path}/recover", json={"code": "X" * 24})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "recovery_code_wrong")
    assert {await two.secret(place) for place in home.places} == {None}
    done = await two.owner.post(f"{home.path}/recover", json={"code": code})
    assert (done.status_code, done.json()["state"]) == (200, "in")
    assert {place: await two.secret(place) for place in home.places} == home.places
    await home.level()
    assert (await two.keys(home.home))["state"] == "in"


async def test_a_new_recovery_code_ends_the_one_before(home: Estate) -> None:
    first = (await home.one.owner.post(f"{home.path}/recovery-code")).json()["code"]
    second = (await home.one.owner.post(f"{home.path}/recovery-code")).json()["code"]
    await home.level()
    two = await home.attach("two")
    await home.set_password(LATER)
    await home.level()
    await two.owner.post(f"{home.path}/recover", json={"code": first})
    assert await two.secret(f"wifi_network/{home.network}") is None
    assert (await two.keys(home.home))["state"] == "waiting"
    assert (await two.owner.post(f"{home.path}/recover", json={"code": second})).status_code == 200
    assert await two.secret(f"wifi_network/{home.network}") == LATER.encode()


# keying out


async def test_a_hub_that_is_removed_is_keyed_out(home: Estate) -> None:
    two = await let_in(home)
    three = await let_in(home, "three")
    had = await keys_at(two, home)
    private = await private_of(two)
    await home.detach("two")
    out = home.hubs.pop("two")
    await home.level()
    assert (await home.one.keys(home.home))["number"] == 2
    shown = {it["id"]: it["state"] for it in (await three.keys(home.home))["hubs"]}
    assert shown == {home.one.id: "in", three.id: "in", two.id: "removed"}
    await home.set_password(LATER)
    await home.level()
    assert await three.secret(f"wifi_network/{home.network}") == LATER.encode()
    secrets, keys = await home.entities("secret"), await home.entities("home_key")
    (now,) = {key_of(it) for it in secrets.values()}
    assert now not in had
    assert f"to/hub/{out.id}" not in keys[now]
    for place, fields in secrets.items():
        sealed = sealed_of(fields["sealed"])
        assert sealed is not None
        for key in had.values():
            with pytest.raises(crypto.SealBroken):
                crypto.open_(key.octets, home.home, place, sealed.octets)
    for name, text in keys[now].items():
        if name.startswith("to/"):
            with pytest.raises(crypto.SealBroken):
                crypto.unwrap(_sealed(text), home.home, now, f"hub/{out.id}", private)
    # Told that it serves the home no longer, it keeps nothing of it.
    await out.talk()
    assert await keys_at(out, home) == {}
    assert {await out.secret(place) for place in home.places if not place.startswith("mesh/")} == {None}


async def test_two_hubs_that_key_out_at_once_agree(home: Estate) -> None:
    two = await let_in(home)
    three = await let_in(home, "three")
    await home.detach("three")
    home.hubs.pop("three")
    # Both hear of it before either is heard.
    for hub in (home.one, two):
        await hub.hear(home.home)
    await home.set_password(LATER, two)
    await home.level()
    assert await keys_at(home.one, home) == await keys_at(two, home)
    assert {it.number for it in (await keys_at(two, home)).values()} == {1, 2}
    secrets = await home.entities("secret")
    highest = max((await keys_at(two, home)).values(), key=lambda it: it.place)
    assert {key_of(it) for it in secrets.values()} == {highest.id}
    assert await home.one.secret(f"wifi_network/{home.network}") == LATER.encode()
    assert f"to/hub/{three.id}" not in (await home.entities("home_key"))[highest.id]
    assert await home.entities("conflict") == {}


# phones


async def test_an_owners_phone_opens_what_a_cloud_gives_it(home: Estate) -> None:
    phone = X25519PrivateKey.generate()
    await home.register_phone("p-1", phone.public_key().public_bytes_raw())
    await home.level()
    assert (await home.one.keys(home.home))["phones"] == ["p-1"]
    for client in (home.one.owner, await home.at_cloud()):
        answer = await client.get(f"{home.path}/secrets", params={"reader": "p-1"})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert open_all(home.home, answer.json(), "p-1", phone).items() >= home.places.items()
    stranger = await home.cloud.person("mallory")
    assert (await stranger.get(f"{home.path}/secrets", params={"reader": "p-1"})).status_code == 404


async def test_a_phone_that_is_taken_away_is_keyed_out(home: Estate) -> None:
    two = await let_in(home)
    phone = X25519PrivateKey.generate()
    await home.register_phone("p-1", phone.public_key().public_bytes_raw())
    await home.level()
    # Another hub takes it over into the next key.
    await home.register_phone("p-2", X25519PrivateKey.generate().public_key().public_bytes_raw(), two)
    await home.level()
    await home.remove_phone("p-2", two)
    await home.level()
    keys = await home.one.keys(home.home)
    assert (keys["number"], keys["phones"]) == (2, ["p-1"])
    await home.remove_phone("p-1")
    await home.level()
    assert (await two.keys(home.home))["phones"] == []
    await home.set_password(LATER)
    await home.level()
    body = (await home.one.owner.get(f"{home.path}/secrets", params={"reader": "p-1"})).json()
    assert open_all(home.home, body, "p-1", phone) == {}


async def test_a_new_owner_ends_what_the_one_before_could_open(home: Estate) -> None:
    await home.register_phone("p-1", X25519PrivateKey.generate().public_key().public_bytes_raw())
    await home.one.owner.post(f"{home.path}/recovery-code")
    await home.level()
    heir = "b" * 64
    anna = home.anna
    await forge(
        home,
        Part("member", heir, "new", {"role": "owner", "name": "Ben"}),
        Part("member", anna, "put", {"role": "admin"}),
    )
    await home.level()
    (key_id,) = {key_of(it) for it in (await home.entities("secret")).values()}
    fields = (await home.entities("home_key"))[key_id]
    assert (fields["number"], {it for it in fields if it.startswith("to/")}) == (2, {f"to/hub/{home.one.id}"})


async def test_what_somebody_made_is_not_lost_to_a_hub_that_only_sealed_anew(home: Estate) -> None:
    two = await let_in(home)
    await let_in(home, "three")
    await home.detach("three")
    home.hubs.pop("three")
    # Two has not heard of it, and gives the Wi-Fi another password; after that, but first heard, one seals all anew.
    await home.set_password(LATER, two)
    home.one.api.clock.set(home.one.api.clock.now().ms + 5_000)
    await home.one.talk()
    await home.level()
    place = f"wifi_network/{home.network}"
    assert await home.one.secret(place) == await two.secret(place) == LATER.encode()
    highest = max((await keys_at(two, home)).values(), key=lambda it: it.place)
    assert {key_of(it) for it in (await home.entities("secret")).values()} == {highest.id}
    assert [it["state"] for it in (await home.entities("conflict")).values()] == ["undone"]


async def test_without_a_cloud_there_is_nothing_to_seal(tmp_path: Path) -> None:
    async with estate(tmp_path) as home:
        assert (await home.one.keys(home.home))["state"] == "alone"
        refused = await home.one.owner.post(f"{home.path}/recovery-code")
        assert (refused.status_code, refused.json()["code"]) == (409, "home_not_shared")


# what a log says is not believed


async def test_a_home_says_nothing_about_another_homes_secrets(home: Estate) -> None:
    """Not even sealed by a hub of its own: rows of others, of the hub's own, and of nobody."""
    key = max((await keys_at(home.one, home)).values(), key=lambda it: it.place)
    other = (await home.one.owner.post("/api/homes", json={"name": "Other", "time_zone": "UTC"})).json()["id"]
    made = await home.one.owner.post(f"/api/homes/{other}/networks", json={"ssid": "x", "password": "theirs-0815"})
    theirs = f"wifi_network/{made.json()['id']}"
    before = await vault_of(home.one.api)
    facts = home.one.api.services.sealing.keys.facts
    places = (theirs, f"mesh/{other}/own", "hub/identity", "home_keys/own", "account/x/key", "bindings/nobody")
    items = [Item(it, {"sealed": sealed_by(key, home.home, it, b"planted-secret").text()}, BY_SYSTEM) for it in places]
    gone = [Item(it, None, BY_SYSTEM) for it in (theirs, "hub/identity", "home_keys/own")]
    await home.one.api.store.write(lambda tx: facts.put_in(tx, home.home, [*items, *gone]))
    after = await vault_of(home.one.api)
    # What is nobody's yet waits for the device it is of.
    assert after.pop("bindings/nobody") == b"planted-secret"
    assert after == before


# what these ask


async def forge(home: Estate, *parts: Part) -> None:
    """The cloud writes into the log what it likes."""
    authority = home.cloud.services.sync.authority

    def act(tx: Tx) -> None:
        authority.local_in(tx, home.home, NOBODY, parts)

    await home.cloud.store.write(act)


def key_of(fields: dict[str, Any]) -> str:
    sealed = sealed_of(fields["sealed"])
    assert sealed is not None
    return sealed.key


def _sealed(text: str) -> bytes:
    wrapped = wrapped_of(text)
    assert wrapped is not None
    return wrapped.sealed


async def keys_at(hub: Hub, home: Estate) -> dict[str, HomeKey]:
    return await hub.api.store.read(lambda reader: hub.api.services.sealing.keys.ring.keys_in(reader, home.home))


async def private_of(hub: Hub) -> X25519PrivateKey:
    return await hub.api.store.write(hub.api.services.sealing.keys.ring.private_in)


async def vault_of(api: Api) -> dict[str, bytes]:
    """Opened."""
    store = api.store
    rows = await store.read(lambda reader: reader.all("SELECT row, sealed FROM secrets"))
    return {row: store.vault.unseal(sealed, row) for row, sealed in rows}


def open_all(home_id: str, body: dict[str, Any], reader: str, phone: X25519PrivateKey) -> dict[str, bytes]:
    """As a phone does."""
    keys = {
        it["id"]: crypto.unwrap(base64.b64decode(it["wrapped"]), home_id, it["id"], f"phone/{reader}", phone)
        for it in body["keys"]
    }
    return {
        it["place"]: crypto.open_(keys[it["key"]], home_id, it["place"], base64.b64decode(it["sealed"]))
        for it in body["secrets"]
        if it["key"] in keys
    }
