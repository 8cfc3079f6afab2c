"""How requests are signed: HMAC-SHA256 over what a request says. Pure (specs/tuya/notes.md, 1).

Real clients do not all sign the same text of the same request, so the few forms they are known to use are tried in
turn; each of them covers the whole request, so that none lets through what another would refuse.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Final
from urllib.parse import unquote, unquote_plus

from msgspec import Struct

# Five texts of an address, two of an empty body, three of a header block: 30 at worst, and no client is odd in all.
MAX_FORMS: Final = 20
EMPTY: Final = hashlib.sha256(b"").hexdigest()
SIGN_LENGTH: Final = 64
# How many headers a request may have signed: what clients list are one to three.
MAX_SIGNED_HEADERS: Final = 16


class Request(Struct, frozen=True, gc=False):
    """A request as it came: `target` is path and query as sent, `headers` have lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    def header(self, name: str) -> str:
        """A header's value, empty without one."""
        return self.headers.get(name, "")


def signed_by(secret: str, request: Request, *, old: bool = False, token_call: bool = False) -> bool:
    """Whether the holder of `secret` signed `request`; in constant time for each form.

    `token_call`: a call for a token, which is signed with or without the one it may carry. `old`: the algorithm that
    covers neither path nor body counts as well.
    """
    sign = request.header("sign")
    if len(sign) != SIGN_LENGTH or not sign.isascii():
        return False
    given = sign.upper().encode()
    key = hmac.new(secret.encode(), digestmod="sha256")
    return any(hmac.compare_digest(_signature(key, text), given) for text in _texts(request, old, token_call))


def _signature(key: hmac.HMAC, text: str) -> bytes:
    fresh = key.copy()
    fresh.update(text.encode("utf-8", "surrogateescape"))
    return fresh.hexdigest().upper().encode()


def _texts(request: Request, old: bool, token_call: bool) -> Iterator[str]:
    token = request.header("access_token")
    client_id, t = request.header("client_id"), request.header("t")
    whole = tuple(islice(strings_to_sign(request), MAX_FORMS))
    for held in dict.fromkeys(("", token) if token_call else (token,)):
        for said in whole:
            yield f"{client_id}{held}{t}{request.header('nonce')}{said}"
        if old:
            yield f"{client_id}{held}{t}"


def strings_to_sign(request: Request) -> Iterator[str]:
    """Every text that a client may have made of `request`, the documented one first."""
    for block, digest, url in product(_header_blocks(request), _digests(request.body), urls(request.target)):
        yield f"{request.method}\n{digest}\n{block}\n{url}"


def _digests(body: bytes) -> tuple[str, ...]:
    digest = hashlib.sha256(body).hexdigest()
    # The Python clients send "{}" for nothing, and sign nothing.
    return (digest, EMPTY) if body == b"{}" else (digest,)


def _header_blocks(request: Request) -> tuple[str, ...]:
    listed = request.header("signature-headers")
    if not listed:
        return ("",)
    names = listed.split(":")
    if len(names) > MAX_SIGNED_HEADERS:
        return ()
    block = "".join(f"{name}:{request.header(name.lower())}\n" for name in names)
    # The Java client leaves the last line feed out; the Node one lists headers and signs none.
    return (block, block[:-1], "")


def urls(target: str) -> tuple[str, ...]:
    """The texts of an address that clients sign: keys in order and nothing encoded, as documented, then as sent."""
    path, mark, query = target.partition("?")
    paths = dict.fromkeys((path, unquote(path)))
    if not mark:
        return tuple(paths)
    pairs = [pair for pair in query.split("&") if pair]
    plain = [unquote_plus(pair) for pair in pairs]
    queries = dict.fromkeys("&".join(some) for some in (sorted(plain, key=_key), pairs, sorted(pairs, key=_key), plain))
    documented = [f"{one}?{other}" for one, other in product(paths, queries)]
    return tuple(dict.fromkeys([documented[0], target, *documented[1:]]))


def _key(pair: str) -> str:
    return pair.partition("=")[0]
