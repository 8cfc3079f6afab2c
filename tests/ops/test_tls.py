"""The hub's certificate: made once, private, renewed around the same key, and good for a real handshake."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import tls

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NAMES = ("localhost", "127.0.0.1", "::1", "hub.local")


def test_made_once_and_private(tmp_path: Path) -> None:
    first = tls.ensure(tmp_path, NAMES, NOW)
    assert tls.ensure(tmp_path, NAMES, NOW) == first
    assert first.key_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("names", "now"), [(NAMES, NOW + tls.LIFE - tls.RENEW_BEFORE), ((*NAMES, "10.0.0.9"), NOW)], ids=["age", "names"]
)
def test_renewal_keeps_the_pin(tmp_path: Path, names: tuple[str, ...], now: datetime) -> None:
    first = tls.ensure(tmp_path, NAMES, NOW)
    second = tls.ensure(tmp_path, names, now)
    assert second.fingerprint != first.fingerprint
    assert second.pin == first.pin
    assert second.ends - now > tls.RENEW_BEFORE


def test_a_clock_in_1970_makes_a_certificate_of_today(tmp_path: Path) -> None:
    made = tls.ensure(tmp_path, NAMES, datetime(1970, 1, 1, tzinfo=UTC))
    assert made.ends > tls.EPOCH + timedelta(days=300)


def test_a_damaged_key_is_told_and_never_replaced(tmp_path: Path) -> None:
    tls.ensure(tmp_path, NAMES, NOW)
    (tmp_path / "tls.key").write_text("garbage")
    with pytest.raises(tls.TlsError, match=r"tls\.key"):
        tls.ensure(tmp_path, NAMES, NOW)
    assert (tmp_path / "tls.key").read_text() == "garbage"


def test_a_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    first = tls.ensure(tmp_path, NAMES, NOW)
    first.file.write_text("garbage")
    assert tls.ensure(tmp_path, NAMES, NOW).pin == first.pin


@pytest.fixture
def serving(tmp_path: Path) -> tuple[tls.Certificate, ssl.SSLContext, ssl.SSLContext]:
    """A certificate, a server's context that shows it, and a client's that trusts it alone."""
    made = tls.ensure(tmp_path, NAMES, datetime.now(UTC))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(made.file, made.key_file)
    return made, server, ssl.create_default_context(cadata=made.file.read_text())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "hub.local"])
async def test_a_client_that_trusts_it_can_verify_every_name(
    serving: tuple[tls.Certificate, ssl.SSLContext, ssl.SSLContext], name: str
) -> None:
    made, context, trusting = serving

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert tls.pin_of(der) == made.pin
        writer.close()
        await writer.wait_closed()


def test_local_names_are_told_once_each() -> None:
    names = tls.local_names("127.0.0.1", ["hub.example"])
    assert names[0] == "hub.example"
    assert len(set(names)) == len(names)
    assert {"localhost", "127.0.0.1", "::1"} <= set(names)
    assert "0.0.0.0" not in tls.local_names("0.0.0.0")
