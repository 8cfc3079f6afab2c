"""The link: both keys and the credential, refusals that prove themselves, and a channel nobody can replay."""

import pytest
from msgspec.structs import replace

from pairing import device
from pairing.channel import Channel
from pairing.device import Binding
from pairing.errors import (
    ChannelBrokenError,
    LinkRefusedError,
    MalformedMessageError,
    PairingError,
    ProofFailedError,
)
from pairing.identity import Identity
from pairing.messages import MAX_MESSAGE
from pairing.wire import MAX_FRAME, Kind
from tests.pairing.home import Device, Hub, activate, connect, pair, settle
from tests.pairing.stage import Stage, seeded


def joined(seed: int = 1) -> tuple[Hub, Device, Binding]:
    hub, lamp = pair(seed)
    activate(hub, lamp)
    assert lamp.state.active is not None
    return hub, lamp, lamp.state.active


def channels(stage: Stage) -> tuple[Channel, Channel]:
    assert (stage.hub.error, stage.device.error) == (None, None)
    hub_side: Channel = stage.hub.result[1]
    device_side: Channel = stage.device.result
    return hub_side, device_side


def refusal(stage: Stage) -> tuple[str, str]:
    assert isinstance(stage.hub.error, LinkRefusedError)
    assert isinstance(stage.device.error, LinkRefusedError)
    return stage.hub.error.reason, stage.device.error.reason


def test_a_device_the_hub_does_not_know_is_refused_with_proof() -> None:
    hub, lamp, binding = joined()
    hub.devices.clear()
    assert refusal(connect(hub, lamp, binding)) == ("unknown", "unknown")


def test_a_device_that_was_let_go_is_told_so_and_forgets() -> None:
    hub, lamp, binding = joined()
    hub.removed.add(lamp.id)
    assert refusal(connect(hub, lamp, binding)) == ("removed", "removed")
    settle(hub, lamp)
    assert lamp.state.candidates == ()


def test_another_credential_is_refused() -> None:
    hub, lamp, binding = joined()
    assert refusal(connect(hub, lamp, replace(binding, credential=bytes(32)))) == ("credential", "credential")


