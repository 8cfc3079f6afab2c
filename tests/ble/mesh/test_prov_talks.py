"""Provisioning, both ends: the published octets, every method, every refusal, and links that break."""

import random
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from ble.errors import BleError, Disconnected
from ble.mesh.crypto import k1, s1
from ble.mesh.provisioning import pdus
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.device import Device, Joined, join
from ble.mesh.provisioning.errors import REASONS, DataRefused, ProvisioningTimedOut, RefusedByDevice
from ble.mesh.provisioning.faults import Fault, misbehave
from ble.mesh.provisioning.keys import KeyPair, Transcript
from ble.mesh.provisioning.pdus import (
    CMAC,
    HMAC,
    RANDOM_SIZES,
    Capabilities,
    InputAction,
    Method,
    OobType,
    OutputAction,
)
from ble.mesh.provisioning.provisioner import provision
from ble.mesh.provisioning.talk import Entropy, Receive, Send, Talk
from tests.ble.mesh.prov_fuzzing import ROUNDS, fuzz
from tests.ble.mesh.prov_pairs import ALL, DATA, PLAIN, STATIC, Pair, Weather, pair
from tests.ble.mesh.vectors import octets, recorded, vector

CMAC_VECTOR = vector("8.7 / 8.17.1")
HMAC_VECTOR = vector("8.17.2")


def fixed(value: bytes) -> Entropy:
    def draw(size: int) -> bytes:
        assert size == len(value)
        return value

    return draw


def published(device: Device, choice: Choice, provisioner_random: bytes, device_random: bytes) -> Pair:
    keys = CMAC_VECTOR[0]
    return pair(
        provision(
            choice,
            entropy=fixed(provisioner_random),
            private_key=octets(keys["provisioner_private_key"]),
            attention=0,
        ),
        join(device, entropy=fixed(device_random), private_key=octets(keys["device_private_key"])),
    ).run()


def test_the_published_octets_with_cmac() -> None:
    """MshPRT 1.1, 8.7."""
    out = CMAC_VECTOR[1]
    done = published(PLAIN, Choice(), octets(out["provisioner_random"])[1:], octets(out["device_random"])[1:])
    assert [pdu.hex() for _, pdu in done.sent] == [
        out[name]
        for name in (
            "invite",
            "capabilities",
            "start",
            "provisioner_public_key",
            "device_public_key",
            "provisioner_confirmation",
            "device_confirmation",
            "provisioner_random",
            "device_random",
            "data",
            "complete",
        )
    ]
    assert done.node.device_key == done.joined.device_key == octets(out["device_key"])
    assert done.joined.data == DATA


def test_the_published_octets_with_hmac() -> None:
    """MshPRT 1.1, 8.17.2: 32 octets of static OOB."""
    given, out = HMAC_VECTOR
    auth = octets(given["auth_value"])
    offered = pdus.unpack(b"\x01" + octets(given["capabilities"]))
    assert isinstance(offered, Capabilities)
    device = Device(capabilities=offered, static=auth)
    done = published(device, Choice(static=auth), octets(given["provisioner_random"]), octets(given["device_random"]))
    sent = {pdu.hex() for _, pdu in done.sent}
    assert {out[name] for name in ("start", "provisioner_confirmation", "device_confirmation", "data")} <= sent
    assert done.node.device_key == octets(out["device_key"])
    assert (done.node.algorithm, done.node.method) == (HMAC, Method.STATIC)


