"""The network layer (Mesh Protocol 1.1, 3.4): what makes a PDU unreadable, and untraceable, without the network key."""

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.crypto import NotAuthentic, ccm_open, ccm_seal, e
from ble.mesh.keys import Material

MAX_SEQ = 0xFFFFFF
MAX_TTL = 0x7F
MIN_PDU, MAX_PDU = 14, 29
_NETWORK, _PROXY = 0x00, 0x03
_CACHED = 512


class NetworkPdu(Struct, frozen=True, kw_only=True):
    """One network PDU in the clear. `payload` is the lower transport PDU: 1 to 16 octets, 12 where `ctl`."""

    ctl: bool
    ttl: int
    seq: int
    src: int
    dst: int
    payload: bytes

    @property
    def header(self) -> bytes:
        """CTL and TTL, SEQ, SRC."""
        return bytes((self.ctl << 7 | self.ttl,)) + self.seq.to_bytes(3, "big") + self.src.to_bytes(2, "big")


class Opened(Struct, frozen=True):
    """A PDU that was authentic, the IV index it was sealed under, and which of the materials opened it."""

    pdu: NetworkPdu
    iv_index: int
    material: Material


def nonce(header: bytes, iv_index: int, *, proxy: bool = False) -> bytes:
    """The network nonce (3.9.5.1), or the proxy nonce (3.9.5.4), of 13 octets."""
    first = bytes((_PROXY, 0)) if proxy else bytes((_NETWORK, header[0]))
    return first + header[1:] + b"\0\0" + iv_index.to_bytes(4, "big")


def seal(pdu: NetworkPdu, material: Material, iv_index: int, *, proxy: bool = False) -> bytes:
    """The network PDU, encrypted and obfuscated; a proxy configuration message where `proxy`. Raises Malformed."""
    _check(pdu)
    plain = pdu.dst.to_bytes(2, "big") + pdu.payload
    mic = 8 if pdu.ctl else 4
    sealed = ccm_seal(material.encryption, nonce(pdu.header, iv_index, proxy=proxy), plain, mic_size=mic)
    first = bytes(((iv_index & 1) << 7 | material.nid,))
    return first + _obfuscated(pdu.header, sealed, material, iv_index) + sealed


def unseal(data: bytes, materials: Iterable[Material], iv_index: int, *, proxy: bool = False) -> Opened:
    """The PDU, with whichever of the materials it is authentic; `iv_index` and the one before it are accepted.

    Raises Malformed for octets of no such form, NotAuthentic where no key opens them.
    """
    if not MIN_PDU <= len(data) <= MAX_PDU:
        raise Malformed("not a network PDU")
    accepted = iv_index if iv_index & 1 == data[0] >> 7 else iv_index - 1
    if accepted < 0:
        raise NotAuthentic("no such IV index")
    for material in materials:
        if material.nid == data[0] & 0x7F and (pdu := _opened(data, material, accepted, proxy)):
            return Opened(pdu, accepted, material)
    raise NotAuthentic("no key for this network PDU")


def _opened(data: bytes, material: Material, iv_index: int, proxy: bool) -> NetworkPdu | None:
    sealed = data[7:]
    header = _obfuscated(data[1:7], sealed, material, iv_index)
    ctl = bool(header[0] & 0x80)
    try:
        plain = ccm_open(material.encryption, nonce(header, iv_index, proxy=proxy), sealed, mic_size=8 if ctl else 4)
    except NotAuthentic:
        return None
    pdu = NetworkPdu(
        ctl=ctl,
        ttl=header[0] & MAX_TTL,
        seq=int.from_bytes(header[1:4], "big"),
        src=int.from_bytes(header[4:6], "big"),
        dst=int.from_bytes(plain[:2], "big"),
        payload=plain[2:],
    )
    _check(pdu)
    return pdu


def _check(pdu: NetworkPdu) -> None:
    fits = (
        0 <= pdu.ttl <= MAX_TTL
        and 0 <= pdu.seq <= MAX_SEQ
        and 0 < pdu.src <= 0x7FFF
        and 0 <= pdu.dst <= 0xFFFF
        and 1 <= len(pdu.payload) <= (12 if pdu.ctl else 16)
    )
    if not fits:
        raise Malformed("a field of the network PDU is out of range")


def _obfuscated(header: bytes, sealed: bytes, material: Material, iv_index: int) -> bytes:
    """The header hidden, or found again (3.8.7.3)."""
    mask = e(material.privacy, bytes(5) + iv_index.to_bytes(4, "big") + sealed[:7])
    return bytes(one ^ other for one, other in zip(header, mask, strict=False))


class MessageCache:
    """Which PDUs have been seen: the same one comes by more ways than one (3.4.6.5)."""

    def __init__(self, size: int = _CACHED) -> None:
        self._size = size
        self._seen: OrderedDict[tuple[int, int, int], None] = OrderedDict()

    def is_new(self, opened: Opened) -> bool:
        """Whether it had not been seen; it has been from now on."""
        key = (opened.iv_index, opened.pdu.src, opened.pdu.seq)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True
