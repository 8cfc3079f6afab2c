"""The hub's self-made certificate: one key for life, so that a phone can pin it; the certificate around it is renewed.

The key is an EC P-256 one, in the data folder with mode 0600, and part of the backup: phones find the replacement.
"""

import asyncio
import hashlib
import ipaddress
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from app.errors import DoorstepError
from app.store.folder import FILE_MODE, TLS_CERTIFICATE, TLS_KEY

# The longest validity that the platforms' own verifiers accept for a server certificate.
LIFE: Final = timedelta(days=397)
RENEW_BEFORE: Final = timedelta(days=60)
RENEWAL_CHECK_SECONDS: Final = 12 * 3600.0
# No certificate is dated before this: a hub without a clock battery starts in 1970 and must still be reachable later.
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)

_log = structlog.stdlib.get_logger("doorstep.tls")


class TlsError(DoorstepError):
    """The key or certificate in the data folder cannot be read."""

    code = "tls_unusable"
    hint = "Restore it from a backup, or move it away: a new key is made, and phones must pin it anew."


class Certificate(Struct, frozen=True):
    """What `serve` shows and hands to the server. `fingerprint` is SHA-256 of the certificate in DER (hex);
    `pin` is SHA-256 of its public key (SPKI, base64, as in RFC 7469) and stays the same through renewals."""

    file: Path
    key_file: Path
    fingerprint: str
    pin: str
    ends: datetime


def ensure(folder: Path, names: Sequence[str], now: datetime) -> Certificate:
    """The certificate for `names` (host names and addresses) in `folder`, made or renewed when it is due.

    Idempotent. Raises `TlsError` when what is there is damaged; never overwrites a key.
    """
    file, key_file = folder / TLS_CERTIFICATE, folder / TLS_KEY
    key = _read_key(key_file) if key_file.exists() else _new_key(key_file)
    certificate = _read(file) if file.exists() else None
    if certificate is None or _due(certificate, key, names, now):
        certificate = _issue(key, names, max(now, EPOCH))
        _write(file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return Certificate(
        file=file,
        key_file=key_file,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        pin=pin_of(certificate.public_bytes(serialization.Encoding.DER)),
        ends=certificate.not_valid_after_utc,
    )


async def keep_renewed(
    context: ssl.SSLContext, shown: Certificate, current: Callable[[], Awaitable[Certificate]]
) -> None:
    """A hub runs for years: swap a renewed certificate in under the same key, without a restart. Never returns."""
    while True:
        await asyncio.sleep(RENEWAL_CHECK_SECONDS)
        try:
            renewed = await current()
            if renewed.fingerprint != shown.fingerprint:
                await asyncio.to_thread(context.load_cert_chain, renewed.file, renewed.key_file)
                _log.info("certificate renewed", fingerprint=renewed.fingerprint, ends=renewed.ends.isoformat())
                shown = renewed
        except (TlsError, OSError):
            _log.exception("certificate not renewed; trying again later")


def pin_of(der: bytes) -> str:
    """The public key's pin of a certificate in DER: base64 of SHA-256 of its SubjectPublicKeyInfo (RFC 7469, 2.4)."""
    return b64encode(hashlib.sha256(_spki(x509.load_der_x509_certificate(der))).digest()).decode()


def local_names(host: str, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Names and addresses a client on this network may use for this machine, most telling first, without repeats."""
    name = socket.gethostname()
    bare = name.partition(".")[0]
    own = [host] if host not in ("0.0.0.0", "::") else _addresses()  # noqa: S104 - compared, not bound
    return tuple(dict.fromkeys([*extra, *own, name, f"{bare}.local", "localhost", "127.0.0.1", "::1"]))


def _addresses() -> list[str]:
    """The address this machine would use to reach another one; nothing is sent (the target is documentation's own)."""
    found = []
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return found


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _due(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> bool:
    covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ours = certificate.public_key() == key.public_key()
    return (
        not ours or certificate.not_valid_after_utc - now < RENEW_BEFORE or not set(_alternative(names)) <= set(covered)
    )


def _issue(key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Doorstep hub")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now - timedelta(days=1) + LIFE)
        .add_extension(_alternative(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _alternative(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name.partition("%")[0])))
        except ValueError:
            if name.isascii():
                found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _new_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(file, pem, FILE_MODE)
    return key


def _read_key(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise TlsError(f"{file} is no usable private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TlsError(f"{file} is not an elliptic-curve key")
    return key


def _read(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return None  # a certificate is only the key's wrapping: it is made anew


def _write(file: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, also through a power cut."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    fresh.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
