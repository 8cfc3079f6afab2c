"""The API's description, a page to read it in and try it out, and the catalogue of errors: all from the hub itself."""

from importlib import metadata
from pathlib import Path
from typing import Any

from litestar import Response, Router, get
from litestar.params import FromPath

from app.companion.catalogue import ErrorKind, error_kinds
from app.companion.conditions import Page
from app.errors import NotFound
from app.policy import Action

DOCUMENT = Path(__file__).with_name("openapi.json")

# Swagger UI as this distribution carries it; the Flask blueprint around it is never imported.
_CARRIER = "flask-swagger-ui"
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
# Nothing from anywhere else, not even by mistake. Swagger UI writes style attributes and data: icons.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Doorstep API</title>
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/api/docs/favicon-32x32.png">
</head>
<body>
<div id="page"></div>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
"""


def _read(name: str) -> bytes:
    # Not by importing the package: that would import Flask.
    return Path(str(metadata.distribution(_CARRIER).locate_file(f"flask_swagger_ui/dist/{name}"))).read_bytes()


# Read with the module, before there is an event loop to block.
_DOCUMENT = DOCUMENT.read_bytes() if DOCUMENT.exists() else b"{}"
_SERVED = {name: (_read(name), media_type) for name, media_type in _ASSETS.items()}
_SERVED["start.js"] = (_START, "text/javascript")


@get("/openapi.json", operation_id="getOpenApi", opt={"action": Action.PUBLIC})
async def get_open_api() -> Response[dict[str, Any]]:
    """This description."""
    return Response(_DOCUMENT, media_type="application/json")  # type: ignore[arg-type]  # encoded already


@get("/docs", opt={"action": Action.PUBLIC}, include_in_schema=False)
async def get_docs() -> Response[bytes]:
    """The page."""
    return Response(_PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)


@get("/docs/{name:str}", opt={"action": Action.PUBLIC}, include_in_schema=False)
async def get_docs_asset(name: FromPath[str]) -> Response[bytes]:
    """A part of the page."""
    if name not in _SERVED:
        raise NotFound
    body, media_type = _SERVED[name]
    return Response(body, media_type=media_type, headers=_HEADERS | {"Cache-Control": "max-age=3600"})


@get("/errors", operation_id="listErrors", opt={"action": Action.PUBLIC})
async def list_errors() -> Page[ErrorKind]:
    """Every error there is."""
    return Page(error_kinds())


@get("/errors/{code:str}", operation_id="getError", opt={"action": Action.PUBLIC})
async def get_error(code: FromPath[str]) -> ErrorKind:
    """What an error's `type` points to."""
    for kind in error_kinds():
        if kind.code == code:
            return kind
    raise NotFound


ROUTER = Router("/", route_handlers=[get_open_api, get_docs, get_docs_asset, list_errors, get_error])
