"""Codes printed on devices: each format read to what the next step needs, and every fault a typed error."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.errors import PairingError, UnsupportedVersionError
from pairing.qr import Printed, UnreadableCodeError, label, parse, wifi
from pairing.wifi import PasswordLengthError, SsidLengthError, WifiNetwork

DEVICE = "d-2gn7prq3ufryaprn6j7oedxk"
UUID = "f998cb9e62f5e9a1"


def setup_network(ssid: str, password: str = "") -> Printed:
    return Printed(kind="wifi", method="ap", transports=("ap",), network=ssid, network_password=password)


def esp(transport: str, **more: object) -> Printed:
    method = "ble_wifi" if transport == "ble" else transport
    return Printed(kind="esp", method=method, transports=(transport,), **more)  # type: ignore[arg-type]


READ: list[tuple[str, Printed]] = [
    ("WIFI:T:WPA;S:Lamp 1A2B;P:12345678;;", setup_network("Lamp 1A2B", "12345678")),
    ("wifi:S:Lamp;P:12345678;T:WPA;H:true;;", setup_network("Lamp", "12345678")),
    ("WIFI:T:nopass;S:Open;P:passed over;;", setup_network("Open")),
    ("WIFI:S:Open;;", setup_network("Open")),
    ('WIFI:T:WPA;S:a\\;b\\:c\\,d\\"e\\\\;P:\\\\\\;\\"12345;;', setup_network('a;b:c,d"e\\', '\\;"12345')),
    ("WIFI:T:SAE;S:☕🏡;P:pässwörd;;", setup_network("☕🏡", "pässwörd")),
    (f"DS1:I={DEVICE}", Printed(kind="doorstep", method="any", device=DEVICE)),
    (
        f"DS1:I={DEVICE};P=4711-0815;M=lamp",
        Printed(kind="doorstep", method="any", device=DEVICE, pin="4711-0815", product="lamp"),
    ),
    (
        f"  DS1:M=lamp;T=ble;I={DEVICE};Z=of a later version\n",
        Printed(kind="doorstep", method="ble", transports=("ble",), device=DEVICE, product="lamp"),
    ),
    (
        f"DS1:I={DEVICE};T=ap,wired",
        Printed(kind="doorstep", method="any", transports=("ap", "wired"), device=DEVICE),
    ),
    (
        f"https://smartapp.tuya.com/s/p?p=keytg5kq8gvkv9dh&uuid={UUID}&v=2.0",
        Printed(kind="tuya", method="ap", transports=("ap",), device=UUID, product="keytg5kq8gvkv9dh"),
    ),
    (
        "https://m.smart321.com/AYSMh4xh1x",
        Printed(kind="tuya", method="ap", transports=("ap",), link="https://m.smart321.com/AYSMh4xh1x"),
    ),
    (
        '{"ver":"v1","name":"PROV_1A2B3C","pop":"abcd1234","transport":"softap"}',
        esp("ap", name="PROV_1A2B3C", pop="abcd1234", network="PROV_1A2B3C"),
    ),
    (
        '{"ver":"v1","name":"PROV_1","username":"wifiprov","pop":"x","transport":"softap","security":"2",'
        '"password":"12345678","network":"wifi"}',
        esp(
            "ap",
            name="PROV_1",
            pop="x",
            username="wifiprov",
            security=2,
            network="PROV_1",
            network_password="12345678",
        ),
    ),
    ('{"ver":"v1","name":"PROV_1","transport":"ble","security":1}', esp("ble", name="PROV_1", security=1)),
]

REFUSED: list[tuple[str, type[PairingError]]] = [
    ("", UnreadableCodeError),
    ("a word", UnreadableCodeError),
    ("x" * 513, UnreadableCodeError),
    ("DS1:I=" + DEVICE + "\x00", UnreadableCodeError),
    ("WIFI:T:WPA;S:\ud800;P:12345678;;", UnreadableCodeError),
    ("WIFI:", SsidLengthError),
    ("WIFI:T:WPA;S:" + "x" * 33 + ";P:12345678;;", SsidLengthError),
    ("WIFI:T:WPA;S:x;P:1234567;;", PasswordLengthError),
    ("WIFI:T:WPA;S:x;P:" + "é" * 32 + ";;", PasswordLengthError),
    ("WIFI:T:WPA2-EAP;S:x;P:12345678;;", UnreadableCodeError),
    ("WIFI:S", UnreadableCodeError),
    ("WIFI:S:x\\", UnreadableCodeError),
    ("DS2:I=" + DEVICE, UnsupportedVersionError),
    ("DS1:", UnreadableCodeError),
    ("DS1:P=1", UnreadableCodeError),
    ("DS1:I=h-2gn7prq3ufryaprn6j7oedxk", UnreadableCodeError),
    (f"DS1:I={DEVICE};I={DEVICE}", UnreadableCodeError),
    (f"DS1:I={DEVICE};P=", UnreadableCodeError),
    (f"DS1:I={DEVICE};M=../lamp", UnreadableCodeError),
    (f"DS1:I={DEVICE};T=smoke", UnreadableCodeError),
    (f"DS1:I={DEVICE};M=ä", UnreadableCodeError),
    (f"DS1:I={DEVICE};" + ";".join(f"{chr(65 + n)}=x" for n in range(17)), UnreadableCodeError),
    ("https://example.org/s/p?uuid=" + UUID, UnreadableCodeError),
    ("https://nottuya.com/s/p?uuid=" + UUID, UnreadableCodeError),
    ("https://tuya.com@example.org/s/p?uuid=" + UUID, UnreadableCodeError),
    ("https://smartapp.tuya.com/", UnreadableCodeError),
    ("https://smartapp.tuya.com/s/p?uuid=<script>", UnreadableCodeError),
    ("https://smartapp.tuya.com/s/p?" + "&".join(f"a{n}=1" for n in range(20)), UnreadableCodeError),
    ("https://[tuya.com/x", UnreadableCodeError),
    ("{", UnreadableCodeError),
    ("{" + '"a":{' * 90, UnreadableCodeError),
    ("{}", UnreadableCodeError),
    ('{"ver":"v2","name":"x","transport":"ble"}', UnsupportedVersionError),
    ('{"ver":"v1","name":"x"}', UnreadableCodeError),
    ('{"ver":"v1","name":"","transport":"ble"}', UnreadableCodeError),
    ('{"ver":"v1","name":7,"transport":"ble"}', UnreadableCodeError),
    ('{"ver":"v1","name":"x\\u0007","transport":"ble"}', UnreadableCodeError),
    ('{"ver":"v1","name":"x","transport":"ble","network":"thread"}', UnreadableCodeError),
    ('{"ver":"v1","name":"x","transport":"ble","security":true}', UnreadableCodeError),
    ('{"ver":"v1","name":"x","transport":"softap","password":"short"}', PasswordLengthError),
]


@pytest.mark.parametrize(("text", "printed"), READ, ids=[text[:40] for text, _ in READ])
def test_a_printed_code_is_read(text: str, printed: Printed) -> None:
    assert parse(text) == printed


@pytest.mark.parametrize(("text", "error"), REFUSED, ids=range(len(REFUSED)))
def test_a_fault_is_told_and_the_code_is_not(text: str, error: type[PairingError]) -> None:
    with pytest.raises(error) as raised:
        parse(text)
    assert len(text) < 8 or text not in str(raised.value)


def test_nothing_secret_is_in_the_repr() -> None:
    assert repr(parse("WIFI:T:WPA;S:Lamp;P:12345678;;")) == "Printed(kind='wifi', method='ap')"


@pytest.mark.parametrize(
    "network",
    [
        WifiNetwork("Lindenweg", "correct horse battery"),
        WifiNetwork("open"),
        WifiNetwork('a;b:c,d"e\\', '\\;:,"\\\\;;'),
        WifiNetwork("☕🏡 Küche 🛋", "x" * 63),
    ],
    ids=lambda network: network.ssid,
)
def test_a_network_is_read_as_it_was_written(network: WifiNetwork) -> None:
    assert wifi.parse_network(wifi.write(network)) == network


names = st.text(string.ascii_letters + string.digits + "_.:-", max_size=64)
pins = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=";"), max_size=64)
ways = st.lists(st.sampled_from(label.TRANSPORTS), max_size=5).map(tuple)


@given(pins, names, ways)
def test_a_label_is_read_as_it_was_written(pin: str, product: str, transports: tuple[str, ...]) -> None:
    printed = parse(label.write(DEVICE, pin=pin, product=product, transports=transports))
    assert (printed.device, printed.pin, printed.product) == (DEVICE, pin, product)
    assert printed.transports == transports


def test_a_label_is_as_short_as_that() -> None:
    text = label.write(DEVICE, pin="4711-0815", product="lamp", transports=("wired",))
    assert text == f"DS1:I={DEVICE};P=4711-0815;M=lamp;T=wired"
    assert parse(text) == Printed(
        kind="doorstep", method="wired", transports=("wired",), device=DEVICE, pin="4711-0815", product="lamp"
    )


@pytest.mark.parametrize("pin", ["a;b", "with space", "ü", "x" * 65])
def test_what_cannot_be_printed_is_not(pin: str) -> None:
    with pytest.raises(UnreadableCodeError):
        label.write(DEVICE, pin=pin)
