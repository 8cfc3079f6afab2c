"""Power fails on either side, before or after any frame or commit: nothing half-made stays, and a retry converges."""

import pytest

from pairing import device
from tests.pairing.home import Device, Hub, activate, agreed, connect, pair, settle
from tests.pairing.stage import Cue, PowerCutError, Who

SIDES: tuple[Who, ...] = ("hub", "device")


def cut_points(pin: str | None, already: bool) -> list[Cue]:
    hub, lamp = start(pin, already)
    whole = activate(hub, lamp)
    turns = {"hub": whole.hub.turns, "device": whole.device.turns}
    return [Cue(who, turn, after) for who in SIDES for turn in range(1, turns[who] + 1) for after in (False, True)]


def start(pin: str | None, already: bool) -> tuple[Hub, Device]:
    hub, lamp = pair(pin=pin)
    if already:
        activate(hub, lamp)
    return hub, lamp


@pytest.mark.parametrize("already", [False, True], ids=["new", "again"])
@pytest.mark.parametrize("pin", [None, "12345678"], ids=["first-use", "pin"])
def test_power_loss_at_every_send_and_commit(pin: str | None, already: bool) -> None:
    cues = cut_points(pin, already)
    assert len(cues) >= 30
    for cue in cues:
        hub, lamp = start(pin, already)
        stage = activate(hub, lamp, cue=cue)
        cut = stage.hub if cue.who == "hub" else stage.device
        assert type(cut.error) is PowerCutError, cue
        settle(hub, lamp)
        nothing = not hub.devices and lamp.state.candidates == ()
        assert agreed(hub, lamp) or (nothing and not already), cue
        activate(hub, lamp)
        assert agreed(hub, lamp), cue


def test_power_loss_twice_in_a_row_still_converges() -> None:
    cues = cut_points(None, already=False)
    for first in cues[::3]:
        for second in cues[1::3]:
            hub, lamp = start(None, already=False)
            activate(hub, lamp, cue=first)
            activate(hub, lamp, cue=second)
            settle(hub, lamp)
            activate(hub, lamp)
            assert agreed(hub, lamp), (first, second)


def test_power_loss_while_linking_changes_nothing() -> None:
    hub, lamp = start(None, already=True)
    binding = lamp.state.candidates[0]
    before = (lamp.state, dict(hub.devices))
    for who in SIDES:
        for turn in (1, 2):
            for after in (False, True):
                connect(hub, lamp, binding, cue=Cue(who, turn, after))
                assert (lamp.state, hub.devices) == before
    assert connect(hub, lamp, binding).hub.error is None


def test_a_pending_device_waits_for_its_hub_and_answers_no_other() -> None:
    hub, lamp = start(None, already=False)
    last = activate(*start(None, already=False)).hub.turns
    activate(hub, lamp, cue=Cue("hub", last, after=False))
    assert lamp.state.pending is not None
    assert not lamp.state.paired
    assert device.bound_elsewhere(lamp.state, "h-another")
    settle(hub, lamp)
    assert agreed(hub, lamp)
