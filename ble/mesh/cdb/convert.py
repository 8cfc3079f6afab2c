"""Between the database and the state that a member of the network keeps."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from ble.mesh.address import MAX_UNICAST
from ble.mesh.cdb.file import DatabaseInvalid, plain
from ble.mesh.cdb.schema import (
    AddressRange,
    AppKeyRow,
    Database,
    ElementRow,
    Exclusions,
    FeatureRow,
    GroupRow,
    KeyState,
    ModelRow,
    NetKeyRow,
    ProvisionerRow,
    SceneRow,
)
from ble.mesh.cdb.schema import NodeRow as CdbNode
from ble.mesh.config.composition import Composition, Element, unpack
from ble.mesh.iv import Iv
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.model_id import ModelId, from_text
from ble.mesh.state import MeshState, NodeRow


class ModelSetting(Struct, frozen=True):
    """What a model is bound to and listens to; a virtual address is its label's 16 octets."""

    bind: tuple[int, ...] = ()
    subscribe: tuple[int | bytes, ...] = ()


class About(Struct, frozen=True, kw_only=True):
    """What the database says beside the state. UUIDs are 16 octets, `timestamp` is RFC 3339 in UTC."""

    mesh_uuid: bytes
    own_uuid: bytes
    name: str
    timestamp: str
    provisioner: str = "Doorstep"
    unicast: tuple[int, int] = (0x0001, MAX_UNICAST)
    groups: Mapping[int, str] = {}
    scenes: Mapping[int, tuple[str, tuple[int, ...]]] = {}
    models: Mapping[tuple[int, ModelId], ModelSetting] = {}


def export(state: MeshState, about: About) -> Database:
    """The whole network, keys included: whoever reads it is its provisioner. `models` is by element address."""
    return Database(
        mesh_uuid=_uuid(about.mesh_uuid),
        mesh_name=about.name,
        timestamp=about.timestamp,
        net_keys=[_net_key(key, about.timestamp) for key in state.net_keys.values()],
        app_keys=[_app_key(key) for key in state.app_keys.values()],
        provisioners=[_provisioner(about)],
        nodes=[_ourselves(state, about), *(_node(node, state, about) for node in state.nodes.values())],
        groups=[GroupRow(name=name, address=_hex(address)) for address, name in about.groups.items()],
        scenes=[
            SceneRow(name=name, number=_hex(number), addresses=[_hex(address) for address in addresses])
            for number, (name, addresses) in about.scenes.items()
        ],
        network_exclusions=_exclusions(state),
    )


def to_state(database: Database, *, own_uuid: bytes, address: int | None = None, iv_index: int = 0) -> MeshState:
    """The state of a member of the network. Raises DatabaseInvalid.

    The node of `own_uuid` is ourselves, where there is one; else we take `address` (or the first that is free).
    The format does not hold the IV index: `iv_index` is what the network's beacon says.
    """
    state = MeshState(address=0, elements=0, iv=Iv(index=iv_index))
    state.net_keys = {row.index: _read_net_key(row) for row in database.net_keys}
    state.app_keys = {row.index: _read_app_key(row, state.net_keys) for row in database.app_keys}
    for row in database.nodes:
        _take_in(row, state, own_uuid)
    spans = [int(text, 16) for exclusion in database.network_exclusions for text in exclusion.addresses]
    state.retired += [(one, 1) for one in spans]
    if not state.address:
        _settle(state, free_address(database) if address is None else address)
    return state


def free_address(database: Database) -> int:
    """The first unicast address that no node has and no provisioner may give away. Raises DatabaseInvalid."""
    spans = [(int(node.unicast_address, 16), len(node.elements)) for node in database.nodes]
    for provisioner in database.provisioners:
        for row in provisioner.allocated_unicast_range:
            low, high = int(row.low_address, 16), int(row.high_address, 16)
            spans.append((low, high - low + 1))
    spans += [(int(text, 16), 1) for exclusion in database.network_exclusions for text in exclusion.addresses]
    at = 1
    for first, count in sorted(spans):
        if first > at:
            break
        at = max(at, first + count)
    if at > MAX_UNICAST:
        raise DatabaseInvalid("every address is somebody's: name one of a range that is given up")
    return at


