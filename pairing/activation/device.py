"""The device's side of an activation: it listens, proves itself, keeps the binding pending, makes it active."""

import hashlib
from contextlib import suppress
from functools import partial

from pairing import device as memory
from pairing import wire
from pairing.activation.exchange import (
    PERSON_TIMEOUT,
    STEP_TIMEOUT,
    Exchange,
    commitment,
    comparison_code,
    failure_of,
    normal_pin,
    same,
    token_psk,
    transcript,
)
from pairing.activation.messages import (
    NONCE_SIZE,
    DeviceFacts,
    DeviceReveal,
    Done,
    Failed,
    Handover,
    HubCommit,
    HubNonce,
    Prepared,
)
from pairing.device import Binding, DeviceState, Facts
from pairing.errors import (
    BoundElsewhereError,
    MalformedMessageError,
    PairingError,
    ProofFailedError,
    StaleOfferError,
    TooManyTriesError,
    WrongPinError,
)
from pairing.identity import Identity, fingerprint, peer_id
from pairing.noise import XX_PSK3, Handshake
from pairing.spake2plus import CONFIRM_SIZE, POINT_SIZE, Parties, Record, Verifier, derive, random_scalar, register
from pairing.talk import Commit, Entropy, Progress, Send, Talk, compute, receive
from pairing.text import clean
from pairing.wire import Auth, DeviceHello, HubHello, Kind

COMMIT_TIMEOUT = 30.0
"""Seconds the hub may take to make the device durable."""


def device_talk(
    state: DeviceState,
    facts: Facts,
    *,
    entropy: Entropy,
    pin: str | None = None,
    token: bytes = b"",
    record: Record | None = None,
) -> Talk[Binding]:
    """The binding, active on the device's disk.

    Yields `Commit(DeviceState)` whenever its memory changes: the shell saves it, and goes on from the last one saved
    whatever becomes of the talk. Yields `Progress("code", digits)` for the code to show where there is no PIN.
    `pin`: the label's; `record`: what is kept of that (`label_record`), made anew where it is not given; `token`: what
    the method carried to this device. One talk at a time: a device answers a second connection with the failure
    `device_busy`. Raises PairingError.
    """
    side = _DeviceSide(state, facts, entropy, record)
    return (yield from side.exchange.guard(side.run(normal_pin(pin), token)))


def label_record(identity: Identity, pin: str) -> Record:
    """What a device keeps of its label's PIN; takes tens of milliseconds, once."""
    return register(derive(pin, label_salt(identity)))


def label_salt(identity: Identity) -> bytes:
    """The salt of a PIN record that is made on the device; one made in a factory carries its own."""
    return hashlib.sha256(b"Doorstep label salt" + identity.public).digest()[: wire.SALT_SIZE]


