"""A hub's and a device's memory, as the tests of the protocol need them: durable dictionaries, real talks."""

from dataclasses import dataclass, field
from typing import Any

from pairing import activation, device, link
from pairing.activation.messages import Activated, Offer
from pairing.device import Binding, DeviceState, Facts
from pairing.identity import Identity
from pairing.link import Peer
from pairing.talk import Entropy
from tests.pairing.stage import Cue, Player, Stage, Tamper, honest, seeded

FACTS = Facts(product="lamp", name="Lamp\x07 one", firmware="1.0", serial="S1")


@dataclass
class Hub:
    entropy: Entropy
    devices: dict[str, Activated] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.identity = Identity.generate(self.entropy)

    def offer(self) -> Offer:
        return Offer(
            hub_name="Home",
            endpoints=(("192.0.2.1", 8471),),
            credential=self.entropy(32),
            binding_id=f"b-{self.entropy(4).hex()}",
            time=1_700_000_000_000,
        )

    def join(self, activated: Activated) -> None:
        self.devices[activated.device_id] = activated

    def lookup(self, device_id: str) -> Peer | None:
        known = self.devices.get(device_id)
        return Peer(known.public_key, known.credential, device_id in self.removed) if known else None


@dataclass
class Device:
    entropy: Entropy
    pin: str | None = None
    token: bytes = b""
    state: DeviceState = field(init=False)

    def __post_init__(self) -> None:
        self.state = device.new_state(self.entropy)

    @property
    def id(self) -> str:
        return self.state.identity.device_id

    def save(self, state: DeviceState) -> None:
        self.state = state


def no_commit(value: Any) -> None:
    raise AssertionError(f"unexpected commit of {value!r}")


def agree(_code: str) -> bool:
    return True


def pair(seed: int = 1, *, pin: str | None = None, token: bytes = b"", tries: int = 0) -> tuple[Hub, Device]:
    made = Device(seeded(seed * 2), pin, token)
    for _ in range(tries):
        made.save(device.count_try(made.state))
    return Hub(seeded(seed * 2 + 1)), made


def activate(
    hub: Hub,
    lamp: Device,
    *,
    pin: str | None = "same",
    token: bytes | None = None,
    confirm: Any = agree,
    tamper: Tamper = honest,
    cue: Cue | None = None,
    expect: str | None = None,
) -> Stage:
    """One activation; the hub holds the device's own PIN and token unless told otherwise."""
    told = lamp.pin if pin == "same" else pin
    hub_talk = activation.hub_talk(
        hub.identity,
        hub.offer(),
        entropy=hub.entropy,
        pin=told,
        token=lamp.token if token is None else token,
        expect=expect,
    )
    device_talk = activation.device_talk(lamp.state, FACTS, entropy=lamp.entropy, pin=lamp.pin, token=lamp.token)
    return Stage(
        Player("hub", hub_talk, hub.join, confirm),
        Player("device", device_talk, lamp.save, confirm),
        tamper,
        cue,
    ).play()


def connect(hub: Hub, lamp: Device, binding: Binding, *, tamper: Tamper = honest, cue: Cue | None = None) -> Stage:
    """One link attempt."""
    return Stage(
        Player("hub", link.hub_talk(hub.identity, hub.lookup, entropy=hub.entropy), no_commit, agree),
        Player("device", link.device_talk(lamp.state.identity, binding, entropy=lamp.entropy), no_commit, agree),
        tamper,
        cue,
    ).play()


def settle(hub: Hub, lamp: Device) -> None:
    """What a device does after power-on: try each binding, believe what the hub proves."""
    for binding in lamp.state.candidates:
        stage = connect(hub, lamp, binding)
        if stage.device.error is None:
            lamp.save(device.linked(lamp.state, binding))
            return
        reason = getattr(stage.device.error, "reason", None)
        if reason:
            lamp.save(device.refused(lamp.state, binding, reason, device.PATIENCE))


def agreed(hub: Hub, lamp: Device) -> bool:
    """Hub and device hold the same binding, and the device nothing besides."""
    ours, theirs = hub.devices.get(lamp.id), lamp.state.active
    return (
        ours is not None
        and theirs is not None
        and lamp.state.pending is None
        and (ours.credential, ours.epoch, ours.binding_id) == (theirs.credential, theirs.epoch, theirs.binding_id)
        and theirs.hub_key == hub.identity.public
    )
