"""What the hub offers a device that has proved itself."""

import secrets
from collections.abc import Callable

from app.store.store import Store
from pairing.activation import Offer
from pairing.activation.messages import CREDENTIAL_SIZE
from pairing.messages import Endpoint


class Offers:
    """A fresh credential, and where the hub is reached."""

    def __init__(
        self, store: Store, hub_name: Callable[[], str], endpoints: Callable[[], tuple[Endpoint, ...]]
    ) -> None:
        self._store = store
        self._hub_name = hub_name
        self._endpoints = endpoints

    async def __call__(self, session_id: str, attempt: int) -> Offer:
        """A fresh one for each attempt."""
        return Offer(
            hub_name=self._hub_name(),
            endpoints=self._endpoints(),
            credential=secrets.token_bytes(CREDENTIAL_SIZE),
            binding_id=f"{session_id}.{attempt}",
            time=self._store.clock.now().ms,
        )
