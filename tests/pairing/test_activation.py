"""Activation, both sides, in memory: what must succeed, and each way it must not."""

import pytest

from pairing import device
from pairing.errors import (
    BoundElsewhereError,
    PairingError,
    PinNeededError,
    ProofFailedError,
    RefusedByPersonError,
    StaleOfferError,
    StorageFailedError,
    TooManyTriesError,
    WrongPinError,
)
from pairing.identity import Identity
from pairing.wire import Kind
from tests.pairing.home import Device, Hub, activate, agreed, connect, pair, settle
from tests.pairing.stage import Stage, seeded


def errors(stage: Stage) -> tuple[object, object]:
    return type(stage.hub.error), type(stage.device.error)


def code_shown(stage: Stage) -> str:
    return next(p.detail for p in stage.device.progress if p.step == "code")


@pytest.mark.parametrize("pin", [None, "12345678"])
def test_a_new_device_joins(pin: str | None) -> None:
    hub, lamp = pair(pin=pin)
    stage = activate(hub, lamp, expect=lamp.id)
    assert errors(stage) == (type(None), type(None))
    assert agreed(hub, lamp)
    joined = hub.devices[lamp.id]
    assert stage.hub.result == joined
    assert stage.device.result == lamp.state.active
    assert joined.trust == ("pin" if pin else "first-use")
    assert (joined.name, joined.product, joined.epoch, joined.rebound) == ("Lamp one", "lamp", 1, False)
    assert joined.public_key == lamp.state.identity.public


def test_with_a_pin_nobody_is_asked_and_without_one_both_show_the_same_code() -> None:
    assert activate(*pair(pin="12345678")).hub.codes == []
    stage = activate(*pair())
    assert stage.hub.codes == [code_shown(stage)]
    assert len(stage.hub.codes[0]) == 6


@pytest.mark.parametrize(("label", "typed"), [("12345678", "1234-56 78"), ("1234-5678", "12345678")])
def test_a_pin_is_the_same_with_and_without_its_spaces_and_dashes(label: str, typed: str) -> None:
    hub, lamp = pair(pin=label)
    activate(hub, lamp, pin=typed)
    assert agreed(hub, lamp)


def test_a_wrong_pin_is_told_apart_and_counted() -> None:
    hub, lamp = pair(pin="12345678")
    assert errors(activate(hub, lamp, pin="12345679")) == (WrongPinError, WrongPinError)
    assert lamp.state.wrong_tries == 1
    activate(hub, lamp)
    assert lamp.state.wrong_tries == 0
    assert agreed(hub, lamp)


def test_twenty_wrong_pins_and_the_device_is_dead_until_it_is_reset() -> None:
    hub, lamp = pair(pin="12345678")
    for _ in range(device.MAX_WRONG_TRIES):
        assert errors(activate(hub, lamp, pin="00000000")) == (WrongPinError, WrongPinError)
    assert errors(activate(hub, lamp)) == (TooManyTriesError, TooManyTriesError)
    assert hub.devices == {}
    lamp.save(device.physical_reset(lamp.state))
    activate(hub, lamp)
    assert agreed(hub, lamp)


def test_the_twentieth_try_may_still_be_the_right_one() -> None:
    hub, lamp = pair(pin="12345678", tries=device.MAX_WRONG_TRIES - 1)
    activate(hub, lamp)
    assert agreed(hub, lamp)


