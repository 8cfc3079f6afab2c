"""An operation of this API: what it is asked with, and how it becomes a route."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler, delete, get, post, put
from msgspec import Struct

from app.caller import Caller
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.envelope import JSON, succeeded
from app.dialects.tuya.model import MS, Asked
from app.dialects.tuya.service import Tuya
from app.policy import Action

T = TypeVar("T")
_VERBS: Final = {"GET": get, "POST": post, "PUT": put, "DELETE": delete}
MAX_IDS: Final = 20
MAX_WHOLE: Final = 1 << 62
# The year 5138 in seconds, March 1973 in ms.
MOST_SECONDS: Final = 10**11


class Ask(Struct, frozen=True):
    """A proved request on its route: the names in its path, its query, its body."""

    path: dict[str, str]
    asked: Asked
    tuya: Tuya

    @property
    def by(self) -> Caller:
        """Who asks."""
        return Caller(self.asked.actor, address=self.asked.address, request_id=self.asked.request_id)

    @property
    def query(self) -> Mapping[str, str]:
        """The query's fields."""
        return self.asked.query

    def body(self, shape: type[T]) -> T:
        """The body as `shape`, whatever its content type says; raises TuyaError."""
        try:
            return msgspec.json.decode(self.asked.body or b"{}", type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise TuyaError(codes.PARAM_ILLEGAL) from error

    def whole(self, name: str, default: int, least: int = 0, most: int = MAX_WHOLE) -> int:
        """A whole number of the query, `default` where there is none, within bounds; raises TuyaError."""
        text = self.asked.query.get(name, "").strip()
        if not text:
            return default
        if len(text) > 19 or not (text.isascii() and text.isdigit()):
            raise TuyaError(codes.TYPE_INCORRECT)
        return max(least, min(int(text), most))

    def time_ms(self, name: str) -> int:
        """A time of the query in ms, whether it was given in ms or in seconds; 0 for none (specs/tuya/notes.md, 5)."""
        value = self.whole(name, 0)
        return value if value > MOST_SECONDS else value * MS

    def same_user(self, uid: str) -> None:
        """A key stands for one person; raises TuyaError for another's uid."""
        if uid != self.by.actor.account_id:
            raise TuyaError(codes.DENIED)

    def ids(self, name: str, most: int = MAX_IDS) -> list[str]:
        """The ids that a query lists with commas; raises TuyaError for none or too many."""
        return ids_of(self.asked.query.get(name, ""), most)


def ids_of(text: str, most: int = MAX_IDS) -> list[str]:
    """Ids with commas between them; raises TuyaError for none or too many."""
    ids = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not ids:
        raise TuyaError(codes.EMPTY_PARAM)
    if len(ids) > most:
        raise TuyaError(codes.RANGE_INVALID)
    return ids


Does = Callable[[Ask], Awaitable[Any]]


class Operation(Struct, frozen=True):
    """A verb and a path as the catalogue writes them, what it is in ours, and what does it."""

    method: str
    path: str
    action: Action
    does: Does

    def route(self) -> HTTPRouteHandler:
        """As Litestar takes it. Its answer is 200 and the envelope, whatever it says."""
        does = self.does

        async def answer(request: Request[Any, Any, Any], tuya: NamedDependency[Tuya]) -> Response[bytes]:
            asked: Asked = request.scope["state"]["asked"]
            path = {name: str(value) for name, value in request.scope["path_params"].items()}
            return Response(succeeded(await does(Ask(path, asked, tuya)), asked.request_id), media_type=JSON)

        path = self.path.replace("}", ":str}")
        handler = _VERBS[self.method](path, opt={"action": self.action, "keyed": False}, status_code=200)
        made: HTTPRouteHandler = handler(answer)
        return made