class _DeviceSide:
    def __init__(self, state: DeviceState, facts: Facts, entropy: Entropy, record: Record | None) -> None:
        self.exchange = Exchange()
        self._state = state
        self._facts = facts
        self._entropy = entropy
        self._record = record

    def run(self, pin: str | None, token: bytes) -> Talk[Binding]:
        frame = yield from receive(STEP_TIMEOUT, "proving")
        hello = self._check_hello(HubHello.parse(frame), pin)
        yield Progress("proving")
        ours = self._hello(pin)
        yield Send(ours)
        script = transcript(frame, ours)
        psk = (yield from self._prove_pin(hello, pin, script)) if pin else token_psk(token)
        try:
            hub_key = yield from self._handshake(hello, psk, script)
        except ProofFailedError:
            if token and not pin:
                yield from self._keep(memory.count_token_try(self._state))
            raise
        if pin:
            yield from self.exchange.say(self._device_facts(None))
            handover = yield from self.exchange.hear(Handover, "handing_over")
        else:
            yield from self._show_code()
            handover = yield from self.exchange.hear(Handover, "confirming", PERSON_TIMEOUT)
        return (yield from self._take_over(hub_key, handover))

    def _check_hello(self, hello: HubHello, pin: str | None) -> HubHello:
        if memory.bound_elsewhere(self._state, peer_id("h", hello.hub)):
            raise BoundElsewhereError(step="proving")
        if pin and self._state.locked:
            raise TooManyTriesError(step="proving")
        return hello

    def _hello(self, pin: str | None) -> bytes:
        identity = self._state.identity
        salt = label_salt(identity) if pin else bytes(wire.SALT_SIZE)
        return DeviceHello(Auth.PIN if pin else Auth.OPEN, identity.fingerprint, salt).pack()

    def _keep(self, state: DeviceState) -> Talk[None]:
        yield Commit(state)
        self._state = state

    def _prove_pin(self, hello: HubHello, pin: str, script: bytes) -> Talk[bytes]:
        share = yield from self.exchange.expect(Kind.SHARE_P, "proving", POINT_SIZE)
        identity = self._state.identity
        record = self._record or (yield from compute(partial(label_record, identity, pin)))
        parties = Parties(script, hello.hub, identity.fingerprint)
        verifier = Verifier(parties, record, random_scalar(self._entropy))
        keys = verifier.finish(share)
        # Our confirmation tells the hub whether its guess was right: the try is on disk before it leaves.
        yield from self._keep(memory.count_try(self._state))
        yield Send(wire.ShareV(verifier.share, keys.confirm_verifier).pack())
        theirs = yield from self.exchange.expect(Kind.CONFIRM_P, "proving", CONFIRM_SIZE)
        if not same(keys.confirm_prover, theirs):
            raise WrongPinError(step="proving")
        yield from self._keep(memory.forget_tries(self._state))
        return keys.shared

    def _handshake(self, hello: HubHello, psk: bytes, script: bytes) -> Talk[bytes]:
        handshake = Handshake(
            XX_PSK3,
            initiator=False,
            static=self._state.identity.private,
            psk=psk,
            prologue=script,
            entropy=self._entropy,
        )
        handshake.read((yield from self.exchange.expect(Kind.HANDSHAKE, "proving")))
        yield Send(bytes([Kind.HANDSHAKE]) + handshake.write())
        handshake.read((yield from self.exchange.expect(Kind.HANDSHAKE, "proving")))
        if not same(fingerprint(handshake.remote), hello.hub):
            raise ProofFailedError("the hub's key is not that of its id", step="proving")
        self.exchange.start_channel(handshake)
        return handshake.remote

    def _show_code(self) -> Talk[None]:
        assert self.exchange.channel is not None
        binding = self.exchange.channel.handshake_hash
        nonce = self._entropy(NONCE_SIZE)
        yield from self.exchange.say(self._device_facts(commitment(binding, nonce)))
        theirs = yield from self.exchange.hear(HubNonce, "confirming")
        yield from self.exchange.say(DeviceReveal(nonce))
        yield Progress("code", comparison_code(binding, theirs.nonce, nonce))

    def _device_facts(self, committed: bytes | None) -> DeviceFacts:
        return DeviceFacts(
            product=self._facts.product,
            epoch=self._state.epoch,
            name=self._facts.name,
            firmware=self._facts.firmware,
            serial=self._facts.serial,
            commitment=committed,
        )

    def _take_over(self, hub_key: bytes, handover: Handover) -> Talk[Binding]:
        if handover.epoch <= self._state.epoch:
            raise StaleOfferError(step="handing_over")
        binding = _binding(hub_key, handover)
        yield from self._keep(memory.prepare(self._state, binding))
        yield Progress("prepared")
        yield from self.exchange.say(Prepared())
        yield from self._await_commit()
        yield from self._keep(memory.activate(self._state))
        with suppress(PairingError):
            yield from self.exchange.say(Done())
        return binding

    def _await_commit(self) -> Talk[None]:
        message = yield from self.exchange.hear_any("joining", COMMIT_TIMEOUT)
        if isinstance(message, Failed):
            # Sealed, so it is the hub that says it did not commit. Without its word the pending binding stays.
            yield from self._keep(memory.drop_pending(self._state))
            raise failure_of(message)
        if not isinstance(message, HubCommit):
            raise MalformedMessageError("not HubCommit", step="joining")


def _binding(hub_key: bytes, handover: Handover) -> Binding:
    return Binding(
        hub_id=peer_id("h", fingerprint(hub_key)),
        hub_key=hub_key,
        hub_name=clean(handover.name),
        endpoints=handover.endpoints,
        credential=handover.credential,
        binding_id=handover.binding,
        epoch=handover.epoch,
        time=handover.time,
    )