@pytest.mark.parametrize(("section", "algorithm"), [("8.7 / 8.17.1", CMAC), ("8.17.2", HMAC)])
def test_the_published_keys(section: str, algorithm: int) -> None:
    """The curve's secret, the salts, and the session, under the keys that both entries share."""
    given, out = CMAC_VECTOR[0], {**CMAC_VECTOR[1], **vector(section)[0], **vector(section)[1]}
    ours, theirs = (KeyPair(octets(given[f"{side}_private_key"])) for side in ("provisioner", "device"))
    secret = ours.exchange(theirs.point)
    assert secret == theirs.exchange(ours.point) == octets(CMAC_VECTOR[1]["ecdh_secret"])
    capabilities = octets(out["capabilities"])[-11:]
    heard = Transcript(
        invite=bytes(1),
        capabilities=capabilities,
        start=octets(out["start"])[1:],
        provisioner_point=ours.point,
        device_point=theirs.point,
        secret=secret,
        algorithm=algorithm,
        auth=octets({**CMAC_VECTOR[0], **vector(section)[0]}["auth_value"]),
    )
    randoms = [octets(out[f"{side}_random"])[-RANDOM_SIZES[algorithm] :] for side in ("provisioner", "device")]
    session = heard.session(*randoms)
    assert (session.key, session.nonce) == (octets(out["session_key"]), octets(out["session_nonce"]))
    if algorithm == CMAC:
        assert heard.salt() == octets(out["confirmation_salt"])
        assert s1(heard.salt() + b"".join(randoms)) == octets(out["provisioning_salt"])
        assert k1(secret, heard.salt(), b"prck") == octets(out["confirmation_key"])
    with pytest.raises(DataRefused):
        session.open(bytes(33))


def met(device: Device, choice: Choice, **more: Any) -> Pair:
    return pair(provision(choice, entropy=secrets.token_bytes), join(device, entropy=secrets.token_bytes), **more).run()


def offering(**what: Any) -> Device:
    return Device(capabilities=Capabilities(elements=1, algorithms=0b11, **what))


@pytest.mark.parametrize("action", OutputAction)
def test_a_person_reads_what_the_device_shows(action: OutputAction) -> None:
    done = met(offering(output_actions=1 << action, output_size=4), Choice(person=True, authenticated=True))
    assert done.node.method == Method.OUTPUT
    assert done.node.device_key == done.joined.device_key


@pytest.mark.parametrize("action", InputAction)
def test_a_person_enters_what_the_provisioner_shows(action: InputAction) -> None:
    done = met(offering(input_actions=1 << action, input_size=4), Choice(person=True, authenticated=True))
    assert done.node.method == Method.INPUT
    assert done.node.device_key == done.joined.device_key


def test_the_best_that_both_can_is_taken() -> None:
    assert met(ALL, Choice(static=STATIC, person=True)).node.method == Method.STATIC
    assert met(ALL, Choice(person=True)).node.method == Method.OUTPUT
    assert met(ALL, Choice()).node.method == Method.NO_OOB
    assert met(ALL, Choice()).node.algorithm == HMAC
    assert met(PLAIN, Choice(static=STATIC, person=True)).node.algorithm == CMAC


def test_a_public_key_from_the_label_is_used_and_not_sent() -> None:
    scalar = bytes(31) + b"\x07"
    device = Device(capabilities=Capabilities(elements=1, public_key_oob=True), private_key=scalar)
    done = met(device, Choice(public_key=KeyPair(scalar).point))
    assert done.node.device_key == done.joined.device_key
    assert [name for name, pdu in done.sent if pdu[0] == 3] == ["provisioner"]
    wrong = met(device, Choice(public_key=KeyPair().point))
    assert code(wrong.provisioner.error) in ("refused_by_device", "confirmation_failed")
    assert code(wrong.device.error) == "confirmation_failed"


def code(error: BleError | None) -> str:
    return error.code if error else ""


FAULTS = {
    Fault.REFLECTS_PUBLIC_KEY: "public_key_reflected",
    Fault.NEGATES_PUBLIC_KEY: "public_key_reflected",
    Fault.KEY_OFF_CURVE: "public_key_invalid",
    Fault.REFLECTS_CONFIRMATION: "confirmation_reflected",
    Fault.WRONG_CONFIRMATION: "confirmation_failed",
    Fault.REFLECTS_RANDOM: "random_reflected",
    Fault.WRONG_RANDOM: "confirmation_failed",
    Fault.UNEXPECTED_PDU: "provisioning_pdu_unexpected",
}


