"""Keys and second screens in the companion API."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.accounts.keys import KeyMade, Keys, KeyView, NewKey
from app.accounts.model import PersonName, Token, TypedCode
from app.accounts.routes import secret
from app.accounts.screens import Screens, ScreenStarted, ScreenState, ScreenView
from app.caller import Caller
from app.companion.conditions import Page
from app.policy import Action


class NewScreen(Struct, forbid_unknown_fields=True):
    """What the screen calls itself, for the person to recognise."""

    screen: PersonName


class Poll(Struct, forbid_unknown_fields=True):
    """The token the screen was given at its start."""

    poll_token: Token


class Code(Struct, forbid_unknown_fields=True):
    """The code a screen shows."""

    code: TypedCode


@post("/me/keys", operation_id="createKey", opt={"action": Action.SELF}, status_code=201)
async def create_key(
    caller: NamedDependency[Caller], keys: NamedDependency[Keys], data: JSONBody[NewKey]
) -> Response[KeyMade]:
    """Make a key for a program. Its secret, which is its bearer token, is shown this once."""
    return secret(await keys.create(caller, data), 201)


@get("/me/keys", operation_id="listKeys", opt={"action": Action.SELF})
async def list_keys(caller: NamedDependency[Caller], keys: NamedDependency[Keys]) -> Page[KeyView]:
    """The caller's keys: all of them, there are at most 100."""
    return Page(keys.list_mine(caller.actor))


@delete("/me/keys/{key_id:str}", operation_id="revokeKey", opt={"action": Action.SELF})
async def revoke_key(caller: NamedDependency[Caller], keys: NamedDependency[Keys], key_id: FromPath[str]) -> None:
    """End a key. It opens nothing from then on."""
    await keys.revoke(caller, key_id)


@post("/sign-in/screens", operation_id="startScreenSignIn", opt={"action": Action.PUBLIC}, status_code=201)
async def start_screen_sign_in(
    caller: NamedDependency[Caller], screens: NamedDependency[Screens], data: JSONBody[NewScreen]
) -> Response[ScreenStarted]:
    """Begin to sign in on a second screen: show the QR code, or the code, and poll. It ends after two minutes."""
    return secret(await screens.start(name=data.screen, address=caller.address), 201)


@post(
    "/sign-in/screens/{screen_id:str}/poll",
    operation_id="pollScreenSignIn",
    opt={"action": Action.PUBLIC},
    status_code=200,
)
async def poll_screen_sign_in(
    caller: NamedDependency[Caller],
    screens: NamedDependency[Screens],
    screen_id: FromPath[str],
    data: JSONBody[Poll],
) -> Response[ScreenState]:
    """Whether a phone has said yes, to be asked every two seconds. The session is handed out once."""
    return secret(await screens.poll(screen_id, token=data.poll_token, address=caller.address))


@post("/me/screens/look", operation_id="lookAtScreen", opt={"action": Action.SELF}, status_code=200)
async def look_at_screen(
    caller: NamedDependency[Caller], screens: NamedDependency[Screens], data: JSONBody[Code]
) -> ScreenView:
    """What screen shows a code, for the person to compare before they say yes."""
    return await screens.look(caller, data.code)


@post("/me/screens/approve", operation_id="approveScreen", opt={"action": Action.SELF}, status_code=204)
async def approve_screen(
    caller: NamedDependency[Caller], screens: NamedDependency[Screens], data: JSONBody[Code]
) -> None:
    """Sign the caller in on the screen that shows a code."""
    await screens.approve(caller, data.code)


ROUTER = Router(
    "/",
    route_handlers=[
        create_key,
        list_keys,
        revoke_key,
        start_screen_sign_in,
        poll_screen_sign_in,
        look_at_screen,
        approve_screen,
    ],
)
