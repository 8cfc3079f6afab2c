"""Every secret the program keeps is a home's, and sealed for its hubs; or this node's own, with a reason."""

import ast
from pathlib import Path

import pytest

import app
from app.store.tx import Reader
from app.sync.sealing import places
from app.sync.sealing.places import OF_HOMES, OF_THIS_NODE, AtTheHub, refuse_of_homes
from tests.api.harness import Api
from tests.sync.sealing.estate import estate

# Of each call of `Vault.keep`: the module, and the row as it is written there; and how such rows begin.
KEPT = {
    ("app/accounts/service.py", "f'account/{account.id}/key'"): "account/",
    ("app/accounts/hub.py", "IDENTITY_ROW"): "hub/",
    ("app/accounts/keys.py", "secret_row(key.id)"): "key/",
    ("app/devices/credentials.py", "queries.secret_row(device.id, Which.PRIMARY)"): "device-secrets/",
    ("app/devices/credentials.py", "queries.secret_row(device_id, new.which)"): "device-secrets/",
    ("app/devices/registry.py", "queries.credential_row(new.hardware_id)"): "bindings/",
    ("app/devices/reset_queries.py", "secret_row(reset.hardware_id, which)"): "reset-secrets/",
    ("app/devices/sensors.py", "row"): "sensors/",
    ("app/links/mesh/store.py", "row"): "mesh/",
    ("app/onboarding/log.py", "_row(state.id)"): "pairing_session/",
    ("app/onboarding/networks.py", "_row(network)"): "wifi_network/",
    ("app/onboarding/rewiring.py", "_row(change.id)"): "wifi_change/",
    ("app/sync/enrolment/hub_end.py", "KEY_ROW"): "cloud/",
    ("app/sync/enrolment/hub_end.py", "SEAL_ROW"): "cloud/",
    ("app/sync/enrolment/hub_end.py", "SECRET_ROW"): "cloud/",
    ("app/sync/hub_cards.py", "place_of(home_id, hub_id)"): "hubs/",
    ("app/sync/iotda/service.py", "queries.secret_row(home_id)"): "iotda-upstream/",
    ("app/sync/sealing/ring.py", "OWN_ROW"): "home_keys/",
    ("app/sync/sealing/ring.py", "_beginning(home_id) + key.id"): "home_keys/",
    ("app/sync/sealing/ring.py", "_code_row(home_id)"): "home_codes/",
    # What it puts is of the log, and was asked of `places.is_of_homes`.
    ("app/sync/sealing/facts.py", "place"): "bindings/",
}


def _kept() -> set[tuple[str, str]]:
    root = Path(app.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keep":
                owner = ast.unparse(node.func.value)
                if owner.rpartition(".")[2].lstrip("_") == "vault":
                    found.add((f"app/{path.relative_to(root)}", ast.unparse(node.args[1])))
    return found


def test_every_secret_that_is_kept_is_somebodys() -> None:
    """One that is new here is added above, and to one of the tables of `places`: a home's, or this node's own."""
    found = _kept()
    assert len(found) >= 19
    assert found - KEPT.keys() == set()
    assert KEPT.keys() - found <= {("app/sync/iotda/service.py", "queries.secret_row(home_id)")}
    beginnings = {*OF_HOMES, *OF_THIS_NODE}
    assert set(KEPT.values()) <= beginnings
    assert not OF_HOMES.keys() & OF_THIS_NODE.keys()
    assert not [it for it in beginnings for other in beginnings if it != other and it.startswith(other)]


def test_a_cloud_keeps_none_of_a_homes() -> None:
    for beginning in (*(OF_HOMES.keys() - {"device-secrets/"}), "pairing_session/", "wifi_change/"):
        with pytest.raises(AtTheHub):
            refuse_of_homes(f"{beginning}x")
    for beginning in ("account/", "hub/", "key/", "cloud/", "device-secrets/"):
        refuse_of_homes(f"{beginning}x")


async def test_a_clouds_vault_asks_first(tmp_path: Path) -> None:
    async with Api(tmp_path, is_cloud=True) as cloud:
        for place in ("bindings/x", "mesh/x/own", "pairing_session/x"):
            with pytest.raises(AtTheHub):
                await cloud.store.write(lambda tx, it=place: cloud.store.vault.keep(tx, it, b"secret"))  # type: ignore[misc]


async def test_a_hub_knows_whose_each_of_its_secrets_is(tmp_path: Path) -> None:
    async with estate(tmp_path) as home:

        def ask(reader: Reader) -> tuple[dict[str, str | None], list[str]]:
            rows = [row for (row,) in reader.all("SELECT row FROM secrets")]
            return {row: places.home_of(reader, row) for row in rows}, places.of_home(reader, home.home)

        owners, ours = await home.one.api.store.read(ask)
        assert {row for row, owner in owners.items() if owner == home.home} == set(ours)
        assert set(home.places) <= set(ours)
        assert {row.partition("/")[0] for row, owner in owners.items() if owner is None} == {"account", "hub"}
        assert {it.partition("/")[0] + "/" for it in ours} == set(OF_HOMES)
