"""Routes that take or tell a secret of a home are for its hubs alone: a cloud must not know any."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.sync.sealing.places import AtTheHub


def hub_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A Litestar guard; raises AtTheHub."""
    if connection.app.state.is_cloud:
        raise AtTheHub
