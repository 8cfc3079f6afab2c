"""Logs: no secret gets through by key or by shape, no peer can forge a line, and both loggers end in one place."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app import logs

TOKEN = "dZ3kQ9vX1bN7mT5cR8wY2pL6sF4hJ0gAaBbCcDdEeFf"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    logs.configure("debug", "json")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_secrets_by_key_and_by_shape_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    logs.get("t").info(
        f"sent Authorization: Bearer {TOKEN}",
        password="hunter2-canary",
        pin="12345678",
        nested={"refresh_token": "abc-canary", "list": [{"claim_code": "C4-canary"}]},
        url="/x?a=1&token=q-canary&b=2",
        body='{"passphrase": "p-canary", "name": "Lamp"}',
        code="918273",
        raw=b"canary",
        found=TOKEN,
    )
    (line,) = lines(capsys)
    text = json.dumps(line)
    assert [secret for secret in ("canary", "hunter2", "12345678", "918273", TOKEN) if secret in text] == []
    assert line["url"] == f"/x?a=1&token={logs.REDACTED}&b=2"
    assert "Lamp" in line["body"]


def test_what_is_no_secret_stays(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    kept = {
        "code": "wrong_pin",
        "device": "d-abcdefghijklmnopqrstuvwx",
        "fingerprint": "ab" * 32,
        "path": "/api/homes/h1/devices",
        "port": 8470,
        "count": None,
    }
    logs.get("t").info("joined", **kept)
    (line,) = lines(capsys)
    assert {key: line[key] for key in kept} == kept


def test_a_peer_cannot_forge_a_line_or_colour_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "console")
    logs.get("t").warning("device said", name='x\r\nlevel=error hub="on fire"\x1b[31m', long="y" * 10_000)
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b[31mx" not in written
    assert len(written) < 2 * logs.LONGEST + 1000


def test_an_exception_keeps_its_lines_and_loses_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        raise ValueError(f"bad password='{TOKEN}'")
    except ValueError:
        logs.get("t").exception("failed")
    (line,) = lines(capsys)
    assert TOKEN not in line["exception"]
    assert "ValueError" in line["exception"]
    assert "\n" in line["exception"]


def test_the_standard_library_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    of_this = logs.REQUEST_ID.set("r-1")
    try:
        logging.getLogger("uvicorn.error").warning("started with %s", "token=tok-canary")
        logging.getLogger("uvicorn.access").info("GET /?token=tok-canary")
        logging.getLogger("zeroconf").debug("too much")
    finally:
        logs.REQUEST_ID.reset(of_this)
    (line,) = lines(capsys)
    assert (line["event"], line["request_id"], line["logger"]) == (
        f"started with token={logs.REDACTED}",
        "r-1",
        "uvicorn.error",
    )


def test_configuring_twice_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logs.configure("info", "json")
    logs.get("t").info("once")
    assert len(lines(capsys)) == 1
