"""A provisioning from end to end, both schemes: what gets through, what is refused, what no listener reads."""

from random import Random

import pytest
from msgspec.structs import replace

from pairing.ap.setup import Connected, Connecting, Failed, Reason, SeenNetwork
from pairing.errors import (
    ChannelBrokenError,
    ConnectionLostError,
    MalformedMessageError,
    PairingError,
    ProofFailedError,
    TooManyTriesError,
    UnsupportedVersionError,
)
from pairing.protocomm import calls, client, messages, schema, security1, security2, srp
from pairing.protocomm.calls import Call, EndpointRefusedError
from pairing.protocomm.client import Proof
from pairing.protocomm.device import MAX_TRIES
from pairing.wifi import Provisioned, WifiNetwork
from tests.pairing.protocomm.provisioning import NETWORKS, POP, TOKEN, Lamp, play

HOME = WifiNetwork("Zuhause ☕", "höchst geheim", "02:00:00:00:00:07")
SCHEMES = pytest.mark.parametrize("scheme", [1, 2])


def proven(lamp: Lamp, pop: str = POP, seed: int = 7) -> client.Session:
    return play(client.establish(Proof(pop), entropy=Random(seed).randbytes), lamp.answer)


@SCHEMES
def test_a_device_is_told_the_network_and_the_token(scheme: int) -> None:
    lamp = Lamp(scheme)
    session = proven(lamp)
    assert play(client.status(session), lamp.answer) == Connecting()
    assert play(client.send(session, HOME, TOKEN), lamp.answer) is True
    assert lamp.told == [Provisioned(HOME, TOKEN)]
    assert play(client.status(session), lamp.answer) == Connected("192.0.2.7")


@SCHEMES
def test_nothing_secret_is_readable_on_the_air(scheme: int) -> None:
    lamp = Lamp(scheme)
    play(client.send(proven(lamp), HOME, TOKEN), lamp.answer)
    said = b"".join(call.body for call in lamp.calls)
    for secret in (HOME.password.encode(), HOME.ssid.encode(), TOKEN, POP.encode()):
        assert secret not in said


@SCHEMES
def test_a_device_that_knows_no_token_is_never_shown_one(scheme: int) -> None:
    lamp = Lamp(scheme, takes_token=False)
    assert play(client.send(proven(lamp), HOME, TOKEN), lamp.answer) is False
    assert lamp.told == [Provisioned(HOME)]
    assert calls.HANDOVER not in [call.endpoint for call in lamp.calls]


@SCHEMES
def test_networks_are_scanned_strongest_first_each_name_once(scheme: int) -> None:
    again = SeenNetwork("Net 3", "02:00:00:00:00:ff", 6, -20, open=True)
    lamp = Lamp(scheme, networks=(*NETWORKS, again))
    seen = play(client.scan(proven(lamp)), lamp.answer)
    assert seen[0] == again
    assert [network.ssid for network in seen] == ["Net 3", *(f"Net {n}" for n in range(9) if n != 3)]


@SCHEMES
@pytest.mark.parametrize("wrong", ["", "abcd1235", POP + " "])
def test_a_wrong_proof_of_possession_is_refused(scheme: int, wrong: str) -> None:
    lamp = Lamp(scheme)
    with pytest.raises(ProofFailedError):
        proven(lamp, wrong)
    with pytest.raises(PairingError):
        lamp.device.answer(calls.CONFIG, messages.get_status())
    assert proven(lamp).version.scheme == scheme


@SCHEMES
def test_a_device_that_pretends_is_found_out(scheme: int) -> None:
    lamp = Lamp(scheme, pop="another")

    def agreeing(call: Call) -> bytes:
        try:
            return lamp.answer(call)
        except EndpointRefusedError:
            part = {1: {"resp1": {"device_verify": bytes(32)}}, 2: {"resp1": {"device_proof": bytes(64)}}}[scheme]
            return schema.pack("Session", scheme=scheme, **{f"sec{scheme}": part})

    with pytest.raises(ProofFailedError, match="does not verify"):
        play(client.establish(Proof(POP), entropy=Random(7).randbytes), agreeing)


