"""`ble.mesh.store.MeshStore` over the hub's own store: one network a home, its keys in the vault."""

import secrets

import msgspec
from msgspec.structs import replace

from app.links.mesh import queries
from app.links.mesh.queries import KeyRow, NetworkRow
from app.store.errors import VaultMismatch
from app.store.store import Store
from app.store.tx import Tx
from app.store.vault import Vault
from ble.mesh.crypto import KEY_SIZE
from ble.mesh.iv import Iv
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.sequence import Reserved
from ble.mesh.state import MeshState, NodeRow
from ble.mesh.store import StateUnreadable


class HomeStore:
    """One home's network.

    The numbers of a restored hub move past all that can have been used since: the first `load` of a new incarnation
    does that, in the transaction in which it notes that it did.
    """

    def __init__(self, store: Store, home_id: str) -> None:
        self._store = store
        self._home_id = home_id
        # As on disk: what has not changed is not written, and no key sealed, again.
        self._nodes: dict[int, NodeRow] = {}
        self._secrets: dict[str, bytes] = {}

    async def load(self) -> MeshState | None:
        """See the Protocol; raises StoreError besides."""
        return await self._store.write(self.load_in)

    async def save(self, state: MeshState) -> None:
        # A copy: the stack goes on while the writer's thread reads.
        kept = _copy(state)
        await self._store.write(lambda tx: self._save_in(tx, kept))

    async def save_sequence(self, iv: Iv, reserved: Reserved) -> None:
        await self._store.write(lambda tx: self._number_in(tx, iv=iv, reserved=reserved))

    async def save_replay(self, marks: dict[int, int]) -> None:
        await self._store.write(lambda tx: queries.raise_replay(tx, self._home_id, marks))

    def create_in(self, tx: Tx, state: MeshState, network_id: str) -> None:
        """Begin a network inside `tx`."""
        row = NetworkRow(
            network_id=network_id,
            address=state.address,
            elements=state.elements,
            iv=state.iv,
            reserved=state.reserved,
            numbered_at=_known_time(tx),
            incarnation=queries.incarnation(tx),
        )
        queries.put_network(tx, self._home_id, row)
        self._rest_in(tx, state)

    def load_in(self, tx: Tx) -> MeshState | None:
        """`load` inside `tx`."""
        row = queries.network(tx, self._home_id)
        if row is None:
            return None
        state = self._state_in(tx, row)
        now = queries.incarnation(tx)
        if row.incarnation != now:
            state.jump(_seconds_since(tx, row.numbered_at), secrets.randbelow)
            moved = replace(row, address=state.address, reserved=state.reserved, incarnation=now)
            queries.put_network(tx, self._home_id, replace(moved, numbered_at=_known_time(tx)))
            queries.retire(tx, self._home_id, state.retired)
        self._keep(tx, _copy(state), _secrets(self._home_id, state))
        return state

    def _state_in(self, tx: Tx, row: NetworkRow) -> MeshState:
        home, vault = self._home_id, self._store.vault
        state = MeshState(address=row.address, elements=row.elements, iv=row.iv, reserved=row.reserved)
        state.device_key = _secret(vault, tx, own_row(home))
        for key in queries.keys(tx, home):
            octets = _secret(vault, tx, key_row(home, key))
            old, new = octets[:KEY_SIZE], octets[KEY_SIZE:] or None
            if key.kind == "net":
                state.net_keys[key.index] = NetKey(index=key.index, key=old, new_key=new, phase=key.phase)
            else:
                state.app_keys[key.index] = AppKey(index=key.index, key=old, new_key=new, net_index=key.net_index)
        for node in queries.nodes(tx, home):
            node.device_key = _secret(vault, tx, device_row(home, node.address))
            state.add_node(node)
        state.replay = queries.replay(tx, home)
        state.retired = queries.retired(tx, home)
        return state

    def _save_in(self, tx: Tx, state: MeshState) -> None:
        self._number_in(tx, iv=state.iv, reserved=state.reserved)
        self._rest_in(tx, state)

    def _number_in(self, tx: Tx, *, iv: Iv, reserved: Reserved) -> None:
        """IV index and numbers, forward only: who would put them back must not send another octet."""
        row = queries.network(tx, self._home_id)
        if row is None:
            raise StateUnreadable("the home has no network any more")
        was = row.reserved
        if (reserved.iv_index, reserved.upto) < (was.iv_index, was.upto) or iv.index < row.iv.index:
            raise StateUnreadable("sequence numbers would go back")
        queries.put_network(tx, self._home_id, replace(row, iv=iv, reserved=reserved, numbered_at=_known_time(tx)))

    def _rest_in(self, tx: Tx, state: MeshState) -> None:
        """Keys, nodes, retired addresses and marks; what has not changed is left alone."""
        home, vault = self._home_id, self._store.vault
        held = _secrets(home, state)
        queries.put_keys(tx, home, _key_rows(state))
        for row, octets in held.items():
            if self._secrets.get(row) != octets:
                vault.keep(tx, row, octets)
        for row in self._secrets.keys() - held.keys():
            vault.drop(tx, row)
        for address, node in state.nodes.items():
            if self._nodes.get(address) != node:
                queries.put_node(tx, home, node)
        for address in self._nodes.keys() - state.nodes.keys():
            queries.delete_node(tx, home, address)
        queries.retire(tx, home, state.retired)
        queries.raise_replay(tx, home, state.replay)
        self._keep(tx, state, held)

    def _keep(self, tx: Tx, state: MeshState, held: dict[str, bytes]) -> None:
        """Remember what is on disk, once it is."""

        def kept() -> None:
            self._nodes, self._secrets = state.nodes, held

        tx.after(kept)


