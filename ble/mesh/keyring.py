"""Which keys of a state open what comes, and seal what goes."""

from collections.abc import Iterator

from ble.mesh.exchange import ByApp, ByDevice, KeyName, KeyUnknown
from ble.mesh.keys import Material, NetKey, aid, flooding
from ble.mesh.state import MeshState


def net_key(state: MeshState, index: int) -> NetKey:
    """Raises KeyUnknown."""
    try:
        return state.net_keys[index]
    except KeyError:
        raise KeyUnknown(f"network key {index}") from None


def materials(state: MeshState) -> dict[Material, int]:
    """Everything that is listened for, and the index of its network key."""
    return {flooding(key): one.index for one in state.net_keys.values() for key in one.receiving}


def sealing(state: MeshState, name: KeyName) -> tuple[int, bytes]:
    """The network key's index to send with, and the key. Raises KeyUnknown."""
    match name:
        case ByApp(index):
            app = state.app_keys.get(index)
            if app is None:
                raise KeyUnknown(f"application key {index}")
            return app.net_index, app.sending(net_key(state, app.net_index).phase)
        case ByDevice(address):
            return _device_key(state, address)


def applications(state: MeshState, net_index: int, name: int) -> Iterator[tuple[bytes, KeyName]]:
    """The application keys that go by this AID."""
    for app in state.app_keys.values():
        if app.net_index == net_index:
            yield from ((key, ByApp(app.index)) for key in app.receiving if aid(key) == name)


def devices(state: MeshState, src: int) -> Iterator[tuple[bytes, KeyName]]:
    """The device keys this source may use: its own, and ours."""
    node = state.node_of(src)
    if node:
        yield node.device_key, ByDevice(node.address)
    if state.device_key:
        yield state.device_key, ByDevice(state.address)


def revoke_old(state: MeshState, net_index: int) -> None:
    """Phase 3: the old keys of the network, and of the applications bound to it, are gone. Raises KeyUnknown."""
    net_key(state, net_index).revoke_old()
    for app in state.app_keys.values():
        if app.net_index == net_index:
            app.revoke_old()


def _device_key(state: MeshState, address: int) -> tuple[int, bytes]:
    node = state.node_of(address)
    if node:
        return (node.net_keys or [0])[0], node.device_key
    if address in state.addresses and state.device_key:
        return min(state.net_keys, default=0), state.device_key
    raise KeyUnknown(f"device key of {address:#06x}")
