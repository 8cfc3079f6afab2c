"""The three complete conversations of PROTOCOL.md, with all randomness fixed.

`python -m tests.pairing.vectors` writes fixtures/pairing/vectors.json and the last chapter of PROTOCOL.md anew;
test_vectors.py holds the code to both.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from pairing import activation, link
from pairing.channel import Channel
from pairing.device import Binding, DeviceState, Facts
from pairing.identity import Identity
from pairing.link import Peer
from pairing.messages import Command, Hello, Report, encode
from pairing.talk import Entropy
from tests.pairing.home import agree, no_commit
from tests.pairing.stage import Player, Stage

ROOT = Path(__file__).parents[2]
FILE = ROOT / "fixtures" / "pairing" / "vectors.json"
PROTOCOL = ROOT / "pairing" / "PROTOCOL.md"
CHAPTER = "## 11. Vectors\n"
FACTS = Facts(product="lamp", name="Desk lamp", firmware="1.0.0", serial="SN-0001")
OFFER = {"hub_name": "Home", "endpoints": (("192.0.2.1", 8471),), "binding_id": "b-1", "time": 1_700_000_000_000}
PIN = "12345678"


def fixed(who: str, draws: list[str]) -> Entropy:
    """The nth draw of `who` is SHA-512 of "who n", cut; each is written down in `draws`."""

    def draw(size: int) -> bytes:
        drawn = hashlib.sha512(f"{who} {len(draws) + 1}".encode()).digest()[:size]
        draws.append(drawn.hex())
        return drawn

    return draw


class Cast:
    """A hub and a device whose every random octet is known."""

    def __init__(self) -> None:
        self.hub_draws: list[str] = []
        self.device_draws: list[str] = []
        self.hub_entropy = fixed("hub", self.hub_draws)
        self.device_entropy = fixed("device", self.device_draws)
        self.hub = Identity.generate(self.hub_entropy)
        self.device = Identity.generate(self.device_entropy)

    def facts(self) -> dict[str, Any]:
        return {
            "hub": {"private": self.hub.private.hex(), "public": self.hub.public.hex(), "id": self.hub.hub_id},
            "device": {
                "private": self.device.private.hex(),
                "public": self.device.public.hex(),
                "id": self.device.device_id,
            },
            "random": {"hub": self.hub_draws[1:], "device": self.device_draws[1:]},
        }


@contextmanager
def overhearing() -> Iterator[dict[bytes, str]]:
    """What each sealed frame holds, by the frame."""
    texts: dict[bytes, str] = {}
    seal = Channel.seal

    def recording(channel: Channel, plaintext: bytes) -> bytes:
        frame = seal(channel, plaintext)
        texts[frame] = plaintext.decode()
        return frame

    with patch.object(Channel, "seal", recording):
        yield texts


def shown(stage: Stage, texts: dict[bytes, str]) -> list[list[str | None]]:
    """Who sent which frame, and the text inside a sealed one."""
    return [[who, frame.hex(), texts.get(frame)] for who, frame in stage.frames]


def activate(pin: str | None) -> dict[str, Any]:
    """A whole activation, by PIN or on first use."""
    with overhearing() as texts:
        return _activate(pin, texts)


def _activate(pin: str | None, texts: dict[bytes, str]) -> dict[str, Any]:
    cast = Cast()
    states: list[DeviceState] = []
    offer = activation.Offer(credential=cast.hub_entropy(32), **OFFER)  # type: ignore[arg-type]
    stage = Stage(
        Player(
            "hub",
            activation.hub_talk(cast.hub, offer, entropy=cast.hub_entropy, pin=pin),
            lambda joined: None,
            agree,
        ),
        Player(
            "device",
            activation.device_talk(DeviceState(cast.device), FACTS, entropy=cast.device_entropy, pin=pin),
            states.append,
            agree,
        ),
    ).play()
    assert stage.hub.error is None
    assert stage.device.error is None
    return {
        **cast.facts(),
        "pin": pin,
        "facts": msgspec.to_builtins(FACTS),
        "offer": {**OFFER, "credential": offer.credential.hex(), "epoch": 1},
        "code": stage.hub.codes[0] if stage.hub.codes else None,
        "frames": shown(stage, texts),
        "saved": [_kept(state) for state in states],
    }


def _kept(state: DeviceState) -> dict[str, Any]:
    return {
        "active": state.active is not None,
        "pending": state.pending is not None,
        "wrong_tries": state.wrong_tries,
    }


def linked() -> dict[str, Any]:
    """A link of an active binding, and the first messages in it."""
    cast = Cast()
    credential = cast.hub_entropy(32)
    binding = Binding(cast.hub.hub_id, cast.hub.public, "Home", (("192.0.2.1", 8471),), credential, "b-1", 1, 0)
    peer = Peer(cast.device.public, credential)
    stage = Stage(
        Player("hub", link.hub_talk(cast.hub, lambda _: peer, entropy=cast.hub_entropy), no_commit, agree),
        Player("device", link.device_talk(cast.device, binding, entropy=cast.device_entropy), no_commit, agree),
    ).play()
    assert stage.hub.error is None
    assert stage.device.error is None
    _, hub = stage.hub.result
    device = stage.device.result
    said: list[tuple[str, bytes, Callable[[bytes], bytes]]] = [
        ("device", encode(Hello("1.0.0", "lamp")), device.seal),
        ("device", encode(Report("light", {"on": False})), device.seal),
        ("hub", encode(Command("c-1", "set", "light", {"on": True})), hub.seal),
    ]
    messages = [[who, message.decode(), seal(message).hex()] for who, message, seal in said]
    return {
        **cast.facts(),
        "credential": credential.hex(),
        "frames": shown(stage, {}),
        "handshake_hash": hub.handshake_hash.hex(),
        "messages": messages,
    }


def make() -> dict[str, Any]:
    """All three."""
    return {
        "source": "made by tests/pairing/vectors.py; random draws are SHA-512 of 'hub n' and 'device n', cut",
        "first_use": activate(None),
        "pin": activate(PIN),
        "link": linked(),
    }


def chapter(vectors: dict[str, Any]) -> str:
    """The last chapter of PROTOCOL.md."""
    lines = [
        CHAPTER,
        "Also in `fixtures/pairing/vectors.json`. Frames are shown without their two octets of length. Random draws",
        "are listed in the order in which each side makes them, its private key (the first) left out; a draw is the",
        "first octets of SHA-512 over the ASCII text `hub n` or `device n`, n counting from 1. The hub's draw 2 is the",
        "credential. Both sides use the same identities in all three.",
    ]
    for title, name in (("First use", "first_use"), ("PIN", "pin"), ("Link", "link")):
        lines += ["", f"### {title}", "", *_conversation(vectors[name])]
    return "\n".join(lines) + "\n"


def _conversation(vector: dict[str, Any]) -> Iterator[str]:
    for side in ("hub", "device"):
        yield f"- {side}: id `{vector[side]['id']}`, private `{vector[side]['private']}`"
        yield f"  public `{vector[side]['public']}`"
        for n, draw in enumerate(vector["random"][side], 2):
            yield f"  - draw {n}: `{draw}`"
    if vector.get("pin"):
        yield f"- PIN `{vector['pin']}`"
    if vector.get("code"):
        yield f"- both show the code `{vector['code']}`"
    if "handshake_hash" in vector:
        yield f"- handshake hash `{vector['handshake_hash']}`"
    messages = [[who, frame, text] for who, text, frame in vector.get("messages", [])]
    for number, (who, frame, text) in enumerate([*vector["frames"], *messages], 1):
        yield ""
        yield f"{number}. {who}: " + (f"`{text}`" if text else "")
        yield ""
        yield from (f"       {frame[at : at + 104]}" for at in range(0, len(frame), 104))


if __name__ == "__main__":
    made = make()
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    PROTOCOL.write_text(PROTOCOL.read_text().partition(CHAPTER)[0] + chapter(made))
