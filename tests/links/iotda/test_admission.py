"""Who may connect, and what they are told who may not."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from app.devices.credential_model import derived_secret
from app.links.iotda.admission import _NOBODYS, IotdaAddressing, IotdaAdmission, Proving
from app.links.iotda.codec.signing import password
from app.links.iotda.codec.times import hour_stamp
from app.links.mqtt.errors import NotAdmitted, Reason
from app.links.mqtt.ports import Offered
from tests.api.harness import Api
from tests.api.things import bind, home_of

SECRET = "a-secret-of-24-letters.."
STAMP = "2019120219"
LAMP = "lamp_0001"


class Door:
    """A hub with one registered lamp, and who asks to come in."""

    def __init__(self, api: Api, client: Any, home_id: str) -> None:
        self.api = api
        self.client = client
        self.home_id = home_id
        self.frozen: set[str] = set()
        self.proving = Proving(api.services.devices, api.clock, self.frozen.__contains__)
        self.admission = IotdaAdmission(self.proving)
        self.lamp = ""

    async def register(self, node_id: str, **fields: Any) -> dict[str, Any]:
        body = {"product_id": "lamp", "node_id": node_id, **fields}
        answer = await self.client.post(f"/api/homes/{self.home_id}/devices", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def told(self, offered: Offered) -> str:
        """The device's id, or the reason."""
        try:
            return (await self.admission.admit(offered)).device_id
        except NotAdmitted as error:
            return error.why.name


def offer(device_id: str = LAMP, secret: str = SECRET, stamp: str = STAMP, mode: int = 0) -> Offered:
    """A CONNECT as it should be."""
    return Offered(
        client_id=f"{device_id}_0_{mode}_{stamp}",
        username=device_id,
        password=password(secret.encode(), stamp).encode(),
        certificate=None,
        address="192.0.2.7",
        level=4,
        clean=True,
        keep_alive=60,
    )


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with Api(tmp_path) as api:
        client = await api.person("anna")
        door = Door(api, client, await home_of(client))
        door.lamp = (await door.register("0001", secret=SECRET))["device"]["id"]
        yield door


async def test_a_registered_device_is_let_in_and_has_its_topics(door: Door) -> None:
    principal = await door.admission.admit(offer())
    assert (principal.device_id, principal.session) == (door.lamp, LAMP)
    own, others = f"$oc/devices/{LAMP}/sys/properties/report", "$oc/devices/lamp_0002/sys/properties/report"
    assert door.admission.may_publish(principal, own)
    assert not door.admission.may_publish(principal, others)
    assert not door.admission.may_subscribe(principal, "$oc/devices/lamp_0002/#")
    assert f"$oc/devices/{LAMP}/sys/messages/down" in door.admission.implicit(principal)


REFUSED: dict[str, tuple[Offered, str]] = {
    "a wrong secret": (offer(secret="another secret"), "CREDENTIALS"),
    "no password": (replace(offer(), password=None), "CREDENTIALS"),
    "the secret itself": (replace(offer(), password=SECRET.encode()), "CREDENTIALS"),
    "an unknown device": (offer("lamp_0009"), "CREDENTIALS"),
    "another's name": (replace(offer(), username="lamp_0002"), "CREDENTIALS"),
    "no name": (replace(offer(), username=None), "CREDENTIALS"),
    "an old stamp that is checked": (offer(mode=1), "CREDENTIALS"),
    "another's stamp": (replace(offer(), client_id=f"{LAMP}_0_0_2019120220"), "CREDENTIALS"),
    "no client id": (replace(offer(), client_id=LAMP), "CLIENT_ID"),
    "no keep-alive": (replace(offer(), keep_alive=0), "CLIENT_ID"),
    "a certificate it never had": (replace(offer(), password=None, certificate=b"der"), "CREDENTIALS"),
}


async def test_nobody_else_is(door: Door) -> None:
    told = {}
    for name, (offered, _) in REFUSED.items():
        told[name] = await door.told(offered)
        door.api.forward(61_000)  # guesses are counted
    assert told == {name: why for name, (_, why) in REFUSED.items()}


async def test_what_is_compared_for_the_time_it_takes_opens_nothing(door: Door) -> None:
    for secret in _NOBODYS:
        assert await door.told(offer(secret=secret.decode())) == "CREDENTIALS"
        assert await door.told(offer("lamp_0009", secret.decode())) == "CREDENTIALS"


def test_the_codes_are_those_of_the_document() -> None:
    told = (Reason.CLIENT_ID, Reason.UNAVAILABLE, Reason.CREDENTIALS, Reason.NOT_AUTHORIZED, Reason.CONNECTION_RATE)
    assert [why.return_code for why in told] == [2, 3, 4, 5, 3]


async def test_a_stamp_that_is_checked_is_of_the_hubs_time(door: Door) -> None:
    now = door.api.clock.now().ms
    assert await door.told(offer(stamp=hour_stamp(now), mode=1)) == door.lamp
    assert await door.told(offer(stamp=hour_stamp(now - 3 * 3_600_000), mode=1)) == "CREDENTIALS"


async def test_a_frozen_device_is_told_so_only_by_its_secret(door: Door) -> None:
    door.frozen.add(door.lamp)
    assert await door.told(offer()) == "NOT_AUTHORIZED"
    assert await door.told(offer(secret="another secret")) == "CREDENTIALS"


