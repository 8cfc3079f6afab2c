"""The NetKey List and AppKey List states, and the key refresh phase (MshPRT 1.1, 4.4.1.2.8, 4.4.1.2.9, 4.4.1.2.13)."""

from ble.mesh.config.indexes import KeyPair
from ble.mesh.config.keys import (
    AppKeyAdd,
    AppKeyDelete,
    AppKeyGet,
    AppKeyList,
    AppKeyStatus,
    AppKeyUpdate,
    KeyRefreshPhaseGet,
    KeyRefreshPhaseSet,
    KeyRefreshPhaseStatus,
    NetKeyAdd,
    NetKeyDelete,
    NetKeyGet,
    NetKeyList,
    NetKeyStatus,
    NetKeyUpdate,
    Transition,
)
from ble.mesh.config.refused import Status
from ble.mesh.crypto import same
from ble.mesh.keyring import revoke_old
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.node.elements import Element, models_of
from ble.mesh.state import MeshState
from ble.mesh.wire import WireMessage

MAX_KEYS = 8
"""Of each kind."""


class KeyList:
    """The keys in `state`, and what in `elements` goes with a key that is deleted."""

    def __init__(self, state: MeshState, elements: list[Element]) -> None:
        self._state = state
        self._elements = elements

    def handle(self, asked: WireMessage) -> WireMessage | None:
        match asked:
            case NetKeyAdd() | NetKeyUpdate() | NetKeyDelete():
                return NetKeyStatus(self._change_net(asked), asked.index)
            case NetKeyGet():
                return NetKeyList(tuple(sorted(self._state.net_keys)))
            case AppKeyAdd() | AppKeyUpdate() | AppKeyDelete():
                return AppKeyStatus(self._change_app(asked), asked.indexes)
            case AppKeyGet(net_key):
                return self._list(net_key)
            case KeyRefreshPhaseGet(net_key) | KeyRefreshPhaseSet(net_key):
                return self._refresh(asked, net_key)
        return None

    def _change_net(self, asked: NetKeyAdd | NetKeyUpdate | NetKeyDelete) -> Status:
        held = self._state.net_keys.get(asked.index)
        match asked:
            case NetKeyAdd(index, key):
                return self._add_net(held, index, key)
            case NetKeyUpdate(_, key):
                return Status.INVALID_NETKEY_INDEX if held is None else _update_net(held, key)
            case NetKeyDelete(index):
                return self._delete_net(index)

    def _add_net(self, held: NetKey | None, index: int, key: bytes) -> Status:
        if held is not None:
            return Status.SUCCESS if same(held.key, key) else Status.KEY_INDEX_ALREADY_STORED
        if len(self._state.net_keys) >= MAX_KEYS:
            return Status.INSUFFICIENT_RESOURCES
        self._state.net_keys[index] = NetKey(index=index, key=key)
        return Status.SUCCESS

    def _delete_net(self, index: int) -> Status:
        if index in self._state.net_keys and len(self._state.net_keys) == 1:
            return Status.CANNOT_REMOVE
        if self._state.net_keys.pop(index, None) is not None:
            for app in [one for one in self._state.app_keys.values() if one.net_index == index]:
                self._forget_app(app.index)
        return Status.SUCCESS

    def _change_app(self, asked: AppKeyAdd | AppKeyUpdate | AppKeyDelete) -> Status:
        net, app = asked.indexes
        held = self._state.app_keys.get(app)
        if net not in self._state.net_keys:
            return Status.INVALID_NETKEY_INDEX
        if held is not None and held.net_index != net:
            return Status.INVALID_NETKEY_INDEX if isinstance(asked, AppKeyAdd) else Status.INVALID_BINDING
        match asked:
            case AppKeyAdd(_, key):
                return self._add_app(held, asked.indexes, key)
            case AppKeyUpdate(_, key):
                return Status.INVALID_APPKEY_INDEX if held is None else self._update_app(held, key)
        self._forget_app(app)
        return Status.SUCCESS

    def _add_app(self, held: AppKey | None, indexes: KeyPair, key: bytes) -> Status:
        if held is not None:
            return Status.SUCCESS if same(held.key, key) else Status.KEY_INDEX_ALREADY_STORED
        if len(self._state.app_keys) >= MAX_KEYS:
            return Status.INSUFFICIENT_RESOURCES
        self._state.app_keys[indexes.app] = AppKey(index=indexes.app, key=key, net_index=indexes.net)
        return Status.SUCCESS

    def _update_app(self, held: AppKey, key: bytes) -> Status:
        if self._state.net_keys[held.net_index].phase != 1:
            return Status.CANNOT_UPDATE
        if held.new_key is not None and not same(held.new_key, key):
            return Status.KEY_INDEX_ALREADY_STORED
        held.new_key = key
        return Status.SUCCESS

    def _forget_app(self, index: int) -> None:
        """With its bindings, and the publications under it."""
        self._state.app_keys.pop(index, None)
        for model in models_of(self._elements):
            model.bound = [one for one in model.bound if one != index]
            if model.publishing and model.publishing.publication.app_key == index:
                model.publishing = None

    def _list(self, net_key: int) -> AppKeyList:
        if net_key not in self._state.net_keys:
            return AppKeyList(Status.INVALID_NETKEY_INDEX, net_key, ())
        bound = sorted(app.index for app in self._state.app_keys.values() if app.net_index == net_key)
        return AppKeyList(Status.SUCCESS, net_key, tuple(bound))

    def _refresh(self, asked: WireMessage, net_key: int) -> KeyRefreshPhaseStatus:
        held = self._state.net_keys.get(net_key)
        if held is None:
            return KeyRefreshPhaseStatus(Status.INVALID_NETKEY_INDEX, net_key, 0)
        status = Status.SUCCESS
        if isinstance(asked, KeyRefreshPhaseSet):
            status = self._transition(held, asked.transition)
        return KeyRefreshPhaseStatus(status, net_key, held.phase)

    def _transition(self, held: NetKey, transition: int) -> Status:
        """Table 4.21: to phase 2 from 1 (and 2), to phase 3 from wherever it is."""
        if transition == Transition.USE_NEW and held.phase != 0:
            held.use_new()
            return Status.SUCCESS
        if transition != Transition.REVOKE_OLD:
            return Status.CANNOT_UPDATE
        revoke_old(self._state, held.index)
        return Status.SUCCESS


def _update_net(held: NetKey, key: bytes) -> Status:
    if held.phase == 0:
        held.begin(key)
        return Status.SUCCESS
    repeated = held.phase == 1 and held.new_key is not None and same(held.new_key, key)
    return Status.SUCCESS if repeated else Status.CANNOT_UPDATE
