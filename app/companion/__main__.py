"""`python -m app.companion`: write the description of the companion API anew."""

from pathlib import Path

import msgspec

from app.clock import SystemClock
from app.companion.docs import DOCUMENT
from app.companion.openapi import describe
from app.server import litestar_of
from app.services import Services
from app.store.store import Store
from app.store.vault import Vault


def document() -> bytes:
    """The description of the application as it is wired, to the byte as it is kept."""
    services = Services(Store(Path("nowhere"), SystemClock(), Vault(bytes(32))))
    return msgspec.json.format(msgspec.json.encode(describe(litestar_of(services, services.credentials)))) + b"\n"


def main() -> None:
    """Write it."""
    DOCUMENT.write_bytes(document())


if __name__ == "__main__":
    main()