async def test_a_secret_can_be_changed_while_the_old_one_is_in_use(door: Door) -> None:
    path = f"/api/devices/{door.lamp}/secret"
    made = (await door.client.post(path, json={"which": "secondary"})).json()
    assert (made["device_id"], len(made["secret"])) == (LAMP, 32)
    assert await door.told(offer(secret=made["secret"])) == await door.told(offer()) == door.lamp
    await door.client.post(path, json={"secret": "a-third-secret"})
    assert await door.told(offer()) == "CREDENTIALS"
    assert await door.told(offer(secret="a-third-secret")) == door.lamp


async def test_who_was_removed_is_unknown_at_once(door: Door) -> None:
    assert (await door.client.delete(f"/api/devices/{door.lamp}")).status_code == 204
    assert await door.told(offer()) == "CREDENTIALS"


async def test_guesses_are_counted_and_lock_nobody_out_who_is_at_home(door: Door) -> None:
    assert await door.told(offer()) == door.lamp
    strange = replace(offer(secret="another secret"), address="198.51.100.1")
    told = [await door.told(strange) for _ in range(12)]
    assert told == ["CREDENTIALS"] * 10 + ["CONNECTION_RATE"] * 2
    assert await door.told(replace(offer(), address="203.0.113.5")) == "CONNECTION_RATE"
    assert await door.told(offer()) == door.lamp
    door.api.forward(61_000)
    assert await door.told(replace(offer(), address="203.0.113.5")) == door.lamp


async def test_guesses_at_many_devices_from_one_address_are_counted(door: Door) -> None:
    told = [await door.told(offer(f"lamp_1{number}")) for number in range(61)]
    assert told == ["CREDENTIALS"] * 60 + ["CONNECTION_RATE"]


async def test_the_first_certificate_a_device_shows_is_its_own(door: Door) -> None:
    registered = await door.register("0002", auth="certificate")
    assert registered["secret"] is None
    shown = replace(offer("lamp_0002"), password=None, certificate=b"first")
    assert await door.told(replace(shown, username="lamp_0001")) == "CREDENTIALS"
    assert await door.told(shown) == registered["device"]["id"]
    assert await door.told(shown) == registered["device"]["id"]
    assert await door.told(replace(shown, certificate=b"second")) == "CREDENTIALS"
    assert await door.told(offer("lamp_0002")) == "CREDENTIALS"


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
async def test_a_certificate_is_known_by_either_fingerprint(door: Door, digest: str) -> None:
    print_ = hashlib.new(digest, b"mine").hexdigest().upper()
    registered = await door.register("0003", auth="certificate", fingerprint=print_)
    shown = replace(offer("lamp_0003"), password=None, certificate=b"mine")
    assert await door.told(shown) == registered["device"]["id"]
    assert await door.told(replace(shown, certificate=b"other")) == "CREDENTIALS"


async def test_a_paired_device_has_the_secret_of_its_binding(door: Door) -> None:
    device_id = await bind(door.api, door.home_id, "d-paired")
    secret = derived_secret(hashlib.sha256(b"d-paired").digest()[::-1]).decode()
    assert await door.told(offer("d-paired", secret)) == device_id
    await door.client.post(f"/api/devices/{device_id}/secret", json={"secret": "one-of-its-own"})
    assert await door.told(offer("d-paired", secret)) == "CREDENTIALS"
    assert await door.told(offer("d-paired", "one-of-its-own")) == device_id


async def test_who_is_behind_a_gateway_connects_through_it_alone(door: Door) -> None:
    gateway = await door.register("9", product_id="gateway")
    behind = await door.register("0004", gateway_id=gateway["device"]["id"])
    assert behind["secret"] is None
    assert await door.told(offer("lamp_0004")) == "CREDENTIALS"
    refused = await door.client.post(f"/api/devices/{behind['device']['id']}/secret", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "device_without_credential")


async def test_an_id_is_one_devices_and_never_that_of_one_with_a_key(door: Door) -> None:
    again = await door.client.post(f"/api/homes/{door.home_id}/devices", json={"product_id": "lamp", "node_id": "0001"})
    assert (again.status_code, again.json()["code"]) == (409, "device_id_taken")
    keyed = {"product_id": "lamp", "node_id": "1", "device_id": "d-aaaaaaaaaaaaaaaaaaaaaaaa"}
    assert (await door.client.post(f"/api/homes/{door.home_id}/devices", json=keyed)).status_code == 400


async def test_secrets_outlive_a_restart_and_are_in_no_table_as_they_are(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        client = await api.person("anna")
        door = Door(api, client, await home_of(client))
        lamp = (await door.register("0001", secret=SECRET))["device"]["id"]
        rows = await api.store.read(lambda reader: reader.all("SELECT row, sealed FROM secrets"))
        assert any(row.startswith(f"device-secrets/{lamp}") for row, _ in rows)
        assert all(SECRET.encode() not in sealed for _, sealed in rows)
    async with Api(tmp_path) as api:
        assert await Door(api, None, "").told(offer()) == lamp


async def test_beside_a_broker_a_topic_says_whose_it_is(door: Door) -> None:
    addressing = IotdaAddressing(door.proving)
    principal = addressing.speaker(f"$oc/devices/{LAMP}/sys/properties/report")
    assert principal is not None
    assert principal.device_id == door.lamp
    assert addressing.speaker("$oc/devices/lamp_0009/sys/properties/report") is None
    assert addressing.speaker(f"$oc/devices/{LAMP}/sys/messages/down") is None
    assert addressing.speaker("elsewhere") is None
    await door.register("0010", link="heartbeat")
    assert addressing.speaker("$oc/devices/lamp_0010/sys/properties/report") is None