@pytest.mark.parametrize("device", [PLAIN, ALL], ids=["cmac", "hmac"])
@pytest.mark.parametrize("fault", Fault)
def test_a_device_that_cheats_gets_nothing(fault: Fault, device: Device) -> None:
    cheating = misbehave(join(device, entropy=secrets.token_bytes), fault)
    ended = pair(provision(Choice(), entropy=secrets.token_bytes), cheating).run()
    assert code(ended.provisioner.error) == FAULTS[fault]
    assert ended.assigned == []


@pytest.mark.parametrize("fault", [Fault.REFLECTS_PUBLIC_KEY, Fault.KEY_OFF_CURVE, Fault.WRONG_CONFIRMATION])
def test_a_provisioner_that_cheats_makes_no_node(fault: Fault) -> None:
    """The device sends its public key second and its confirmation second: only its own key can come back to it."""
    scalar = bytes(31) + b"\x07"
    device = Device(capabilities=Capabilities(elements=1, public_key_oob=True), private_key=scalar)
    choice = Choice(public_key=KeyPair(scalar).point)
    if fault is Fault.REFLECTS_PUBLIC_KEY:
        other = Choice(public_key=KeyPair().point)
        cheating = provision(other, entropy=secrets.token_bytes, private_key=scalar)
    else:
        cheating = misbehave(provision(choice, entropy=secrets.token_bytes), fault)
    ended = pair(cheating, join(device, entropy=secrets.token_bytes)).run()
    assert code(ended.device.error) == FAULTS[fault]
    assert code(ended.provisioner.error) == "refused_by_device"


def test_a_mistyped_code_is_refused_and_worth_another_try() -> None:
    ended = met(ALL, Choice(person=True), mistyped=True)
    error = ended.device.error
    assert code(error) == "confirmation_failed"
    assert error is not None
    assert error.retryable
    told = ended.provisioner.error
    assert isinstance(told, RefusedByDevice)
    assert (told.octet, str(told)) == (4, "confirmation failed")


def test_a_wrong_static_secret_is_refused() -> None:
    assert code(met(ALL, Choice(static=bytes(16))).device.error) == "confirmation_failed"


@pytest.mark.parametrize(
    ("device", "choice"),
    [
        (offering(oob_type=OobType.ONLY_AUTHENTICATED), Choice()),
        (offering(), Choice(person=True, static=STATIC, authenticated=True)),
        (offering(output_actions=1, output_size=0), Choice(person=True, authenticated=True)),
        (Device(capabilities=Capabilities(elements=1, algorithms=0b100)), Choice()),
    ],
)
def test_where_nothing_allowed_is_common_nothing_is_chosen(device: Device, choice: Choice) -> None:
    assert code(met(device, choice).provisioner.error) == "no_common_method"


@pytest.mark.parametrize(
    ("script", "octet"),
    [
        (["00"], 0x02),
        (["0c00"], 0x01),
        (["020000000000"], 0x03),
        (["0000", "0000"], 0x03),
        (["0000", "020100000000"], 0x02),
        (["0000", "020000010000"], 0x02),
        (["0000", "020001000000"], 0x02),
        (["0000", "020000020001"], 0x02),
        (["0000", "020000000000", "03" + "01" * 64], 0x02),
    ],
)
def test_the_device_says_what_it_will_not_have(script: list[str], octet: int) -> None:
    talk = join(PLAIN, entropy=secrets.token_bytes)
    sent = driven(talk, [octets(text) for text in script])
    assert sent[-1] == bytes([9, octet])
    assert octet in REASONS


def driven(talk: Talk[Joined], incoming: list[bytes]) -> list[bytes]:
    """What the device sends to this, until its error."""
    ended = pair(reciting(incoming), talk).run()
    assert ended.device.error is not None
    return [pdu for name, pdu in ended.sent if name == "device"]