def test_a_try_that_is_broken_off_counts() -> None:
    hub, lamp = pair(pin="12345678")

    def cut(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        return () if frame[0] == Kind.CONFIRM_P else (frame,)

    activate(hub, lamp, tamper=cut)
    assert lamp.state.wrong_tries == 1


def test_without_its_pin_the_device_is_not_reached() -> None:
    hub, lamp = pair(pin="12345678")
    assert errors(activate(hub, lamp, pin=None)) == (PinNeededError, PinNeededError)
    assert lamp.state.wrong_tries == 0


def test_a_pin_cannot_be_talked_away() -> None:
    hub, lamp = pair()
    assert errors(activate(hub, lamp, pin="12345678")) == (ProofFailedError, ProofFailedError)


def test_another_token_does_not_pass() -> None:
    hub, lamp = pair(token=b"right")
    assert errors(activate(hub, lamp, token=b"wrong")) == (ProofFailedError, ProofFailedError)
    activate(hub, lamp)
    assert agreed(hub, lamp)


def test_the_person_says_no() -> None:
    hub, lamp = pair()
    assert errors(activate(hub, lamp, confirm=lambda _code: False)) == (RefusedByPersonError, RefusedByPersonError)
    assert hub.devices == {}
    assert lamp.state.candidates == ()


def test_another_device_than_the_one_chosen_is_refused() -> None:
    hub, lamp = pair()
    assert activate(hub, lamp, expect="d-other").hub.error.__class__ is ProofFailedError


def test_a_device_of_another_hub_answers_so_until_it_is_reset() -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    other = Hub(seeded(77))
    assert errors(activate(other, lamp)) == (BoundElsewhereError, BoundElsewhereError)
    assert agreed(hub, lamp)
    lamp.save(device.physical_reset(lamp.state))
    activate(other, lamp)
    assert agreed(other, lamp)


def test_the_same_hub_pairs_again_with_a_higher_epoch() -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    first = hub.devices[lamp.id]
    activate(hub, lamp)
    second = hub.devices[lamp.id]
    assert agreed(hub, lamp)
    assert (second.epoch, second.rebound) == (first.epoch + 1, True)
    assert second.credential != first.credential


def test_an_offer_that_is_not_above_the_known_epoch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    before = lamp.state
    with monkeypatch.context() as patch:
        patch.setattr("pairing.activation.hub.max", lambda *_: 1, raising=False)
        assert errors(activate(hub, lamp)) == (StaleOfferError, StaleOfferError)
    assert lamp.state == before


def test_a_hub_that_cannot_keep_the_device_says_so_and_the_device_forgets() -> None:
    hub, lamp = pair()

    def full(_activated: object) -> None:
        raise OSError("disk full")

    hub.join = full  # type: ignore[method-assign,assignment]
    stage = activate(hub, lamp)
    assert errors(stage) == (OSError, StorageFailedError)
    assert lamp.state.candidates == ()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_device_that_cannot_keep_the_binding_says_so(turn: int) -> None:
    hub, lamp = pair()
    save, calls = lamp.save, []

    def failing(state: device.DeviceState) -> None:
        calls.append(state)
        if len(calls) == turn:
            raise StorageFailedError
        save(state)

    lamp.save = failing  # type: ignore[method-assign]
    stage = activate(hub, lamp)
    assert type(stage.device.error) is StorageFailedError
    if turn == 1:
        assert type(stage.hub.error) is StorageFailedError
        assert hub.devices == {}
    else:  # the hub had committed: the device finds out over the link
        lamp.save = save  # type: ignore[method-assign]
        settle(hub, lamp)
        assert agreed(hub, lamp)


def test_a_man_in_the_middle_without_a_secret_shows_two_different_codes() -> None:
    for seed in range(1, 20):
        hub, lamp = pair(seed)
        attacker_device, attacker_hub = Device(seeded(1000 + seed)), Hub(seeded(2000 + seed))
        towards_hub, towards_device = activate(hub, attacker_device), activate(attacker_hub, lamp)
        assert towards_hub.hub.codes[0] != code_shown(towards_device)


def test_a_man_in_the_middle_who_must_keep_the_ids_is_found_out_at_once() -> None:
    hub, lamp = pair()
    attacker = Device(seeded(99))

    def swap(who: str, _index: int, frame: bytes) -> tuple[bytes, ...]:
        # The real device's id over the attacker's key.
        if who == "device" and frame[0] == Kind.DEVICE_HELLO:
            return (frame[:3] + lamp.state.identity.fingerprint + frame[18:],)
        return (frame,)

    stage = activate(hub, attacker, tamper=swap, expect=lamp.id)
    assert type(stage.hub.error) is ProofFailedError
    assert hub.devices == {}


class Liar(Identity, frozen=True):
    """A key pair under somebody else's fingerprint, told alike in every frame."""

    claimed: bytes = b""

    @property
    def fingerprint(self) -> bytes:
        return self.claimed


def test_a_device_that_claims_the_id_of_another_is_refused() -> None:
    hub, lamp = pair()
    attacker = Device(seeded(99))
    attacker.state = device.DeviceState(Liar(attacker.state.identity.private, lamp.state.identity.fingerprint))
    assert errors(activate(hub, attacker, expect=lamp.id)) == (ProofFailedError, ProofFailedError)
    assert hub.devices == {}


def test_a_hub_that_claims_the_id_of_the_owner_does_not_get_the_device() -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    attacker = Hub(seeded(98))
    attacker.identity = Liar(attacker.identity.private, hub.identity.fingerprint)
    assert type(activate(attacker, lamp).device.error) is ProofFailedError
    assert agreed(hub, lamp)


def test_a_device_that_reveals_another_nonce_than_it_committed_to_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, lamp = pair()
    monkeypatch.setattr("pairing.activation.device.commitment", lambda _hash, _nonce: bytes(32))
    stage = activate(hub, lamp)
    assert errors(stage) == (ProofFailedError, ProofFailedError)
    assert stage.hub.codes == []


@pytest.mark.parametrize("pin", [None, "12345678"])
def test_a_replayed_transcript_binds_nothing(pin: str | None) -> None:
    hub, lamp = pair(pin=pin)
    recorded = activate(hub, lamp).frames
    lamp.save(device.physical_reset(lamp.state))
    hub.devices.clear()
    for speaker in ("hub", "device"):
        script = iter([frame for who, frame in recorded if who == speaker])

        def replay(
            who: str, _index: int, frame: bytes, speaker: str = speaker, script: object = script
        ) -> tuple[bytes, ...]:
            return (next(script, frame),) if who == speaker else (frame,)  # type: ignore[call-overload]

        stage = activate(hub, lamp, tamper=replay)
        assert isinstance(stage.hub.error, PairingError)
        assert isinstance(stage.device.error, PairingError)
    assert hub.devices == {}
    assert lamp.state.candidates == ()


def test_the_joined_device_links() -> None:
    hub, lamp = pair()
    activate(hub, lamp)
    assert lamp.state.active is not None
    stage = connect(hub, lamp, lamp.state.active)
    device_id, hub_channel = stage.hub.result
    assert device_id == lamp.id
    assert stage.device.result.open(hub_channel.seal(b"on")) == b"on"
    assert hub_channel.open(stage.device.result.seal(b"is on")) == b"is on"
