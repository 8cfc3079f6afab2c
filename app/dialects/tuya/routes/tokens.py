"""Tokens: one session for each call (specs/tuya/notes.md, 3)."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from app.accounts.digests import Digest
from app.accounts.model import Key, SignInFailed
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.model import Given
from app.dialects.tuya.operations import Ask, Operation
from app.policy import Action

SIMPLE: Final = "1"


async def grant(ask: Ask) -> Given:
    """A new session of the key that signed."""
    if ask.query.get("grant_type") != SIMPLE:
        raise TuyaError(codes.GRANT_INVALID)
    return await ask.tuya.sessions.begin(await _key(ask))


async def refresh(ask: Ask) -> Given:
    """New tokens for the session that a refresh token belongs to."""
    return await ask.tuya.sessions.refresh(await _key(ask), ask.path["refresh_token"])


async def _key(ask: Ask) -> Key:
    found = await ask.tuya.secrets.of(ask.by.actor.credential_id or "")
    if found is None:
        raise TuyaError(codes.CLIENT_INVALID)
    return found[0]


class Login(Struct):
    """A person's login and a digest of their password."""

    username: Annotated[str, Meta(min_length=1, max_length=200)]
    password: Annotated[str, Meta(min_length=1, max_length=200)]


async def _sign_in(ask: Ask, digest: Digest) -> Given:
    """A session for the key's own person, after their password: a key stands for nobody else."""
    given = ask.body(Login)
    try:
        account = await ask.tuya.digests.check(given.username, digest, given.password, address=ask.asked.address)
    except SignInFailed as error:
        raise TuyaError(codes.LOGIN_WRONG) from error
    if account.id != ask.by.actor.account_id:
        raise TuyaError(codes.LOGIN_WRONG)
    return await ask.tuya.sessions.begin(await _key(ask))


async def authorized_login(ask: Ask) -> dict[str, Any]:
    """As app accounts do; no other address is given, so that a client stays with this one."""
    given = await _sign_in(ask, Digest.MD5)
    return {**msgspec.structs.asdict(given), "platform_url": ""}


async def custom_login(ask: Ask) -> Given:
    """As users of custom projects do."""
    return await _sign_in(ask, Digest.SHA256)


OPERATIONS: Final = (
    Operation("GET", "/v1.0/token", Action.PUBLIC, grant),
    Operation("GET", "/v1.0/token/{refresh_token}", Action.PUBLIC, refresh),
    Operation("POST", "/v1.0/iot-01/associated-users/actions/authorized-login", Action.PUBLIC, authorized_login),
    Operation("POST", "/v1.0/iot-03/users/login", Action.PUBLIC, custom_login),
)
