"""The Mesh Configuration Database: out and in again, another application's file, and files of people who mean ill."""

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.mesh.cdb.convert import About, ModelSetting, export, free_address, settings, to_state
from ble.mesh.cdb.file import MAX_SIZE, DatabaseInvalid, dump, load
from ble.mesh.config.composition import Composition, Element
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.model_id import ModelId
from ble.mesh.models import onoff
from ble.mesh.state import MeshState, NodeRow
from tests.ble.mesh.prov_fuzzing import ROUNDS, fuzz

HUB, LAMP = bytes(range(16)), bytes(range(16, 32))
LABEL = bytes(range(100, 116))
PAGE = Composition(
    company=0x000C,
    product=1,
    version=2,
    replay_list=8,
    features=3,
    elements=(Element(0x0100, (ModelId(0), onoff.SERVER, ModelId(0x3F, 0x2A))), Element(0, (onoff.SERVER,))),
).pack()


def network() -> MeshState:
    state = MeshState(address=1, elements=1, device_key=bytes(16))
    state.net_keys = {0: NetKey(index=0, key=b"n" * 16), 5: NetKey(index=5, key=b"o" * 16, new_key=b"p" * 16, phase=1)}
    state.app_keys = {0: AppKey(index=0, key=b"a" * 16, net_index=0)}
    lamp = NodeRow(uuid=LAMP, address=2, elements=2, device_key=b"d" * 16, name="Lamp", composition=PAGE)
    lamp.net_keys, lamp.app_keys = [0], [0]
    state.add_node(lamp)
    return state


ABOUT = About(
    mesh_uuid=bytes(16),
    own_uuid=HUB,
    name="Home",
    timestamp="2026-01-02T03:04:05Z",
    groups={0xC000: "Kitchen"},
    scenes={1: ("Evening", (2, 3))},
    models={(2, onoff.SERVER): ModelSetting((0,), (0xC000, LABEL))},
)


def test_what_is_exported_is_imported() -> None:
    database = load(dump(export(network(), ABOUT)))
    state = to_state(database, own_uuid=HUB, iv_index=7)
    assert msgspec.to_builtins(state.net_keys) == msgspec.to_builtins(network().net_keys)
    assert msgspec.to_builtins(state.app_keys) == msgspec.to_builtins(network().app_keys)
    assert msgspec.to_builtins(state.nodes) == msgspec.to_builtins(network().nodes)
    assert (state.address, state.device_key, state.iv.index) == (1, bytes(16), 7)
    assert settings(database)[2, onoff.SERVER] == ABOUT.models[2, onoff.SERVER]
    assert [(row.name, row.address) for row in database.groups] == [("Kitchen", "C000")]


def test_the_names_are_the_formats_own() -> None:
    written = json.loads(dump(export(network(), ABOUT)))
    assert {"$schema", "id", "version", "meshUUID", "meshName", "timestamp", "partial", "netKeys"} <= set(written)
    assert {"appKeys", "provisioners", "nodes", "groups", "scenes", "networkExclusions"} <= set(written)
    refreshed = written["netKeys"][1]
    assert refreshed["key"] == (b"p" * 16).hex().upper()
    assert refreshed["oldKey"] == (b"o" * 16).hex().upper()
    assert {"UUID", "unicastAddress", "deviceKey", "configComplete", "excluded"} <= set(written["nodes"][1])
    assert written["nodes"][1]["elements"][0]["models"][2] == {"modelId": "002A003F", "subscribe": [], "bind": []}


def test_a_retired_address_is_not_given_away_by_who_reads_it() -> None:
    state = network()
    state.remove_node(2)
    read = to_state(load(dump(export(state, ABOUT))), own_uuid=HUB)
    assert read.free_address(1) == 4


FOREIGN: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "id": "http://www.bluetooth.com/specifications/assigned-numbers/mesh-profile/cdb-schema.json#",
    "version": "1.0.0",
    "meshUUID": "11111111-2222-3333-4444-555555555555",
    "meshName": "A phone's network",
    "timestamp": "2021-08-30T14:00:27+02:00",
    "partial": False,
    "someNewField": {"a": 1},
    "netKeys": [
        {
            "name": "Primary",
            "index": 0,
            "key": "00112233445566778899AABBCCDDEEFF",
            "phase": 0,
            "minSecurity": "insecure",
            "timestamp": "2021-08-30T13:56:35+02:00",
        }
    ],
    "appKeys": [{"name": "App", "index": 0, "boundNetKey": 0, "key": "FFEEDDCCBBAA99887766554433221100"}],
    "provisioners": [
        {
            "provisionerName": "Phone",
            "UUID": "66666666-2222-3333-4444-555555555555",
            "allocatedUnicastRange": [{"lowAddress": "0001", "highAddress": "199A"}],
            "allocatedGroupRange": [{"lowAddress": "C000", "highAddress": "CC9A"}],
            "allocatedSceneRange": [{"firstScene": "0001", "lastScene": "3333"}],
        }
    ],
    "nodes": [
        {
            "UUID": "77777777222233334444555555555555",
            "name": "Bulb",
            "deviceKey": "000102030405060708090A0B0C0D0E0F",
            "unicastAddress": "0002",
            "security": "insecure",
            "configComplete": True,
            "cid": "0059",
            "pid": "0001",
            "vid": "0001",
            "crpl": "0028",
            "features": {"friend": 2, "lowPower": 2, "proxy": 1, "relay": 0},
            "defaultTTL": 5,
            "netKeys": [{"index": 0, "updated": False}],
            "appKeys": [{"index": 0, "updated": False}],
            "networkTransmit": {"count": 3, "interval": 20},
            "elements": [
                {
                    "name": "Primary",
                    "index": 0,
                    "location": "0000",
                    "models": [
                        {"modelId": "0000", "subscribe": [], "bind": []},
                        {
                            "modelId": "1000",
                            "subscribe": ["C000"],
                            "bind": [0],
                            "publish": {
                                "address": "C000",
                                "index": 0,
                                "ttl": 255,
                                "credentials": 0,
                                "period": {"numberOfSteps": 0, "resolution": 100},
                                "retransmit": {"count": 0, "interval": 50},
                            },
                        },
                    ],
                }
            ],
            "excluded": False,
        }
    ],
    "groups": [{"name": "All", "address": "C000", "parentAddress": "0000"}],
    "scenes": [],
    "networkExclusions": [{"ivIndex": 3, "addresses": ["199B", "199C"]}],
}


