"""Every route says which action it is: an application with one that does not is not built."""

from collections.abc import Iterable

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.policy import Action


class UndeclaredRoute(Exception):
    """A route does not say which action it is; the application is not built."""


def require_actions(litestar: Litestar) -> None:
    """Raise UndeclaredRoute unless every route declares its Action."""
    missing = [name for name, handler in _handlers(litestar) if not isinstance(handler.opt.get("action"), Action)]
    if missing:
        raise UndeclaredRoute(", ".join(missing))


def _handlers(litestar: Litestar) -> Iterable[tuple[str, HTTPRouteHandler]]:
    for route in litestar.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.http_methods == {"OPTIONS"}:  # made by Litestar itself; says only which verbs a path knows
                continue
            yield f"{sorted(handler.http_methods)} {route.path}", handler
