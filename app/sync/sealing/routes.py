"""A home's keys in the companion API: who has its secrets, letting hubs in, and what its owner's phones may open."""

from typing import Annotated

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from app.accounts.routes import secret
from app.caller import Caller
from app.policy import Action
from app.sync.sealing.model import Code
from app.sync.sealing.service import Sealing
from app.sync.sealing.views import Admission, HomeKeysView, RecoveryCode, SealedSecrets

ReaderId = Annotated[str, QueryParameter(max_length=64, description="the phone's id, as the hub gave it")]


class ShownCode(Struct, forbid_unknown_fields=True):
    """A code as it was read off a screen, or off paper."""

    code: Code


@get("/homes/{home_id:str}/keys", operation_id="listHomeKeys", opt={"action": Action.HOME_KEYS})
async def list_keys(
    caller: NamedDependency[Caller], sealing: NamedDependency[Sealing], home_id: FromPath[str]
) -> Response[HomeKeysView]:
    """Who has the home's secrets: its hubs, those that wait to be let in, its owner's phones.

    At a hub that waits it tells the code that lets it in: typed at a hub that is in, and nowhere else.
    """
    return secret(await sealing.view(caller.actor, home_id), 200)


@post(
    "/homes/{home_id:str}/hubs/{hub_id:str}/admit",
    operation_id="admitHub",
    opt={"action": Action.HOME_KEYS},
    status_code=200,
)
async def admit_hub(
    caller: NamedDependency[Caller],
    sealing: NamedDependency[Sealing],
    home_id: FromPath[str],
    hub_id: FromPath[str],
    data: JSONBody[ShownCode],
) -> Admission:
    """Let a hub in that serves the home, by the code it shows itself; at a hub that is in. A cloud lets nobody in."""
    return await sealing.admit(caller, home_id, hub_id, data.code)


@post(
    "/homes/{home_id:str}/recovery-code",
    operation_id="makeRecoveryCode",
    opt={"action": Action.HOME_KEYS},
    status_code=201,
)
async def make_recovery_code(
    caller: NamedDependency[Caller], sealing: NamedDependency[Sealing], home_id: FromPath[str]
) -> Response[RecoveryCode]:
    """A code for the day on which no hub of the home is left. It is shown this once, and ends the one before."""
    return secret(await sealing.recovery_code(caller, home_id), 201)


@post("/homes/{home_id:str}/recover", operation_id="recoverHome", opt={"action": Action.HOME_KEYS}, status_code=200)
async def recover(
    caller: NamedDependency[Caller],
    sealing: NamedDependency[Sealing],
    home_id: FromPath[str],
    data: JSONBody[ShownCode],
) -> Response[HomeKeysView]:
    """Let the hub that is asked into the home's secrets, by the home's recovery code."""
    return secret(await sealing.recover(caller, home_id, data.code), 200)


@get("/homes/{home_id:str}/secrets", operation_id="listSealedSecrets", opt={"action": Action.HOME_KEYS})
async def list_secrets(
    caller: NamedDependency[Caller],
    sealing: NamedDependency[Sealing],
    home_id: FromPath[str],
    reader: ReaderId = "",
) -> Response[SealedSecrets]:
    """The home's secrets as they are sealed, with the keys to them as they are sealed for one phone of its owner
    (`reader`): it alone can open them. A hub and its cloud have the same."""
    return secret(await sealing.sealed_for(caller.actor, home_id, reader), 200)


ROUTER = Router("/", route_handlers=[list_keys, admit_hub, make_recovery_code, recover, list_secrets])
