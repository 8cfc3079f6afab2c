"""The hub's side of an activation: it connects, proves the device, hands the binding over, commits."""

from functools import partial

from msgspec.structs import replace

from pairing import wire
from pairing.activation.exchange import (
    STEP_TIMEOUT,
    Exchange,
    commitment,
    comparison_code,
    normal_pin,
    same,
    token_psk,
    transcript,
)
from pairing.activation.messages import (
    NONCE_SIZE,
    Activated,
    DeviceFacts,
    DeviceReveal,
    Done,
    Handover,
    HubCommit,
    HubNonce,
    Offer,
    Prepared,
    Trust,
)
from pairing.errors import (
    MalformedMessageError,
    PairingError,
    PinNeededError,
    ProofFailedError,
    RefusedByPersonError,
    WrongPinError,
)
from pairing.identity import Identity, fingerprint, peer_id
from pairing.messages import MAX_EPOCH
from pairing.noise import XX_PSK3, Handshake
from pairing.spake2plus import Parties, Prover, derive, random_scalar
from pairing.talk import Commit, Entropy, Progress, Send, Talk, compute, confirm, receive
from pairing.text import clean
from pairing.wire import Auth, DeviceHello, HubHello, Kind


def hub_talk(
    identity: Identity,
    offer: Offer,
    *,
    entropy: Entropy,
    pin: str | None = None,
    token: bytes = b"",
    expect: str | None = None,
) -> Talk[Activated]:
    """A device that is on the hub's disk.

    `pin`: the label's, as typed. `token`: the session's, where the method carried one to the device. `expect`: the
    device id that must answer. Yields `Confirm` where the device has no PIN, and `Commit(Activated)` when the device
    holds the binding; whatever that raises is raised on, after the device has been told to forget. After the commit
    the device is joined even if its last word does not arrive: it then links and learns so. Raises PairingError.
    """
    side = _HubSide(identity, offer, entropy, expect)
    return (yield from side.exchange.guard(side.run(normal_pin(pin), token)))


class _HubSide:
    def __init__(self, identity: Identity, offer: Offer, entropy: Entropy, expect: str | None) -> None:
        self.exchange = Exchange()
        self._identity = identity
        self._offer = offer
        self._entropy = entropy
        self._expect = expect

    def run(self, pin: str | None, token: bytes) -> Talk[Activated]:
        yield Progress("proving")
        ours = HubHello(self._identity.fingerprint).pack()
        yield Send(ours)
        frame = yield from receive(STEP_TIMEOUT, "proving")
        hello = self._check_hello(DeviceHello.parse(frame), pin)
        script = transcript(ours, frame)
        psk = (yield from self._prove_pin(hello, pin, script)) if pin else token_psk(token)
        remote = yield from self._handshake(hello, psk, script)
        facts = yield from self.exchange.hear(DeviceFacts, "proving")
        if not pin:
            yield from self._compare_codes(facts)
        activated = self._activated(remote, facts, "pin" if pin else "first-use")
        yield from self._hand_over(activated)
        return activated

    def _check_hello(self, hello: DeviceHello, pin: str | None) -> DeviceHello:
        if self._expect not in (None, peer_id("d", hello.device)):
            raise ProofFailedError("another device answers", step="proving")
        if hello.auth is Auth.PIN and not pin:
            raise PinNeededError(step="proving")
        if hello.auth is Auth.OPEN and pin:
            # Somebody in between could take the PIN out of the game by saying so.
            raise ProofFailedError("the device says it has no PIN", step="proving")
        return hello

    def _prove_pin(self, hello: DeviceHello, pin: str, script: bytes) -> Talk[bytes]:
        parties = Parties(script, self._identity.fingerprint, hello.device)
        secret = yield from compute(partial(derive, pin, hello.salt))
        prover = Prover(parties, secret, random_scalar(self._entropy))
        yield Send(bytes([Kind.SHARE_P]) + prover.share)
        theirs = wire.ShareV.parse((yield from receive(STEP_TIMEOUT, "proving")))
        keys = prover.finish(theirs.share)
        if not same(keys.confirm_verifier, theirs.confirm):
            raise WrongPinError(step="proving")
        yield Send(bytes([Kind.CONFIRM_P]) + keys.confirm_prover)
        return keys.shared

    def _handshake(self, hello: DeviceHello, psk: bytes, script: bytes) -> Talk[bytes]:
        handshake = Handshake(
            XX_PSK3,
            initiator=True,
            static=self._identity.private,
            psk=psk,
            prologue=script,
            entropy=self._entropy,
        )
        yield Send(bytes([Kind.HANDSHAKE]) + handshake.write())
        handshake.read((yield from self.exchange.expect(Kind.HANDSHAKE, "proving")))
        if not same(fingerprint(handshake.remote), hello.device):
            raise ProofFailedError("the device's key is not that of its id", step="proving")
        yield Send(bytes([Kind.HANDSHAKE]) + handshake.write())
        self.exchange.start_channel(handshake)
        return handshake.remote

    def _compare_codes(self, facts: DeviceFacts) -> Talk[None]:
        assert self.exchange.channel is not None
        binding = self.exchange.channel.handshake_hash
        nonce = self._entropy(NONCE_SIZE)
        yield from self.exchange.say(HubNonce(nonce))
        reveal = yield from self.exchange.hear(DeviceReveal, "confirming")
        if facts.commitment is None or not same(facts.commitment, commitment(binding, reveal.nonce)):
            raise ProofFailedError("the device changed its nonce", step="confirming")
        code = comparison_code(binding, nonce, reveal.nonce)
        yield Progress("confirming", code)
        if not (yield from confirm(code)):
            raise RefusedByPersonError(step="confirming")

    def _activated(self, remote: bytes, facts: DeviceFacts, trust: Trust) -> Activated:
        if facts.epoch >= MAX_EPOCH:
            raise MalformedMessageError("owner epochs used up", step="handing_over")
        return Activated(
            device_id=peer_id("d", fingerprint(remote)),
            public_key=remote,
            product=facts.product,
            name=clean(facts.name),
            firmware=clean(facts.firmware),
            serial=clean(facts.serial),
            trust=trust,
            credential=self._offer.credential,
            binding_id=self._offer.binding_id,
            epoch=max(self._offer.epoch, facts.epoch + 1),
            rebound=facts.epoch > 0,
        )

    def _hand_over(self, activated: Activated) -> Talk[None]:
        yield Progress("handing_over")
        offer = replace(self._offer, epoch=activated.epoch)
        yield from self.exchange.say(_handover(offer))
        yield from self.exchange.hear(Prepared, "handing_over")
        yield Progress("joining")
        yield Commit(activated)
        try:
            yield from self.exchange.say(HubCommit())
            yield from self.exchange.hear(Done, "joining")
        except PairingError as error:
            # The device is ours: it holds the binding and will find out over the link.
            yield Progress("unanswered", error.code)


def _handover(offer: Offer) -> Handover:
    return Handover(
        name=clean(offer.hub_name),
        endpoints=offer.endpoints,
        credential=offer.credential,
        binding=offer.binding_id,
        time=offer.time,
        epoch=offer.epoch,
    )