def test_a_device_that_hangs_up_on_our_proof_is_told_from_one_that_is_gone() -> None:
    lamp = Lamp(1, pop="another")

    def hangs_up(call: Call) -> bytes:
        try:
            return lamp.answer(call)
        except EndpointRefusedError:
            raise ConnectionLostError from None

    def gone(call: Call) -> bytes:
        if len(lamp.calls) > 1:
            raise ConnectionLostError
        return lamp.answer(call)

    for answer, expected in ((hangs_up, ProofFailedError), (gone, ConnectionLostError)):
        lamp.calls.clear()
        with pytest.raises(expected):
            play(client.establish(Proof(POP), entropy=Random(7).randbytes), answer)


@SCHEMES
def test_a_device_answers_no_more_after_too_many_wrong_proofs(scheme: int) -> None:
    lamp = Lamp(scheme)
    lamp.device._tries = MAX_TRIES - 1
    with pytest.raises(ProofFailedError):
        proven(lamp, "wrong")
    with pytest.raises(PairingError):
        proven(lamp)
    with pytest.raises(TooManyTriesError):
        lamp.device.answer(calls.SESSION, b"")


@pytest.mark.parametrize("scheme", [0, 3, 2**31])
def test_no_scheme_without_proof_is_spoken(scheme: int) -> None:
    raw = messages.pack_version(messages.Version(scheme))
    with pytest.raises(UnsupportedVersionError):
        play(client.establish(Proof(POP), entropy=Random(7).randbytes), lambda _: raw)


def test_a_proof_longer_than_any_is_refused_before_anything_is_sent() -> None:
    for proof in (Proof("x" * 65), Proof(POP, "u" * 65)):
        with pytest.raises(ProofFailedError):
            next(client.establish(proof, entropy=Random(7).randbytes))


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little")])
def test_scheme_1_refuses_points_of_low_order_on_both_sides(point: bytes) -> None:
    command = schema.pack("Session", scheme=1, sec1={"msg": 0, "cmd0": {"client_pubkey": point}})
    with pytest.raises(ProofFailedError):
        next(security1.device(command, b"", entropy=Random(1).randbytes))
    talk = security1.client(b"", entropy=Random(1).randbytes)
    next(talk)
    part = {"device_pubkey": point, "device_random": bytes(16)}
    with pytest.raises(ProofFailedError):
        talk.send(schema.pack("Session", scheme=1, sec1={"msg": 1, "resp0": part}))


@pytest.mark.parametrize("factor", [0, 1, 2])
def test_scheme_2_refuses_public_values_that_are_nothing_modulo_the_prime(factor: int) -> None:
    useless = (factor * srp.PRIME).to_bytes(srp.SIZE + 1, "big").lstrip(b"\0") or b"\0"
    login = srp.Login(b"wifiprov", POP.encode())
    record = srp.register(login, Random(1).randbytes)
    command = {"username": b"wifiprov", "client_pubkey": useless}
    with pytest.raises(ProofFailedError):
        next(
            security2.device(
                schema.pack("Session", scheme=2, sec2={"cmd0": command}), record, entropy=Random(2).randbytes
            )
        )
    talk = security2.client(login, entropy=Random(3).randbytes)
    next(talk)
    with pytest.raises(ProofFailedError):
        talk.send(schema.pack("Session", scheme=2, sec2={"resp0": {"device_pubkey": useless, "salt": b"salt"}}))


