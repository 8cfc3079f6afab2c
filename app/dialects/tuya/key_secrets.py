"""The secrets of keys, which have to be read again to check what was signed with them: in the vault, and in memory."""

from app.accounts.credentials import Credentials
from app.accounts.dialects import Dialect, secret_row
from app.accounts.model import Key
from app.store.store import Store


class KeySecrets:
    """Of keys made for this API; read from the vault at their first use."""

    def __init__(self, store: Store, credentials: Credentials) -> None:
        self._store = store
        self._keys = credentials.keys
        self._known: dict[str, str] = {}
        credentials.on_ended.append(self._forget)

    async def of(self, client_id: str) -> tuple[Key, str] | None:
        """The key of a client id and its secret; None for what is no key of this API's."""
        key = self._keys.get(client_id)
        if key is None or key.dialect != Dialect.TUYA:
            return None
        if client_id not in self._known:
            found = await self._store.read(lambda r: self._store.vault.fetch(r, secret_row(client_id)))
            if found is None or client_id not in self._keys:
                return None
            self._known[client_id] = found.decode()
        return key, self._known[client_id]

    def _forget(self, credential_id: str) -> None:
        self._known.pop(credential_id, None)