def reciting(pdus_to_send: list[bytes]) -> Talk[Any]:
    """Sends these, whatever it hears, and then only listens."""
    for pdu in pdus_to_send:
        yield Send(pdu)
    while True:
        yield Receive(1000.0, "whatever comes")


def test_data_for_an_address_that_is_none_is_refused() -> None:
    last_but_one = ProvisioningData(net_key=bytes(16), net_key_index=0, flags=0, iv_index=0, unicast=0x7FFE)
    ended = met(ALL, Choice(), data=last_but_one)
    assert code(ended.device.error) == "provisioning_data_refused"
    assert code(ended.provisioner.error) == "refused_by_device"


def test_a_device_that_falls_silent_is_given_up() -> None:
    ended = pair(provision(Choice(), entropy=secrets.token_bytes), reciting([])).run()
    assert isinstance(ended.provisioner.error, ProvisioningTimedOut)
    assert ended.now == 60.0


CAUSES = {
    "disconnected",
    "provisioning_timed_out",
    "provisioning_pdu_unexpected",
    "refused_by_device",
}
WEATHERS: dict[str, Callable[[random.Random], Weather]] = {
    "delays": lambda drawn: Weather(delay=drawn.choice([1.0, 20.0, 59.0])),
    "duplicates": lambda drawn: Weather(delay=5.0, doubled=drawn.choice([0.02, 0.2])),
    "disconnects": lambda drawn: Weather(delay=5.0, broken=drawn.choice([0.02, 0.2])),
    "slower than the timers": lambda drawn: Weather(delay=drawn.choice([61.0, 90.0]), doubled=0.05, broken=0.02),
}


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.full)])
def test_every_schedule_ends_right_or_with_a_cause(count: int) -> None:
    ends: dict[str, int] = {}
    for seed in range(count):
        drawn = random.Random(seed)
        weather = WEATHERS[drawn.choice(sorted(WEATHERS))](drawn)
        device = drawn.choice([PLAIN, ALL])
        choice = Choice(static=STATIC if drawn.random() < 0.3 else None, person=drawn.random() < 0.5)
        ended = pair(
            provision(choice, entropy=drawn.randbytes),
            join(device, entropy=drawn.randbytes),
            weather=weather,
            drawn=drawn,
        ).run()
        end = code(ended.provisioner.error) or "provisioned"
        ends[end] = ends.get(end, 0) + 1
        if end == "provisioned":
            assert ended.joined.device_key == ended.node.device_key
        else:
            assert end in CAUSES
            if ended.device.error is None:  # it is a node: then the key was made durable before it was one
                assert ended.assigned[-1].device_key == ended.joined.device_key
    print(f"{count} schedules: {ends}")
    assert {"provisioned", "disconnected", "provisioning_pdu_unexpected"} <= set(ends)


def test_what_others_offer_is_read() -> None:
    bluez = pdus.unpack(b"\x01" + recorded("bluez_meshd_5.66", "capabilities"))
    assert bluez == Capabilities(elements=1, algorithms=1)
    btstack = pdus.unpack(b"\x01" + recorded("btstack_2026_06", "capabilities"))
    assert btstack == Capabilities(elements=1, algorithms=1, output_size=8, output_actions=1 << OutputAction.NUMERIC)


HONEST = [
    octets(value)
    for name, value in CMAC_VECTOR[1].items()
    if name
    in (
        "invite",
        "capabilities",
        "start",
        "provisioner_public_key",
        "device_confirmation",
        "device_random",
        "data",
    )
]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_provisioning_pdus_fuzzed(rounds: int) -> None:
    def parse(data: bytes) -> None:
        assert pdus.pack(pdus.unpack(data)) == data

    assert fuzz("provisioning", parse, HONEST, rounds, most=80) > 0


def test_disconnected_is_thrown_into_a_talk() -> None:
    ended = met(PLAIN, Choice(), weather=Weather(broken=1.0))
    assert isinstance(ended.provisioner.error, Disconnected)
