"""Link messages: what is said is read back, and anything else is a typed error."""

import pytest

from pairing import messages
from pairing.errors import MalformedMessageError
from pairing.messages import Answer, Command, Hello, Moved, Ping, Pong, Report, Reset
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
]
FROM_HUB: list[messages.FromHub] = [
    Command(id="c1", kind="set", service="light", values={"on": True}, expires=1),
    Command(id="c2", kind="call", service="light", name="blink", params={"times": 3}),
    Pong(at=5),
    Reset(),
    Moved(endpoints=(("192.168.1.5", 8471), ("fe80::1%eth0", 8471))),
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
    ],
)
def test_anything_else_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        messages.decode_from_device(raw)


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