def text_of(changed: dict[str, Any]) -> bytes:
    return json.dumps({**FOREIGN, **changed}).encode()


def test_another_applications_network_is_joined() -> None:
    """Fields as the phone libraries write them; the one that is not known here is passed over."""
    database = load(text_of({}))
    state = to_state(database, own_uuid=HUB)
    assert state.address == free_address(database) == 0x199D
    bulb = state.nodes[2]
    assert bulb.name == "Bulb"
    assert bulb.composition.hex() == "590001000100280003000000020000000010"
    assert to_state(database, own_uuid=HUB, address=0x0500).address == 0x0500
    for taken in (2, 0, 0x8000, 0x199B):
        with pytest.raises(DatabaseInvalid):
            to_state(database, own_uuid=HUB, address=taken)


def test_a_node_without_its_key_keeps_its_address() -> None:
    partial = json.loads(text_of({"partial": True}))
    del partial["nodes"][0]["deviceKey"]
    state = to_state(load(json.dumps(partial).encode()), own_uuid=HUB, address=1)
    assert state.nodes == {}
    assert state.free_address(1) == 3


def twice(name: str) -> dict[str, Any]:
    return {name: FOREIGN[name] * 2}


def node(**changed: Any) -> dict[str, Any]:
    return {"nodes": [{**FOREIGN["nodes"][0], **changed}]}


@pytest.mark.parametrize(
    "changed",
    [
        {"netKeys": []},
        {"meshUUID": "no"},
        {"appKeys": [{**FOREIGN["appKeys"][0], "boundNetKey": 1}]},
        {"appKeys": [{**FOREIGN["appKeys"][0], "key": "FFEEDDCCBBAA99887766554433221100\n"}]},
        {"appKeys": [{**FOREIGN["appKeys"][0], "index": 4096}]},
        twice("netKeys"),
        twice("appKeys"),
        twice("nodes"),
        twice("groups"),
        node(unicastAddress="0000"),
        node(unicastAddress="8000"),
        node(unicastAddress="7FFF", elements=[{"index": 0, "location": "0000", "models": []}] * 2),
        node(elements=[]),
        node(elements=[{"index": 1, "location": "0000", "models": []}]),
        node(netKeys=[{"index": 3}]),
        node(deviceKey=""),
        {
            "nodes": [
                FOREIGN["nodes"][0],
                {**FOREIGN["nodes"][0], "UUID": "00000000222233334444555555555555"},
            ]
        },
    ],
)
def test_a_file_that_contradicts_itself_is_refused_as_a_whole(changed: dict[str, Any]) -> None:
    with pytest.raises(DatabaseInvalid):
        load(text_of(changed))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b" " * (MAX_SIZE + 1)]
)
def test_what_is_no_database_is_refused(text: bytes) -> None:
    with pytest.raises(DatabaseInvalid):
        load(text)


def test_an_error_repeats_no_key() -> None:
    key = FOREIGN["appKeys"][0]["key"]
    with pytest.raises(DatabaseInvalid) as refused:
        load(text_of({"appKeys": [{**FOREIGN["appKeys"][0], "key": key + "00"}]}))
    assert key not in str(refused.value)


keys = st.binary(min_size=16, max_size=16)


@given(st.dictionaries(st.integers(0, 4095), keys, min_size=1, max_size=4), st.lists(st.integers(1, 5), max_size=5))
def test_any_network_comes_back(net_keys: dict[int, bytes], sizes: list[int]) -> None:
    state = MeshState(address=1, elements=1)
    state.net_keys = {index: NetKey(index=index, key=key) for index, key in net_keys.items()}
    for number, size in enumerate(sizes):
        uuid = number.to_bytes(16, "big")
        state.add_node(NodeRow(uuid=uuid, address=state.free_address(size), elements=size, device_key=bytes(16)))
    read = to_state(load(dump(export(state, ABOUT))), own_uuid=HUB)
    assert msgspec.to_builtins(read.nodes) == msgspec.to_builtins(state.nodes)
    assert msgspec.to_builtins(read.net_keys) == msgspec.to_builtins(state.net_keys)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_cdb_fuzzed(rounds: int) -> None:
    def parse(text: bytes) -> None:
        database = load(text)
        settings(database)
        to_state(database, own_uuid=HUB)

    drawn = random.Random(rounds)
    honest = [text_of({}), dump(export(network(), ABOUT)), text_of({"nodes": [], "groups": []})]
    honest += [text_of({name: drawn.choice([[], None, 1, "x", {}])}) for name in FOREIGN]
    assert fuzz("cdb", parse, honest, rounds, most=200) > 0
