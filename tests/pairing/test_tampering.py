"""Whoever changes, cuts, drops, repeats or swaps any frame gets typed errors, never a binding."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairing.errors import PairingError
from pairing.wire import Kind
from tests.pairing.home import activate, agreed, connect, pair, settle
from tests.pairing.stage import Stage, Who


@dataclass
class Attack:
    """One change to the `index`th frame of `who`."""

    who: Who
    index: int
    kind: str
    position: float = 0.0
    mask: int = 1
    held: bytes | None = None
    struck: bool = False

    def __call__(self, who: Who, index: int, frame: bytes) -> Iterable[bytes]:
        if who != self.who or (index != self.index and self.held is None):
            return (frame,)
        if self.held is not None:
            held, self.held = self.held, None
            return (frame, held)
        self.struck = True
        at = int(self.position * len(frame))
        match self.kind:
            case "flip":
                return (frame[:at] + bytes([frame[at] ^ self.mask]) + frame[at + 1 :],)
            case "cut":
                return (frame[:at],)
            case "grow":
                return (frame + bytes([self.mask]),)
            case "drop":
                return ()
            case "repeat":
                return (frame, frame)
            case "swap":
                self.held = frame
                return ()
        return (bytes([Kind.FAILURE, self.mask]),)


KINDS = ("flip", "cut", "grow", "drop", "repeat", "swap", "fail")
ATTACKS = st.builds(
    Attack,
    who=st.sampled_from(("hub", "device")),
    index=st.integers(0, 7),
    kind=st.sampled_from(KINDS),
    position=st.floats(0, 0.999),
    mask=st.integers(1, 255),
)


def check_activation(attack: Attack, pin: str | None) -> None:
    hub, lamp = pair(pin=pin)
    stage = activate(hub, lamp, tamper=attack)
    for player in (stage.hub, stage.device):
        assert player.error is None or isinstance(player.error, PairingError)
    if not attack.struck:
        return
    if hub.devices:
        # It came too late to matter, or only repeated what had been read.
        settle(hub, lamp)
        assert agreed(hub, lamp)
    else:
        assert stage.hub.error is not None
        assert stage.device.error is not None
        assert lamp.state.active is None


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ATTACKS, st.sampled_from([None, "12345678"]))
def test_an_attacked_activation_ends_in_typed_errors_or_is_whole(attack: Attack, pin: str | None) -> None:
    check_activation(attack, pin)


@pytest.mark.full
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ATTACKS, st.sampled_from([None, "12345678"]))
def test_an_attacked_activation_at_length(attack: Attack, pin: str | None) -> None:
    check_activation(attack, pin)


@pytest.mark.parametrize("pin", [None, "12345678"], ids=["first-use", "pin"])
def test_every_frame_but_the_last_two_is_protected_in_every_part(pin: str | None) -> None:
    whole = activate(*pair(pin=pin))
    totals: dict[Who, int] = {"hub": whole.hub.sent, "device": whole.device.sent}
    for who, total in totals.items():
        for index in range(total - 1):  # the last of each: commit, done
            for kind, position in (
                ("flip", 0.0),
                ("flip", 0.5),
                ("flip", 0.99),
                ("cut", 0.5),
                ("grow", 0),
                ("drop", 0),
            ):
                hub, lamp = pair(pin=pin)
                attack = Attack(who, index, kind, position)
                stage = activate(hub, lamp, tamper=attack)
                assert attack.struck
                assert isinstance(stage.hub.error, PairingError), attack
                assert isinstance(stage.device.error, PairingError), attack
                assert hub.devices == {}, attack
                assert lamp.state.active is None, attack


def linked(attack: Attack) -> Stage:
    hub, lamp = pair()
    activate(hub, lamp)
    return connect(hub, lamp, lamp.state.candidates[0], tamper=attack)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Attack,
        who=st.sampled_from(("hub", "device")),
        index=st.integers(0, 1),
        kind=st.sampled_from(KINDS[:4]),
        position=st.floats(0, 0.999),
        mask=st.integers(1, 255),
    )
)
def test_an_attacked_link_never_stands(attack: Attack) -> None:
    stage = linked(attack)
    for player in (stage.hub, stage.device):
        assert player.error is None or isinstance(player.error, PairingError)
    assert stage.hub.error is not None or not attack.struck
