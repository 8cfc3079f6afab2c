"""An activation that somebody recorded, played again to either side; and tokens that are tried wrongly."""

from typing import Any

import pytest

from pairing import device as memory
from pairing.activation import device_talk, hub_talk
from pairing.errors import ConnectionLostError, PairingError, ProofFailedError
from pairing.talk import Commit, Compute, Confirm, Receive, Talk
from tests.pairing.home import FACTS, Device, Hub, activate, pair
from tests.pairing.stage import Who, seeded

TOKEN = b"DSabcdefghijkm"
LABEL = "12345678"
WAYS = [(TOKEN, None), (b"", None), (b"", LABEL)]
NAMES = ["token", "cable", "label"]


def replayed(talk: Talk[Any], frames: list[bytes], committed: list[Any]) -> PairingError:
    """How the talk ends with a peer that says what another said once, whoever says yes to what it asks."""
    left = iter(frames)
    answer: Any = None
    while True:
        try:
            match talk.send(answer):
                case Receive():
                    frame = next(left, None)
                    answer = frame if frame is not None else b""
                    if frame is None:
                        talk.throw(ConnectionLostError())
                case Commit(value):
                    committed.append(value)
                    answer = True
                case Confirm():
                    answer = True
                case Compute(work):
                    work()
                    answer = None
                case _:
                    answer = None
        except PairingError as error:
            return error


def recorded(token: bytes, pin: str | None) -> tuple[Hub, Device, dict[Who, list[bytes]]]:
    hub, lamp = pair(7, pin=pin, token=token)
    stage = activate(hub, lamp)
    assert lamp.state.paired
    said: dict[Who, list[bytes]] = {"hub": [], "device": []}
    for who, frame in stage.frames:
        said[who].append(frame)
    return hub, lamp, said


@pytest.mark.parametrize(("token", "pin"), WAYS, ids=NAMES)
def test_a_device_that_was_reset_and_told_the_same_token_believes_no_recorded_hub(
    token: bytes, pin: str | None
) -> None:
    _, lamp, said = recorded(token, pin)
    committed: list[memory.DeviceState] = []
    talk = device_talk(memory.physical_reset(lamp.state), FACTS, entropy=seeded(99), pin=pin, token=token)
    error = replayed(talk, said["hub"], committed)
    assert not isinstance(error, ConnectionLostError)
    assert all(state.active is None and state.pending is None for state in committed)


@pytest.mark.parametrize(("token", "pin"), WAYS, ids=NAMES)
def test_a_hub_that_asks_again_believes_no_recorded_device(token: bytes, pin: str | None) -> None:
    hub, lamp, said = recorded(token, pin)
    committed: list[Any] = []
    talk = hub_talk(hub.identity, hub.offer(), entropy=seeded(98), pin=pin, token=token, expect=lamp.id)
    error = replayed(talk, said["device"], committed)
    assert not isinstance(error, ConnectionLostError)
    assert committed == []


def test_a_device_counts_the_hubs_that_do_not_hold_its_token() -> None:
    hub, lamp = pair(3, token=TOKEN)
    for tries in (1, 2):
        stage = activate(hub, lamp, token=b"DSanothertoken")
        assert isinstance(stage.device.error, ProofFailedError)
        assert lamp.state.token_tries == tries
    activate(hub, lamp)
    assert (lamp.state.paired, lamp.state.token_tries) == (True, 0)


def test_a_device_without_a_token_counts_nothing() -> None:
    hub, lamp = pair(3)
    activate(hub, lamp, token=TOKEN)
    assert (lamp.state.paired, lamp.state.token_tries) == (False, 0)