def test_another_key_under_the_same_id_is_refused() -> None:
    hub, lamp, binding = joined()
    thief = Device(seeded(50))

    def swap(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        if frame[0] == Kind.LINK_HELLO:
            return (frame[:2] + lamp.state.identity.fingerprint + frame[17:],)
        return (frame,)

    stage = connect(hub, thief, binding, tamper=swap)
    assert isinstance(stage.hub.error, LinkRefusedError)
    assert isinstance(stage.device.error, PairingError)


def test_a_hub_that_is_not_the_one_is_not_believed_whatever_it_says() -> None:
    hub, lamp, binding = joined()
    impostor = Hub(seeded(60))
    impostor.devices = dict(hub.devices)

    def swap(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        if frame[0] == Kind.LINK_HELLO:
            return (frame[:17] + impostor.identity.fingerprint + frame[32:],)
        return (frame,)

    for known in (impostor.devices, {}):
        impostor.devices = dict(known)
        assert isinstance(connect(impostor, lamp, binding, tamper=swap).device.error, ProofFailedError)
    stage = connect(impostor, lamp, binding)
    assert isinstance(stage.device.error, ProofFailedError)
    assert isinstance(stage.hub.error, ProofFailedError)


def test_a_refusal_cannot_be_moved_to_another_conversation() -> None:
    hub, lamp, binding = joined()
    known, hub.devices = hub.devices, {}
    recorded = next(frame for who, frame in connect(hub, lamp, binding).frames if who == "hub")
    hub.devices = known

    def swap(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        return (recorded,) if who == "hub" else (frame,)

    assert isinstance(connect(hub, lamp, binding, tamper=swap).device.error, ProofFailedError)


def test_a_recorded_link_is_not_accepted_again() -> None:
    hub, lamp, binding = joined()
    recorded = [frame for who, frame in connect(hub, lamp, binding).frames if who == "device"]

    def replay(who: str, index: int, frame: bytes) -> tuple[bytes, ...]:
        return (frame,) if who == "hub" else tuple(recorded) if index == 0 else ()

    stage = connect(hub, lamp, binding, tamper=replay)
    assert stage.hub.sent > 0  # the recorded hello itself is good: only what follows it is stale
    assert isinstance(stage.hub.error, ProofFailedError)


def test_an_active_binding_survives_a_hub_that_forgot_it() -> None:
    hub, lamp, binding = joined()
    hub.devices.clear()
    settle(hub, lamp)
    assert lamp.state.active == binding


@pytest.mark.parametrize(
    ("reason", "waited", "kept"), [("unknown", 59.9, True), ("unknown", 60.0, False), ("credential", 60.0, False)]
)
def test_a_pending_binding_is_given_up_only_after_patience(reason: str, waited: float, kept: bool) -> None:
    _, lamp, binding = joined()
    pending = replace(binding, credential=bytes(32))
    state = device.refused(device.prepare(lamp.state, pending), pending, reason, waited)
    assert (state.pending == pending) is kept
    assert state.active == binding


def test_the_channel_refuses_replay_reorder_change_and_is_dead_after_it() -> None:
    hub, lamp, binding = joined()
    for attack in ("replay", "reorder", "change", "truncate", "reflect"):
        ours, theirs = channels(connect(hub, lamp, binding))
        first, second = ours.seal(b"one"), ours.seal(b"two")
        frame = {
            "replay": first,
            "reorder": second,
            "change": first[:-1] + bytes([first[-1] ^ 1]),
            "truncate": first[:10],
            "reflect": theirs.seal(b"x"),
        }[attack]
        if attack == "replay":
            assert theirs.open(first) == b"one"
        with pytest.raises(ChannelBrokenError):
            theirs.open(frame)
        with pytest.raises(ChannelBrokenError):
            theirs.open(second)
        with pytest.raises(ChannelBrokenError):
            theirs.seal(b"")


def test_a_message_of_the_full_length_fits_one_frame() -> None:
    ours, theirs = channels(connect(*joined()))
    frame = ours.seal(bytes(MAX_MESSAGE))
    assert len(frame) == MAX_FRAME
    assert len(theirs.open(frame)) == MAX_MESSAGE
    with pytest.raises(ValueError, match="too long"):
        ours.seal(bytes(MAX_MESSAGE + 1))


def test_the_first_sealed_frame_must_be_the_empty_one() -> None:
    hub, lamp, binding = joined()

    def leave_out(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        return () if frame[0] == Kind.SEALED else (frame,)

    assert isinstance(connect(hub, lamp, binding, tamper=leave_out).hub.error, PairingError)


def test_a_weak_ephemeral_key_is_an_error_of_the_peer() -> None:
    hub, lamp, binding = joined()

    def weak(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        return (frame[:32] + bytes(32) + frame[64:],) if frame[0] == Kind.LINK_HELLO else (frame,)

    for known in (hub.devices, {}):
        hub.devices = dict(known)
        assert isinstance(connect(hub, lamp, binding, tamper=weak).hub.error, ProofFailedError | LinkRefusedError)


def test_a_short_hello_is_malformed() -> None:
    hub, lamp, binding = joined()
    stage = connect(hub, lamp, binding, tamper=lambda who, _i, f: (f[:-1],) if who == "device" else (f,))
    assert isinstance(stage.hub.error, MalformedMessageError)


def test_secrets_stay_out_of_reprs() -> None:
    hub, lamp, binding = joined()
    shown = repr((lamp.state, binding, hub.devices, hub.offer(), hub.lookup(lamp.id), Identity(bytes(32))))
    for secret in (binding.credential, lamp.state.identity.private):
        assert repr(secret)[2:-1] not in shown
