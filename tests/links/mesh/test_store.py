"""The hub's own store of a mesh network: what comes back after a stop, a backup, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.links.mesh import queries
from app.links.mesh.store import HomeStore, forget_in
from app.store.backup import backup
from app.store.prepare import open_store
from app.store.restore import restore
from app.store.store import Store
from app.store.tx import Tx
from ble.mesh.address import is_unicast
from ble.mesh.iv import Iv
from ble.mesh.keys import AppKey
from ble.mesh.sequence import RATE, Reserved
from ble.mesh.state import JUMP, MeshState, NodeRow
from ble.mesh.store import StateUnreadable
from tests.ble.mesh.pairs import APP, DEVICE, NET, NODE, hub_state
from tests.store.conftest import START_MS, HandClock

HOME = "home"
PASSPHRASE = "correct horse battery staple"


def a_home(tx: Tx, home_id: str = HOME) -> None:
    tx.run("INSERT INTO homes(id,name,time_zone,created_at) VALUES(?,'h','UTC',1)", (home_id,))


def network() -> MeshState:
    state = hub_state()
    state.device_key = bytes(range(48, 64))
    return state


async def create(store: Store, home_id: str = HOME) -> HomeStore:
    mesh = HomeStore(store, home_id)

    def act(tx: Tx) -> None:
        a_home(tx, home_id)
        mesh.create_in(tx, network(), "8a1f")

    await store.write(act)
    return mesh


async def loaded(mesh: HomeStore) -> MeshState:
    state = await mesh.load()
    assert state is not None
    return state


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(folder: Path, clock: HandClock) -> AsyncIterator[Store]:
    opened = await open_store(folder, clock)
    yield opened
    await opened.close()


async def test_a_home_without_a_network_has_none(store: Store) -> None:
    assert await HomeStore(store, HOME).load() is None


async def test_everything_comes_back(store: Store) -> None:
    mesh = await create(store)
    state = await loaded(mesh)
    state.net_keys[0].begin(bytes(16))
    state.app_keys[0].new_key = bytes(range(1, 17))
    state.app_keys[7] = AppKey(index=7, net_index=0, key=bytes(range(2, 18)))
    state.iv = Iv(index=5, updating=True, since=1.5, recovered=2.5)
    state.reserved = Reserved(iv_index=4, upto=512, floor=3, floor_iv=9)
    state.add_node(
        NodeRow(
            uuid=bytes(range(16)),
            address=0x200,
            elements=3,
            device_key=bytes(range(3, 19)),
            name="strip",
            net_keys=[0],
            app_keys=[0, 7],
            composition=b"page 0",
        )
    )
    state.replay[0x200] = 77
    await mesh.save(state)
    assert await loaded(HomeStore(store, HOME)) == state
    state.remove_node(0x200)
    del state.app_keys[7]
    await mesh.save(state)
    assert await loaded(HomeStore(store, HOME)) == state


def written_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "vault.key")


async def test_keys_are_nowhere_but_in_the_vault(store: Store, folder: Path) -> None:
    await create(store)
    await store.close()
    written = await asyncio.to_thread(written_in, folder)
    assert not [key for key in (NET, APP, DEVICE, bytes(range(48, 64))) if key in written]


async def test_numbers_go_forward_only(store: Store) -> None:
    mesh = await create(store)
    await mesh.save_sequence(Iv(index=1), Reserved(iv_index=1, upto=256))
    for iv, reserved in (
        (Iv(index=1), Reserved(iv_index=1, upto=255)),
        (Iv(index=1), Reserved(iv_index=0, upto=999)),
        (Iv(index=0), Reserved(iv_index=1, upto=512)),
    ):
        with pytest.raises(StateUnreadable):
            await mesh.save_sequence(iv, reserved)
    state = await loaded(mesh)
    assert (state.iv, state.reserved) == (Iv(index=1), Reserved(iv_index=1, upto=256))


async def test_the_replay_list_is_only_raised(store: Store) -> None:
    mesh = await create(store)
    await mesh.save_replay({NODE: 9, NODE + 1: 3})
    await mesh.save_replay({NODE: 5})
    stale = await loaded(mesh)
    stale.replay = {NODE: 1}
    await mesh.save(stale)
    assert (await loaded(mesh)).replay == {NODE: 9, NODE + 1: 3}


async def test_homes_do_not_see_each_other(store: Store) -> None:
    ours, theirs = await create(store), await create(store, "other")
    await ours.save_replay({NODE: 9})
    await store.write(lambda tx: forget_in(tx, store.vault, "other"))
    assert await theirs.load() is None
    assert (await loaded(ours)).replay == {NODE: 9}
    left = await store.read(lambda reader: reader.all("SELECT row FROM secrets WHERE row LIKE 'mesh/other/%'"))
    assert left == []
    with pytest.raises(StateUnreadable):
        await theirs.save_sequence(Iv(), Reserved(upto=256))


async def test_a_missing_key_is_said(store: Store) -> None:
    mesh = await create(store)
    await store.write(lambda tx: store.vault.forget(tx, f"mesh/{HOME}/device/"))
    with pytest.raises(StateUnreadable):
        await mesh.load()


async def restored(folder: Path, store: Store, tmp_path: Path) -> None:
    """The hub goes on until now, and is then put back to its backup."""
    out = tmp_path / "backup"
    await backup(store, folder, out, PASSPHRASE)
    await store.close()
    await restore(out, folder, PASSPHRASE, force=True)


async def test_a_restored_hub_leaves_out_what_can_have_been_used(folder: Path, tmp_path: Path) -> None:
    clock = HandClock()
    store = await open_store(folder, clock)
    mesh = await create(store)
    await mesh.save_sequence(Iv(), Reserved(upto=512))
    await restored(folder, store, tmp_path)
    store = await open_store(folder, HandClock(START_MS + 3_600_000))
    try:
        first = await loaded(HomeStore(store, HOME))
        assert first.reserved.upto == 512 + 3600 * RATE + JUMP
        assert first.address == network().address
        again = await loaded(HomeStore(store, HOME))
        assert again.reserved == first.reserved, "once for each incarnation"
    finally:
        await store.close()


@pytest.mark.parametrize(("then", "now"), [(False, True), (True, False)])
async def test_a_restore_by_a_clock_nobody_set_takes_another_address(
    folder: Path, tmp_path: Path, *, then: bool, now: bool
) -> None:
    store = await open_store(folder, HandClock(trusted=then))
    mesh = await create(store)
    await mesh.save_sequence(Iv(), Reserved(upto=512))
    await restored(folder, store, tmp_path)
    store = await open_store(folder, HandClock(START_MS + 3_600_000, trusted=now))
    try:
        state = await loaded(HomeStore(store, HOME))
        assert state.address != network().address
        assert is_unicast(state.address)
        assert (network().address, 1) in state.retired
        assert await loaded(HomeStore(store, HOME)) == state
        kept = await store.read(lambda reader: queries.network(reader, HOME))
        assert kept is not None
        assert kept.incarnation == 2
    finally:
        await store.close()