def forget_in(tx: Tx, vault: Vault, home_id: str) -> None:
    """The home's network ends, and with it its keys."""
    queries.drop_network(tx, home_id)
    vault.forget(tx, f"mesh/{home_id}/")


def own_row(home_id: str) -> str:
    """Where the hub's own device key is."""
    return f"mesh/{home_id}/own"


def key_row(home_id: str, key: KeyRow) -> str:
    """Where a network or application key is: during a refresh, the new one behind the old."""
    return f"mesh/{home_id}/{key.kind}/{key.index}"


def device_row(home_id: str, address: int) -> str:
    """Where a node's device key is."""
    return f"mesh/{home_id}/device/{address}"


def _copy(state: MeshState) -> MeshState:
    return msgspec.json.decode(msgspec.json.encode(state), type=MeshState)


def _secret(vault: Vault, tx: Tx, row: str) -> bytes:
    try:
        found = vault.fetch(tx, row)
    except VaultMismatch as error:
        raise StateUnreadable(str(error)) from error
    if found is None:
        raise StateUnreadable(f"no secret at {row}")
    return found


def _key_rows(state: MeshState) -> list[KeyRow]:
    nets = [KeyRow("net", key.index, key.index, key.phase) for key in state.net_keys.values()]
    return nets + [KeyRow("app", key.index, key.net_index, 0) for key in state.app_keys.values()]


def _secrets(home_id: str, state: MeshState) -> dict[str, bytes]:
    """Everything of it that is the vault's, by row."""
    found = {own_row(home_id): state.device_key}
    for row in _key_rows(state):
        key = state.net_keys[row.index] if row.kind == "net" else state.app_keys[row.index]
        found[key_row(home_id, row)] = key.key + (key.new_key or b"")
    return found | {device_row(home_id, node.address): node.device_key for node in state.nodes.values()}


def _known_time(tx: Tx) -> int | None:
    return tx.now if tx.moment.trusted else None


def _seconds_since(tx: Tx, at: int | None) -> float:
    """Negative where nobody knows: a clock that nobody has set says nothing."""
    return (tx.now - at) / 1000 if at is not None and tx.moment.trusted and tx.now >= at else -1.0
