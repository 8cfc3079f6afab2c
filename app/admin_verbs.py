"""What the command may ask the running hub over its admin socket: whoever can open it is the hub's own user."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from app.accounts.model import Login, Password
from app.admin import Admin, Progress
from app.errors import Conflict, Invalid
from app.node import Node
from app.radio import told_state
from app.serving import Endpoint
from app.store.backup import backup
from app.synced import cloud_of
from app.version import version

T = TypeVar("T")
TOKEN_LIFE_MS: Final = 10 * 60_000


class NotClaimed(Conflict):
    """Nobody owns this hub yet."""

    code = "not_claimed"
    hint = "Claim it in the app with the code it prints, or with `doorstep account claim`."


class RecoverRequest(Struct, forbid_unknown_fields=True):
    """Whose account, and its new password."""

    login: Login
    password: Password


class BackupRequest(Struct, forbid_unknown_fields=True):
    """A new file (absolute path) and what encrypts it."""

    out: str
    passphrase: str


class AdminVerbs:
    """The verbs, over a started node that answers at `endpoint`."""

    def __init__(self, node: Node, endpoint: Endpoint) -> None:
        self._node = node
        self._endpoint = endpoint

    def register(self, admin: Admin) -> None:
        """Offer them."""
        for verb in (self.status, self.token, self.recover, self.backup):
            admin.register(verb.__name__, verb)

    async def status(self, args: Mapping[str, Any], progress: Progress) -> object:
        """How the hub is, and where."""
        hub = self._node.services.hub
        view = hub.view()
        facts = {"version": version(), "id": view.id, "name": view.name, "claimed": view.claimed}
        facts["time_trusted"] = view.time_trusted
        facts["bluetooth"] = told_state(self._node.radio, self._node.settings)
        facts["cloud"] = cloud_of(self._node.services)
        return {**facts, "claim_code": hub.claim_code, **self.reach()}

    async def token(self, args: Mapping[str, Any], progress: Progress) -> object:
        """A token of the hub's owner that lives ten minutes, in memory alone."""
        services = self._node.services
        owner = next((account for account in services.credentials.accounts.values() if account.hub_owner), None)
        if owner is None:
            raise NotClaimed
        return {**self.reach(), "token": await services.sessions.lend(owner, TOKEN_LIFE_MS)}

    async def recover(self, args: Mapping[str, Any], progress: Progress) -> object:
        """A new password for an account, and its new recovery code."""
        request = _args(args, RecoverRequest)
        signing_in = self._node.services.signing_in
        return {
            "recovery_code": await signing_in.recover_on_the_machine(login=request.login, password=request.password)
        }

    async def backup(self, args: Mapping[str, Any], progress: Progress) -> object:
        """Back up the running hub; progress is [bytes done, bytes in all]."""
        request = _args(args, BackupRequest)
        store, data = self._node.store, self._node.settings.data
        return await backup(store, data, Path(request.out), request.passphrase, lambda *at: progress(at))

    def reach(self) -> dict[str, str | None]:
        """Where this hub answers on this machine, and what to pin."""
        certificate = self._endpoint.certificate
        return {"url": self._endpoint.local_url, "pin": certificate.pin if certificate else None}


def _args(args: Mapping[str, Any], shape: type[T]) -> T:
    try:
        return msgspec.convert(args, shape)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error
