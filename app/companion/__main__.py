"""`python -m app.companion`: write the description of the companion API anew."""

import msgspec

from app.companion.docs import DOCUMENT
from app.companion.openapi import describe
from app.server import litestar_of
from app.settings import Limits


def document() -> bytes:
    """The description of the application as it is wired, to the byte as it is kept."""
    litestar = litestar_of(is_cloud=False, body_bytes=Limits().body_bytes)
    return msgspec.json.format(msgspec.json.encode(describe(litestar))) + b"\n"


def main() -> None:
    """Write it."""
    DOCUMENT.write_bytes(document())


if __name__ == "__main__":
    main()