def settings(database: Database) -> dict[tuple[int, ModelId], ModelSetting]:
    """What each model is bound to and listens to, by element address. Raises DatabaseInvalid."""
    found = {}
    for node in database.nodes:
        for element in node.elements:
            for model in element.models:
                at = (int(node.unicast_address, 16) + element.index, from_text(model.model_id))
                found[at] = ModelSetting(tuple(model.bind), tuple(_subscribed(text) for text in model.subscribe))
    return found


# Out


def _provisioner(about: About) -> ProvisionerRow:
    low, high = about.unicast
    return ProvisionerRow(
        provisioner_name=about.provisioner,
        uuid=_uuid(about.own_uuid),
        allocated_unicast_range=[AddressRange(low_address=_hex(low), high_address=_hex(high))],
    )


def _net_key(key: NetKey, timestamp: str) -> NetKeyRow:
    current, old = _both(key.key, key.new_key)
    name = f"Network Key {key.index}"
    return NetKeyRow(index=key.index, key=current, old_key=old, phase=key.phase, name=name, timestamp=timestamp)


def _app_key(key: AppKey) -> AppKeyRow:
    current, old = _both(key.key, key.new_key)
    name = f"Application Key {key.index}"
    return AppKeyRow(index=key.index, bound_net_key=key.net_index, key=current, old_key=old, name=name)


def _both(key: bytes, new_key: bytes | None) -> tuple[str, Any]:
    """`key` is the new one while a refresh lasts, `oldKey` the one before (2.1.2)."""
    return (key.hex().upper(), UNSET) if new_key is None else (new_key.hex().upper(), key.hex().upper())


def _ourselves(state: MeshState, about: About) -> CdbNode:
    return CdbNode(
        uuid=_uuid(about.own_uuid),
        name=about.provisioner,
        unicast_address=_hex(state.address),
        device_key=state.device_key.hex().upper() or UNSET,
        config_complete=True,
        elements=[ElementRow(index=index, location="0000", models=[]) for index in range(state.elements)],
        net_keys=[KeyState(index=index) for index in state.net_keys],
        app_keys=[KeyState(index=index) for index in state.app_keys],
    )


def _node(node: NodeRow, state: MeshState, about: About) -> CdbNode:
    made = unpack(node.composition) if node.composition else None
    return CdbNode(
        uuid=_uuid(node.uuid),
        name=node.name,
        unicast_address=_hex(node.address),
        device_key=node.device_key.hex().upper(),
        config_complete=made is not None,
        elements=_elements(node, made, about),
        net_keys=[KeyState(index=index, updated=_updated(state, index)) for index in node.net_keys],
        app_keys=[KeyState(index=index) for index in node.app_keys],
        cid=_hex(made.company) if made else UNSET,
        pid=_hex(made.product) if made else UNSET,
        vid=_hex(made.version) if made else UNSET,
        crpl=_hex(made.replay_list) if made else UNSET,
        features=_feature_row(made.features) if made else UNSET,
    )


def _feature_row(features: int) -> FeatureRow:
    """Which there are; whether one is switched off only the node knows."""
    relay, proxy, friend, low_power = (1 if features >> bit & 1 else 2 for bit in range(4))
    return FeatureRow(relay=relay, proxy=proxy, friend=friend, low_power=low_power)


def _updated(state: MeshState, index: int) -> bool:
    return index in state.net_keys and state.net_keys[index].phase == 2


def _elements(node: NodeRow, made: Composition | None, about: About) -> list[ElementRow]:
    known: Sequence[Element] = made.elements if made else [Element(0, ())] * node.elements
    return [
        ElementRow(
            index=index,
            location=_hex(element.location),
            models=[_model(node.address + index, model, about) for model in element.models],
        )
        for index, element in enumerate(known)
    ]