def test_the_group_is_that_of_rfc_5054() -> None:
    """3072 bits: 2^3072 - 2^3008 - 1 + 2^64 * (floor(2^2942 pi) + 1690314), a safe prime as far as Fermat can tell."""
    assert srp.PRIME.bit_length() == 3072
    assert srp.PRIME >> 3008 == 2**64 - 1
    assert srp.PRIME % 2**64 == 2**64 - 1
    assert pow(2, srp.PRIME - 1, srp.PRIME) == 1
    assert pow(2, srp.PRIME // 2 - 1, srp.PRIME // 2) == 1


def test_a_wrong_user_name_fails_only_at_the_end() -> None:
    lamp = Lamp(2)
    with pytest.raises(ProofFailedError):
        play(client.establish(Proof(POP, "somebody"), entropy=Random(7).randbytes), lamp.answer)
    assert [call.endpoint for call in lamp.calls] == [calls.VERSION, calls.SESSION, calls.SESSION, calls.VERSION]


def test_a_call_changed_on_the_way_is_noticed_by_scheme_2_and_ends_the_session() -> None:
    lamp = Lamp(2)
    session = proven(lamp)

    def changed(call: Call) -> bytes:
        return lamp.answer(replace(call, body=bytes([call.body[0] ^ 1]) + call.body[1:]))

    with pytest.raises(EndpointRefusedError):
        play(client.send(session, HOME, TOKEN), changed)
    with pytest.raises(EndpointRefusedError, match="device_refused"):
        play(client.send(session, HOME, TOKEN), lamp.answer)
    assert lamp.told == []


def test_an_answer_replayed_is_noticed_by_scheme_2() -> None:
    lamp = Lamp(2)
    session = proven(lamp)
    said: list[bytes] = []

    def replays(call: Call) -> bytes:
        said.append(lamp.answer(call))
        return said[0]

    play(client.status(session), replays)
    with pytest.raises(ChannelBrokenError):
        play(client.status(session), replays)


def test_nonces_run_out_rather_than_around() -> None:
    sealed = security2.Sealed(bytes(32), bytes(8) + b"\xff" * 4)
    sealed.seal(b"last")
    with pytest.raises(ChannelBrokenError):
        sealed.seal(b"one more")


def test_firmware_that_never_counts_its_nonces_is_still_understood() -> None:
    lamp = Lamp(2)

    def old(call: Call) -> bytes:
        if call.endpoint == calls.VERSION:
            return b'{"prov":{"ver":"v1.1","sec_ver":2,"cap":["wifi_scan"]}}'
        return lamp.answer(call)

    session = play(client.establish(Proof(POP), entropy=Random(7).randbytes), old)
    lamp.device._cipher._counts = False  # type: ignore[union-attr]
    assert play(client.scan(session), old) == ()
    play(client.send(session, HOME, b""), old)
    assert play(client.status(session), old) == Connecting()
    assert lamp.told == [Provisioned(HOME)]
    # Only what nobody can guess from a listener's side is sealed under its one nonce.
    assert {call.endpoint for call in lamp.calls} == {calls.SESSION, calls.CONFIG}


@SCHEMES
@pytest.mark.parametrize("token", [b"", b"short", b"EUa1b2c3d4WXY!", TOKEN + b"x"])
def test_a_device_takes_only_a_token(scheme: int, token: bytes) -> None:
    lamp = Lamp(scheme)
    session = proven(lamp)
    with pytest.raises(PairingError):
        play(iter_token(session, token), lamp.answer)
    assert lamp.told == []


def iter_token(session: client.Session, token: bytes) -> calls.Calls[bytes]:
    return (yield Call(calls.HANDOVER, session.cipher.seal(token), "sending"))


@pytest.mark.parametrize("status", [Failed(Reason.AUTH), Failed(Reason.NOT_FOUND), Connected(""), Connecting()])
def test_what_became_of_it_is_said(status: Connected | Connecting | Failed) -> None:
    raw = messages.pack_status(status, "home")
    assert messages.parse_status(messages.parse_config(raw, "resp_status")) == status


def test_applying_nothing_is_refused() -> None:
    lamp = Lamp(1)
    session = proven(lamp)
    with pytest.raises(MalformedMessageError):
        play(apply_alone(session), lamp.answer)
    assert lamp.told == []


def apply_alone(session: client.Session) -> calls.Calls[None]:
    answer = yield Call(calls.CONFIG, session.cipher.seal(messages.apply_config()), "sending")
    messages.parse_config(session.cipher.open(answer), "resp_apply")


def test_no_session_no_answer() -> None:
    lamp = Lamp()
    for endpoint in (calls.SCAN, calls.CONFIG, calls.HANDOVER, "nonsense", ""):
        with pytest.raises(EndpointRefusedError):
            lamp.device.answer(endpoint, b"")
