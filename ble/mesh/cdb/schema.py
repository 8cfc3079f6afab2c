"""The database's shape (Mesh CDB 1.0.1, 2.1): structs that mirror its JSON, names and all.

Keys and addresses are upper-case hexadecimal text, as the format has them; UUIDs are read with and without hyphens.
"""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
ID = "https://www.bluetooth.com/specifications/specs/mesh-cdb-1-0-1-schema.json#"
VERSION = "1.0.1"

MAX_NODES, MAX_KEYS, MAX_GROUPS, MAX_ELEMENTS, MAX_MODELS = 4096, 4096, 16384, 255, 255

Hex4: TypeAlias = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{4}\\Z")]
ModelText: TypeAlias = Annotated[str, Meta(pattern="^(?:[0-9A-Fa-f]{4}){1,2}\\Z")]
KeyText: TypeAlias = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{32}\\Z")]
AddressText: TypeAlias = Annotated[str, Meta(pattern="^(?:[0-9A-Fa-f]{4}|[0-9A-Fa-f]{32})\\Z")]
"""An address, or a label UUID."""
Uuid: TypeAlias = Annotated[
    str, Meta(pattern="^[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\\Z")
]
Name: TypeAlias = Annotated[str, Meta(max_length=256)]
Stamp: TypeAlias = Annotated[str, Meta(max_length=64)]
Index: TypeAlias = Annotated[int, Meta(ge=0, le=4095)]
Octet: TypeAlias = Annotated[int, Meta(ge=0, le=255)]


class _Row(Struct, kw_only=True, omit_defaults=False, rename="camel"):
    """Fields that we do not know are passed over: the format permits additions."""


class NetKeyRow(_Row):
    index: Index
    key: KeyText
    timestamp: Stamp
    name: Name = ""
    phase: Annotated[int, Meta(ge=0, le=2)] = 0
    min_security: Annotated[str, Meta(pattern="^(?:in)?secure\\Z")] = "secure"
    old_key: KeyText | UnsetType = UNSET


class AppKeyRow(_Row):
    index: Index
    bound_net_key: Index
    key: KeyText
    name: Name = ""
    old_key: KeyText | UnsetType = UNSET


class AddressRange(_Row):
    low_address: Hex4
    high_address: Hex4


class SceneRange(_Row):
    first_scene: Hex4
    last_scene: Hex4


Ranges: TypeAlias = Annotated[list[AddressRange], Meta(max_length=1024)]


class ProvisionerRow(_Row):
    provisioner_name: Name
    uuid: Uuid = field(name="UUID")
    allocated_unicast_range: Ranges = []
    allocated_group_range: Ranges = []
    allocated_scene_range: Annotated[list[SceneRange], Meta(max_length=1024)] = []


class KeyState(_Row):
    """A key that a node has, and whether it has the new one of a refresh."""

    index: Index
    updated: bool = False


class Retransmission(_Row):
    count: Annotated[int, Meta(ge=0, le=8)]
    interval: Annotated[int, Meta(ge=0, le=1600)]


class Period(_Row):
    number_of_steps: Annotated[int, Meta(ge=0, le=63)]
    resolution: Annotated[int, Meta(ge=0, le=600_000)]


class Credentials(_Row):
    address: AddressText
    index: Index
    ttl: Octet = 255
    period: Period | UnsetType = UNSET
    retransmit: Retransmission | UnsetType = UNSET
    credentials: Annotated[int, Meta(ge=0, le=1)] = 0


class ModelRow(_Row):
    model_id: ModelText
    subscribe: Annotated[list[AddressText], Meta(max_length=1024)] = []
    bind: Annotated[list[Index], Meta(max_length=MAX_KEYS)] = []
    publish: Credentials | UnsetType = UNSET


class ElementRow(_Row):
    index: Octet
    location: Hex4
    models: Annotated[list[ModelRow], Meta(max_length=MAX_MODELS)]
    name: Name = ""


class FeatureRow(_Row):
    """0 off, 1 on, 2 not supported."""

    relay: Annotated[int, Meta(ge=0, le=2)] | UnsetType = UNSET
    proxy: Annotated[int, Meta(ge=0, le=2)] | UnsetType = UNSET
    friend: Annotated[int, Meta(ge=0, le=2)] | UnsetType = UNSET
    low_power: Annotated[int, Meta(ge=0, le=2)] | UnsetType = UNSET


class NodeRow(_Row):
    uuid: Uuid = field(name="UUID")
    unicast_address: Hex4
    elements: Annotated[list[ElementRow], Meta(min_length=1, max_length=MAX_ELEMENTS)]
    device_key: KeyText | UnsetType = UNSET
    name: Name = ""
    security: Annotated[str, Meta(pattern="^(?:in)?secure\\Z")] = "secure"
    config_complete: bool = False
    excluded: bool = False
    cid: Hex4 | UnsetType = UNSET
    pid: Hex4 | UnsetType = UNSET
    vid: Hex4 | UnsetType = UNSET
    crpl: Hex4 | UnsetType = UNSET
    features: FeatureRow | UnsetType = UNSET
    secure_network_beacon: bool | UnsetType = UNSET
    default_ttl: Annotated[int, Meta(ge=0, le=127)] | UnsetType = field(default=UNSET, name="defaultTTL")
    network_transmit: Retransmission | UnsetType = UNSET
    relay_retransmit: Retransmission | UnsetType = UNSET
    net_keys: Annotated[list[KeyState], Meta(max_length=MAX_KEYS)] = []
    app_keys: Annotated[list[KeyState], Meta(max_length=MAX_KEYS)] = []


class GroupRow(_Row):
    name: Name
    address: AddressText
    parent_address: AddressText = "0000"


class SceneRow(_Row):
    name: Name
    number: Hex4
    addresses: Annotated[list[Hex4], Meta(max_length=MAX_NODES)] = []


class Exclusions(_Row):
    """Unicast addresses that must not be given away again while the IV index is that, or the next."""

    iv_index: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    addresses: Annotated[list[Hex4], Meta(max_length=32767)] = []


class Database(_Row):
    mesh_uuid: Uuid = field(name="meshUUID")
    mesh_name: Name
    timestamp: Stamp
    net_keys: Annotated[list[NetKeyRow], Meta(min_length=1, max_length=MAX_KEYS)]
    schema: Name = field(default=SCHEMA, name="$schema")
    id: Name = ID
    version: Name = VERSION
    partial: bool = False
    app_keys: Annotated[list[AppKeyRow], Meta(max_length=MAX_KEYS)] = []
    provisioners: Annotated[list[ProvisionerRow], Meta(max_length=1024)] = []
    nodes: Annotated[list[NodeRow], Meta(max_length=MAX_NODES)] = []
    groups: Annotated[list[GroupRow], Meta(max_length=MAX_GROUPS)] = []
    scenes: Annotated[list[SceneRow], Meta(max_length=0xFFFF)] = []
    network_exclusions: Annotated[list[Exclusions], Meta(max_length=4096)] = []