def _model(address: int, model: ModelId, about: About) -> ModelRow:
    setting = about.models.get((address, model), ModelSetting())
    subscribe = [one.hex().upper() if isinstance(one, bytes) else _hex(one) for one in setting.subscribe]
    return ModelRow(model_id=model.text, bind=list(setting.bind), subscribe=subscribe)


def _exclusions(state: MeshState) -> list[Exclusions]:
    if not state.retired:
        return []
    addresses = {address for first, count in state.retired for address in range(first, first + count)}
    return [Exclusions(iv_index=state.iv.index, addresses=[_hex(address) for address in sorted(addresses)])]


def _hex(number: int) -> str:
    return f"{number:04X}"


def _uuid(octets: bytes) -> str:
    return str(UUID(bytes=octets)).upper()


# In


def _read_net_key(row: NetKeyRow) -> NetKey:
    key, new_key = _read_both(row.key, row.old_key, row.phase)
    return NetKey(index=row.index, key=key, new_key=new_key, phase=row.phase if new_key else 0)


def _read_app_key(row: AppKeyRow, nets: Mapping[int, NetKey]) -> AppKey:
    key, new_key = _read_both(row.key, row.old_key, nets[row.bound_net_key].phase)
    return AppKey(index=row.index, key=key, new_key=new_key, net_index=row.bound_net_key)


def _read_both(key: str, old_key: Any, phase: int) -> tuple[bytes, bytes | None]:
    if phase == 0 or old_key is UNSET:
        return bytes.fromhex(key), None
    return bytes.fromhex(old_key), bytes.fromhex(key)


def _take_in(row: CdbNode, state: MeshState, own_uuid: bytes) -> None:
    uuid, first = bytes.fromhex(plain(row.uuid)), int(row.unicast_address, 16)
    key = b"" if row.device_key is UNSET else bytes.fromhex(str(row.device_key))
    if row.excluded:
        state.retired.append((first, len(row.elements)))
    elif uuid == own_uuid:
        state.address, state.elements, state.device_key = first, len(row.elements), key
    elif not key:
        state.retired.append((first, len(row.elements)))  # a partial export: it is there, but not ours to configure
    else:
        state.add_node(
            NodeRow(
                uuid=uuid,
                address=first,
                elements=len(row.elements),
                device_key=key,
                name=row.name,
                net_keys=[one.index for one in row.net_keys],
                app_keys=[one.index for one in row.app_keys],
                composition=_page(row),
            )
        )


def _page(row: CdbNode) -> bytes:
    """Composition data page 0 as the row tells it; empty where the node was never asked."""
    if row.cid is UNSET:
        return b""
    elements = []
    for element in sorted(row.elements, key=lambda one: one.index):
        models = sorted(
            (from_text(model.model_id) for model in element.models), key=lambda one: one.company is not None
        )
        elements.append(Element(int(element.location, 16), tuple(models)))
    numbers = (0 if text is UNSET else int(str(text), 16) for text in (row.cid, row.pid, row.vid, row.crpl))
    company, product, version, replay_list = numbers
    return Composition(
        company=company,
        product=product,
        version=version,
        replay_list=replay_list,
        features=_features(row),
        elements=tuple(elements),
    ).pack()


def _features(row: CdbNode) -> int:
    """A feature that the row does not say, or says is not supported (2), is not there."""
    if isinstance(row.features, UnsetType):
        return 0
    said = (row.features.relay, row.features.proxy, row.features.friend, row.features.low_power)
    return sum(1 << bit for bit, state in enumerate(said) if state in (0, 1))


def _subscribed(text: str) -> int | bytes:
    return int(text, 16) if len(text) == 4 else bytes.fromhex(text)


def _settle(state: MeshState, address: int) -> None:
    retired = (range(first, first + count) for first, count in state.retired)
    if not 1 <= address <= MAX_UNICAST or state.node_of(address) or any(address in span for span in retired):
        raise DatabaseInvalid("that address is taken")
    state.address, state.elements = address, 1
