"""What a device keeps: answers given once, the file that survives power loss."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from pairing import device
from pairing.device import FileDeviceStore
from pairing.errors import StorageFailedError
from pairing.identity import Identity
from pairing.messages import REMEMBERED_COMMANDS, Answer, HubCard, Hubs
from tests.pairing.home import activate, pair
from tests.pairing.stage import seeded


def test_a_command_is_remembered_with_its_answer_and_the_oldest_is_forgotten() -> None:
    state = device.new_state(seeded(1))
    for number in range(REMEMBERED_COMMANDS + 1):
        state = device.remember(state, Answer(id=f"c{number}", ok=True))
    assert device.answer_to(state, "c0") is None
    assert device.answer_to(state, "c1") == Answer(id="c1", ok=True)
    assert len(state.answered) == REMEMBERED_COMMANDS


def test_answers_outlive_pairing_again_with_the_same_hub_only() -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    lamp.save(device.remember(lamp.state, Answer(id="c", ok=True)))
    activate(hub, lamp)
    assert device.answer_to(lamp.state, "c")
    lamp.save(device.unbind(lamp.state))
    assert device.answer_to(lamp.state, "c") is None


def test_a_hub_that_moved_is_looked_for_where_it_said() -> None:
    hub, lamp = pair()
    assert device.moved(lamp.state, (("192.0.2.9", 1),)) == lamp.state
    activate(hub, lamp)
    state = device.moved(lamp.state, (("192.0.2.9", 1),))
    assert state.active is not None
    assert state.active.endpoints == (("192.0.2.9", 1),)


def card(name: str = "Attic") -> HubCard:
    return HubCard(Identity.generate(seeded(len(name))).public, name, (("192.0.2.7", 8471),))


def test_the_hubs_of_its_home_say_which_of_them_holds_it() -> None:
    hub, lamp = pair()
    assert device.held_by(lamp.state, Hubs(card(), 9)) == lamp.state
    activate(hub, lamp)
    first = lamp.state.active
    assert first is not None
    own = HubCard(first.hub_key, first.hub_name, first.endpoints)
    state = device.held_by(lamp.state, Hubs(own, first.epoch, card()))
    assert (state.active, state.standby and state.standby.hub_id) == (first, card().hub_id)
    state = device.held_by(state, Hubs(card(), first.epoch + 1, own))
    assert state.active is not None
    assert state.standby is not None
    assert (state.active.hub_id, state.active.credential) == (card().hub_id, first.credential)
    assert (state.active.endpoints, state.active.hub_name) == (card().endpoints, "Attic")
    assert (state.standby.hub_id, state.epoch) == (first.hub_id, first.epoch + 1)
    # A word of before that changes nothing; another of hubs that were meanwhile does.
    assert device.held_by(state, Hubs(own, first.epoch)) == state
    assert device.held_by(state, Hubs(card(), first.epoch + 1)).standby is None


def test_what_stands_by_is_no_candidate_and_ends_with_the_rest() -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    own = lamp.state.active
    assert own is not None
    state = device.held_by(lamp.state, Hubs(HubCard(own.hub_key, own.hub_name, own.endpoints), own.epoch, card()))
    assert state.standby is not None
    assert (state.candidates, state.known) == ((own,), (own, state.standby))
    assert not device.bound_elsewhere(state, own.hub_id)
    # The hub it came to has let it go: its own is left. Its own has, or it was reset: none is.
    assert device.refused(state, state.standby, "removed", 0).known == (own,)
    assert device.refused(state, own, "removed", 0).known == ()
    pairing_anew = device.prepare(state, replace(own, epoch=own.epoch + 1))
    assert device.refused(pairing_anew, own, "removed", 0).known == (pairing_anew.pending,)
    assert device.unbind(state).known == device.physical_reset(state).known == ()
    assert device.activate(device.prepare(state, own)).standby is None
    # While it is being paired, the pairing decides.
    pending = device.prepare(state, own)
    assert device.held_by(pending, Hubs(card("Cellar"), own.epoch + 5)) == pending


def test_a_reset_forgets_all_but_who_it_is() -> None:
    hub, lamp = pair(pin="12345678")
    activate(hub, lamp)
    state = device.physical_reset(device.count_try(lamp.state))
    assert state == device.DeviceState(lamp.state.identity)
    assert not state.paired


def test_the_file_gives_back_what_was_saved_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    hub, lamp = pair(pin="12345678")
    store = FileDeviceStore(tmp_path / "device.json")
    assert store.load() is None
    activate(hub, lamp)
    store.save(
        device.remember(device.prepare(lamp.state, lamp.state.candidates[0]), Answer(id="c", ok=False, error="x"))
    )
    loaded = store.load()
    assert loaded is not None
    assert loaded.active == loaded.pending == lamp.state.active
    assert loaded.answered[0].error == "x"
    assert (tmp_path / "device.json").stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.iterdir()] == ["device.json"]


def test_a_save_that_fails_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileDeviceStore(tmp_path / "device.json")
    old = device.new_state(seeded(1))
    store.save(old)

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageFailedError):
        store.save(device.new_state(seeded(2)))
    assert store.load() == old
    assert [p.name for p in tmp_path.iterdir()] == ["device.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"identity":{"private":1}}', b"\xff"])
def test_a_damaged_file_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.json"
    path.write_bytes(content)
    with pytest.raises(StorageFailedError):
        FileDeviceStore(path).load()
