"""The link a paired device makes to its hub: both static keys and the binding's credential, proved in three frames."""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from pairing import wire
from pairing.channel import Channel
from pairing.device import Binding
from pairing.errors import (
    ChannelBrokenError,
    LinkRefusedError,
    MalformedMessageError,
    PairingError,
    ProofFailedError,
)
from pairing.identity import Identity, fingerprint, peer_id
from pairing.noise import KEY_SIZE, KK_PSK0, Handshake, dh
from pairing.talk import Entropy, Send, Talk, receive
from pairing.wire import Kind, LinkHello, LinkRefused

STEP_TIMEOUT = 10.0
_REFUSAL = b"Doorstep link refused 1"


class Peer(Struct, frozen=True):
    """What the hub knows of a device: its key, the credential in force, and whether it was let go since."""

    public_key: bytes
    credential: bytes
    removed: bool = False

    def __repr__(self) -> str:
        return f"Peer(removed={self.removed})"


def device_talk(identity: Identity, binding: Binding, *, entropy: Entropy) -> Talk[Channel]:
    """A channel to the hub of this binding.

    Raises LinkRefusedError only where the hub has proved that it refuses, ProofFailedError where somebody else
    answers, PairingError else.
    """
    handshake, hello = _greeting(identity, binding, entropy)
    yield Send(hello.pack())
    frame = yield from receive(STEP_TIMEOUT, "linking")
    if frame[:1] == bytes([Kind.LINK_REFUSED]):
        raise _checked_refusal(LinkRefused.parse(frame), handshake, hello)
    handshake.read(wire.body_of(Kind.LINK_ACCEPT, frame, wire.LINK_PROOF_SIZE))
    channel = Channel(*handshake.split(), handshake.hash)
    # The hub knows that this is no recording once it has opened a frame under keys made from its fresh ephemeral.
    yield Send(channel.seal(b""))
    return channel


def hub_talk(
    identity: Identity, lookup: Callable[[str], Peer | None], *, entropy: Entropy
) -> Talk[tuple[str, Channel]]:
    """(device id, channel) of a device that proved itself. `lookup` finds a device by its id, from memory.

    Raises LinkRefusedError after telling the device why, PairingError else.
    """
    try:
        return (yield from _accept(identity, lookup, entropy))
    except LinkRefusedError:
        raise
    except (MalformedMessageError, ProofFailedError) as error:
        if not error.told:
            with suppress(PairingError):
                yield Send(wire.failure(error))
        raise


def _greeting(identity: Identity, binding: Binding, entropy: Entropy) -> tuple[Handshake, LinkHello]:
    bare = LinkHello(identity.fingerprint, fingerprint(binding.hub_key))
    handshake = Handshake(
        KK_PSK0,
        initiator=True,
        static=identity.private,
        psk=binding.credential,
        prologue=bare.head,
        entropy=entropy,
        remote=binding.hub_key,
    )
    return handshake, LinkHello(bare.device, bare.hub, handshake.write())


def _checked_refusal(refusal: LinkRefused, handshake: Handshake, hello: LinkHello) -> PairingError:
    expected = _refusal_mac(handshake.ephemeral_secret(), refusal.reason, hello)
    if not hmac.compare_digest(expected, refusal.mac):
        return ProofFailedError("a refusal that is not the hub's", step="linking")
    return LinkRefusedError(refusal.reason, step="linking")


def _refusal_mac(shared: bytes, reason: str, hello: LinkHello) -> bytes:
    key = HKDF(SHA256(), 32, salt=None, info=_REFUSAL).derive(shared)
    return hmac.digest(key, reason.encode() + hashlib.sha256(hello.pack()).digest(), "sha256")


def _accept(identity: Identity, lookup: Callable[[str], Peer | None], entropy: Entropy) -> Talk[tuple[str, Channel]]:
    hello = LinkHello.parse((yield from receive(STEP_TIMEOUT, "linking")))
    if not hmac.compare_digest(hello.hub, identity.fingerprint):
        raise ProofFailedError("meant for another hub", step="linking")
    device_id = peer_id("d", hello.device)
    peer = lookup(device_id)
    if peer is None or peer.removed:
        raise (yield from _refuse(identity, hello, "removed" if peer else "unknown"))
    handshake = Handshake(
        KK_PSK0,
        initiator=False,
        static=identity.private,
        psk=peer.credential,
        prologue=hello.head,
        entropy=entropy,
        remote=peer.public_key,
    )
    try:
        handshake.read(hello.proof)
    except ProofFailedError:
        raise (yield from _refuse(identity, hello, "credential")) from None
    yield Send(bytes([Kind.LINK_ACCEPT]) + handshake.write())
    channel = Channel(*handshake.split(), handshake.hash)
    yield from _await_proof(channel)
    return device_id, channel


def _await_proof(channel: Channel) -> Talk[None]:
    try:
        if channel.open((yield from receive(STEP_TIMEOUT, "linking"))) != b"":
            raise MalformedMessageError("the first sealed frame is empty", step="linking")
    except ChannelBrokenError as error:
        raise ProofFailedError("a recording, or another device", step="linking") from error


def _refuse(identity: Identity, hello: LinkHello, reason: str) -> Talk[PairingError]:
    mac = _refusal_mac(dh(identity.private, hello.proof[:KEY_SIZE]), reason, hello)
    yield Send(LinkRefused(reason, mac).pack())
    return LinkRefusedError(reason, step="linking")
