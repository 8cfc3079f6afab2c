"""Link messages: what is said is read back, and anything else is a typed error."""

import pytest

from pairing import messages
from pairing.errors import MalformedMessageError
from pairing.messages import (
    Answer,
    Child,
    ChildLeft,
    Command,
    ForgetChild,
    Hello,
    Joining,
    Moved,
    PermitJoin,
    Ping,
    Pong,
    Report,
    Reset,
    Wifi,
    WifiAccepted,
    WifiKeep,
    WifiRefused,
)
from pairing.text import clean

FROM_DEVICE: list[messages.FromDevice] = [
    Hello(fw="1.2.0", product="lamp"),
    Report(
        service="light", values={"on": True, "level": 40, "name": "x", "t": 1.5, "none": None}, at=1_700_000_000_000
    ),
    Report(service="light", values={}),
    Answer(id="c1", ok=True, values={"on": False}),
    Answer(id="c2", ok=False, error="no_such_property"),
    Ping(),
    Reset(),
    Joining(seconds=3600),
    Child(child="00:0d:6f:00:0a:90:69:e7", product="lamp", name="Lamp", fw="1", online=False),
    ChildLeft(child="c1"),
    Report(service="light", values={}, child="c1"),
    Answer(id="c1", ok=True, child="c1"),
    Hello(fw="1", product="lamp", wifi="Lindenweg", change="w-1", trial=True),
    WifiAccepted(change="w-1"),
    WifiRefused(change="w-1", error="busy"),
]
FROM_HUB: list[messages.FromHub] = [
    Command(id="c1", kind="set", service="light", values={"on": True}, expires=1),
    Command(id="c2", kind="call", service="light", name="blink", params={"times": 3}),
    Pong(at=5),
    Reset(),
    Moved(endpoints=(("192.168.1.5", 8471), ("fe80::1%eth0", 8471))),
    PermitJoin(seconds=0),
    ForgetChild(child="c1"),
    Command(id="c3", kind="get", service="light", child="c1"),
    Wifi(change="w-1", ssid="Lindenweg", password="long enough", bssid="02:00:00:00:00:01", rollback=120),
    WifiKeep(change="w-1"),
]


@pytest.mark.parametrize("message", FROM_DEVICE, ids=repr)
def test_a_device_message_is_read_back(message: messages.FromDevice) -> None:
    assert messages.decode_from_device(messages.encode(message)) == message


@pytest.mark.parametrize("message", FROM_HUB, ids=repr)
def test_a_hub_message_is_read_back(message: messages.FromHub) -> None:
    assert messages.decode_from_hub(messages.encode(message)) == message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b'{"type":"nonsense"}',
        b'{"type":"command","id":"1","kind":"set","service":"x"}',
        b'{"type":"hello","fw":1,"product":"lamp"}',
        b'{"type":"hello","fw":"1","product":"../lamp"}',
        b'{"type":"hello","fw":"1","product":"lamp\\n"}',
        b'{"type":"report","service":"light","values":{"on":[1]}}',
        b'{"type":"report","service":"light","values":{"n":1e999}}',
        b'{"type":"report","service":"light","values":{"n":99999999999999999999}}',
        b'{"type":"report","service":"light","values":{"n":9007199254740993}}',
        b'{"type":"report","service":"light","values":{"\\u0000":1}}',
        b'{"type":"report","service":"light","values":{},"at":-1}',
        b'{"type":"report","service":"light","values":' + b"[" * 60_000,
        b'{"type":"ping"}' + b" " * messages.MAX_MESSAGE,
        b'{"type":"hello","fw":"\xff","product":"lamp"}',
        b'{"type":"answer","id":"' + b"x" * 65 + b'","ok":true}',
        b'{"type":"child","child":"d-7h77l5dppicge3qjohrqlapk/1","product":"lamp"}',
        b'{"type":"child","child":"' + b"x" * 33 + b'","product":"lamp"}',
        b'{"type":"child","child":"","product":"lamp"}',
        b'{"type":"child_left"}',
        b'{"type":"joining","seconds":3601}',
        b'{"type":"joining","seconds":-1}',
        b'{"type":"report","service":"light","values":{},"child":"../1"}',
    ],
)
def test_anything_else_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        messages.decode_from_device(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"permit_join","seconds":3601}',
        b'{"type":"wifi","change":"w-1","ssid":""}',
        b'{"type":"wifi","change":"w-1","ssid":"x","password":"' + b"x" * 64 + b'"}',
        b'{"type":"wifi","change":"w-1","ssid":"x","bssid":"02"}',
        b'{"type":"wifi","change":"w-1","ssid":"x","rollback":0}',
    ],
)
def test_a_hub_says_nothing_beyond_the_limits(raw: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        messages.decode_from_hub(raw)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Wifi(change="w-1", ssid="x", password="secret and long"))


def test_members_of_a_newer_version_are_passed_over() -> None:
    assert messages.decode_from_device(b'{"type":"ping","battery":3}') == Ping()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Lamp", "Lamp"),
        ("  Lamp\n\tkitchen ", "Lamp kitchen"),
        ("\x1b[31mred\x07", "[31mred"),
        ("a\u202eb\u200bc\u0000d", "abcd"),
        ("e\u0301", "é"),
        ("x" * 500, "x" * 64),
        ("\ud800lone", "lone"),
    ],
)
def test_text_of_a_peer_is_cleaned(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
