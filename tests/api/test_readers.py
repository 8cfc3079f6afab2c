"""Phones that secrets are sealed for."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.store.retention import KEEP
from tests.api import linked_hubs as hubs
from tests.api.harness import Api
from tests.api.households import account_of
from tests.api.linked_hubs import told
from tests.api.test_accounts_signing_in import PASSWORD

PHONE = {"name": "Anna's phone", "seal_key": "09".ljust(64, "0")}


async def test_phones_are_added_listed_and_removed(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    heard: list[str] = []
    api.services.readers.on_changed.append(lambda tx, by, account_id: heard.append(account_id))
    made = await anna.post("/api/me/readers", json=PHONE)
    assert made.status_code == 201, made.text
    again = await anna.post("/api/me/readers", json=PHONE | {"name": "Her phone"})
    assert again.json() == made.json() | {"name": "Her phone"}
    assert (await anna.get("/api/me/readers")).json()["items"] == [again.json()]
    assert (await ben.get("/api/me/readers")).json()["items"] == []
    found = await api.store.read(lambda r: api.services.readers.of_account_in(r, account_of(anna)))
    assert [(r.id, r.name, r.seal_key.hex()) for r in found] == [(made.json()["id"], "Her phone", PHONE["seal_key"])]
    assert (await ben.delete(f"/api/me/readers/{made.json()['id']}")).status_code == 404
    assert (await anna.delete(f"/api/me/readers/{made.json()['id']}")).status_code == 204
    assert (await anna.delete(f"/api/me/readers/{made.json()['id']}")).status_code == 404
    assert heard == [account_of(anna)] * 2
    types = await api.store.read(lambda r: r.all("SELECT type FROM events WHERE kind='reader' ORDER BY seq"))
    assert [row[0] for row in types] == ["reader.added", "reader.renamed", "reader.removed"]


async def test_nothing_is_sealed_for_a_key_that_everybody_has_or_for_who_has_no_login(api: Api) -> None:
    anna, guest = await api.person("anna"), await api.person("guest", anonymous=True)
    for key in ("00" * 32, "01".ljust(64, "0"), "ed" + "ff" * 30 + "7f"):
        assert told(await anna.post("/api/me/readers", json=PHONE | {"seal_key": key})) == (400, "invalid")
    assert told(await guest.post("/api/me/readers", json=PHONE)) == (403, "refused")


async def test_an_account_has_so_many_phones(api: Api) -> None:
    anna, most = await api.person("anna"), KEEP["readers"].most or 0
    for n in range(most):
        key = f"{n + 2:02x}".ljust(64, "0")
        assert (await anna.post("/api/me/readers", json=PHONE | {"seal_key": key})).status_code == 201
    assert told(await anna.post("/api/me/readers", json=PHONE | {"seal_key": "ff".ljust(64, "0")})) == (429, "too_many")


async def test_phones_end_with_a_recovery_and_go_with_a_linked_key(api: Api, anna: Ed25519PrivateKey) -> None:
    there = await api.person("anna")
    await hubs.known(api, await hubs.key_of(anna), "Anna")
    guest = await hubs.signed_in(api, anna)
    made = (await guest.post("/api/me/readers", json=PHONE)).json()
    await guest.post("/api/sign-out")
    assert (await hubs.link(api, there, anna)).status_code == 201
    assert (await there.get("/api/me/readers")).json()["items"] == [made]
    await api.services.signing_in.recover_on_the_machine(login="anna", password=PASSWORD)
    left = await api.store.read(lambda r: api.services.readers.of_account_in(r, account_of(there)))
    assert left == []
