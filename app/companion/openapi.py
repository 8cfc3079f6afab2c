"""The companion API's description (OpenAPI 3.1), made from its routes: `python -m app.companion` writes it anew.

Schemas are msgspec's own (JSON Schema 2020-12), so that what is described is what is checked.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from inspect import cleandoc
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, ParameterKwarg, PathParameter, QueryParameter
from litestar.types import ASGIApp
from litestar.typing import FieldDefinition
from msgspec import Struct

from app.companion.catalogue import ErrorKind, error_kinds
from app.companion.examples import EXAMPLES
from app.companion.problems import CONTENT_TYPE, Problem
from app.policy import Action
from app.version import version

Document = dict[str, Any]

_SCHEMA_REF = "#/components/schemas/{name}"
_BODIES = ("POST", "PUT", "PATCH", "DELETE")
_ALWAYS = (400, 429, 503)
_SIGNED_IN = (401, 403)
_OF_WRITES = (401, 403, 404, 409, 410, 412, 413, 415, 422)
_IN: dict[type[ParameterKwarg], str] = {PathParameter: "path", QueryParameter: "query", HeaderParameter: "header"}
_BOUNDS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "max_items": "maxItems",
}

INTRODUCTION = """\
How a phone talks to a Doorstep hub, with or without internet.

Times are RFC 3339 with an offset. Lists come in pages: `next` of one goes into `cursor` for the following one. What \
has a `version` has it as its `ETag` too; a change that takes `If-Match` may state the version it saw there, and is \
refused with 412 when that is not the newest. A write that takes an `Idempotency-Key`, repeated with the same one \
within a day, is done once and answered alike. What you may not see looks as if it did not exist. Every error is \
`application/problem+json` with a stable `code`; all of them are listed at `/api/errors`.\
"""


def describe(litestar: Litestar) -> Document:
    """The document of an application; every route but those with `include_in_schema=False`."""
    found = sorted(operations(litestar), key=lambda item: (item[0], item[1]))
    handlers = [handler for _, _, handler in found]
    schemas, components = _schemas(handlers)
    versioned = {path for path, method, handler in found if method == "GET" and _has_version(handler)}
    paths: dict[str, Document] = {}
    for path, method, handler in found:
        operation = _operation(path, method, handler, schemas)
        operation["parameters"] += _stated(method, handler, versioned=path in versioned)
        paths.setdefault(path, {})[method.lower()] = operation
    kinds = error_kinds()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Doorstep",
            "version": version(),
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": _problem_responses(kinds),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER}},
        },
        "x-errors": [msgspec.to_builtins(kind) for kind in kinds],
    }


_BEARER = "An access token of a session, or the secret of a key."

_PARAMETERS: Document = {
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of what is to be changed; `*` or nothing changes it whatever it is.",
        "schema": {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,18}")$'},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes a repeat of this request do nothing and get the first answer, for a day.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    },
}
_HEADERS: Document = {
    "ETag": {"description": "The version of what is in the answer.", "required": True, "schema": {"type": "string"}},
    "X-Request-Id": {
        "description": "What the hub's log calls this request.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to sign in.", "schema": {"type": "string"}},
}


def operations(litestar: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Every described route as (path, method, handler)."""
    for route in litestar.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and handler.operation_id and handler.resolve_include_in_schema():
                for method in handler.http_methods:
                    yield route.path_format, str(method), handler


def _answer_type(handler: HTTPRouteHandler) -> Any:
    """What a route answers with: declared beside it (`responses`) where it hands out encoded bytes."""
    declared = (handler.responses or {}).get(handler.status_code)
    if declared is not None:
        return declared.data_container
    annotation = handler.parsed_return_field.annotation
    if get_origin(annotation) is Response:
        return get_args(annotation)[0]
    return annotation


def _schemas(handlers: Iterable[HTTPRouteHandler]) -> tuple[dict[Any, Document], Document]:
    """A schema for each type that is read or answered (by that type), and the components they refer to."""
    types: list[Any] = [Problem]
    for handler in handlers:
        types += [type_ for type_ in (_answer_type(handler), _body_type(handler)) if _is_json(type_)]
        types += [field.annotation for field, _ in _parameters(handler)]
        types += [handler.opt["tells"]] if "tells" in handler.opt else []
    found, components = msgspec.json.schema_components(types, ref_template=_SCHEMA_REF)
    for schema in components.values():
        if "description" in schema:
            # From Python 3.13 on docstrings come without their indentation; before, they do not.
            schema["description"] = cleandoc(schema["description"])
    return {repr(type_): schema for type_, schema in zip(types, found, strict=True)}, components


def _is_json(type_: Any) -> bool:
    return type_ not in (None, type(None), bytes, str, ASGIApp)


def _body_type(handler: HTTPRouteHandler) -> Any:
    field = handler.parsed_data_field
    return None if field is None else field.annotation


def _parameters(handler: HTTPRouteHandler) -> Iterator[tuple[FieldDefinition, ParameterKwarg]]:
    for field in handler.parsed_fn_signature.parameters.values():
        kwarg = field.kwarg_definition
        if isinstance(kwarg, ParameterKwarg) and type(kwarg) in _IN:
            yield field, kwarg


def _operation(path: str, method: str, handler: HTTPRouteHandler, schemas: dict[Any, Document]) -> Document:
    text = " ".join((handler.fn.__doc__ or "").split())
    summary, _, rest = text.partition(". ")
    action: Action = handler.opt["action"]
    operation: Document = {
        "operationId": handler.operation_id,
        "summary": summary.rstrip("."),
        "tags": [_tag(handler)],
        "x-action": action.value,
        "parameters": [_parameter(field, kwarg, schemas) for field, kwarg in _parameters(handler)],
        "responses": _responses(path, method, handler, schemas),
    }
    if rest:
        operation["description"] = rest
    if action is Action.PUBLIC:
        operation["security"] = []
    if (body := _body_type(handler)) is not None:
        operation["requestBody"] = _body(handler, schemas[repr(body)])
    return operation


def _tag(handler: HTTPRouteHandler) -> str:
    """The noun, by its package."""
    return handler.fn.__module__.split(".")[1]


def _parameter(field: FieldDefinition, kwarg: ParameterKwarg, schemas: dict[Any, Document]) -> Document:
    place = _IN[type(kwarg)]
    bounds = {ours: getattr(kwarg, theirs) for theirs, ours in _BOUNDS.items() if getattr(kwarg, theirs) is not None}
    schema = _without_null(schemas[repr(field.annotation)])
    parameter: Document = {"name": _wire_name(field, kwarg), "in": place, "schema": schema | bounds}
    if place == "path" or field.is_required:
        parameter["required"] = True
    if kwarg.description:
        parameter["description"] = kwarg.description
    return parameter


def _wire_name(field: FieldDefinition, kwarg: ParameterKwarg) -> str:
    return kwarg.name or kwarg.header or kwarg.query or field.name


def _without_null(schema: Document) -> Document:
    """A parameter that may be left out is not one that may say null."""
    kept = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return dict(kept[0]) if len(kept) == 1 else dict(schema)


def _stated(method: str, handler: HTTPRouteHandler, *, versioned: bool) -> list[Document]:
    """What a write may state about itself; `versioned`: what its path names has an ETag."""
    names = []
    if method in ("PATCH", "PUT", "DELETE") and (versioned or _has_version(handler)):
        names.append("IfMatch")
    # `keyed` False: doing it again does nothing more, or says that it is done.
    if method in _BODIES and handler.opt["action"] is not Action.PUBLIC and handler.opt.get("keyed", True):
        names.append("IdempotencyKey")
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _has_version(handler: HTTPRouteHandler) -> bool:
    """Whether the answer counts its changes, and so has an ETag."""
    type_ = _answer_type(handler)
    fields = msgspec.structs.fields(type_) if isinstance(type_, type) and issubclass(type_, Struct) else ()
    return any(field.name == "version" and field.type is int for field in fields)


def _body(handler: HTTPRouteHandler, schema: Document) -> Document:
    media: Document = {"schema": schema}
    if (examples := EXAMPLES.get(str(handler.operation_id))) is not None:
        media["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"required": True, "content": {"application/json": media}}


def _responses(path: str, method: str, handler: HTTPRouteHandler, schemas: dict[Any, Document]) -> Document:
    success = str(handler.status_code)
    statuses = {*_ALWAYS}
    if handler.opt["action"] is not Action.PUBLIC:
        statuses |= {*_SIGNED_IN}
    if "{" in path:
        statuses |= {404, 410}
    if method in _BODIES:
        statuses |= {*_OF_WRITES}
    if handler.opt.get("conflicts"):
        statuses.add(409)
    problems = {str(s): {"$ref": f"#/components/responses/{_response_name(s)}"} for s in sorted(statuses)}
    return {success: _success(handler, schemas)} | problems


def _success(handler: HTTPRouteHandler, schemas: dict[Any, Document]) -> Document:
    type_ = _answer_type(handler)
    status = HTTPStatus(handler.status_code)
    response: Document = {"description": status.phrase, "headers": {"X-Request-Id": _header("X-Request-Id")}}
    if _has_version(handler):
        response["headers"]["ETag"] = _header("ETag")
    if _is_json(type_):
        response["content"] = {"application/json": {"schema": schemas[repr(type_)]}}
    elif type_ not in (None, type(None)):
        media_type = getattr(handler.media_type, "value", handler.media_type)
        # `media_types`: several to choose from, by Accept.
        kinds = handler.opt.get("media_types", (str(media_type),))
        response["content"] = {kind: {"schema": {"type": "string"}} for kind in kinds}
    if (tells := handler.opt.get("tells")) is not None:
        response["x-event-data"] = schemas[repr(tells)]
    return response


def _header(name: str) -> Document:
    return {"$ref": f"#/components/headers/{name}"}


# Python 3.13 renamed these to RFC 9110's terms; the document must not depend on the Python that writes it.
_NAMES = {413: "RequestEntityTooLarge", 422: "UnprocessableEntity"}


def _response_name(status: int) -> str:
    return _NAMES.get(status) or HTTPStatus(status).name.title().replace("_", "")


def _problem_responses(kinds: list[ErrorKind]) -> Document:
    """One for each status, naming the codes it comes with."""
    described = {}
    for status in sorted({*_ALWAYS, *_SIGNED_IN, *_OF_WRITES}):
        codes = sorted(kind.code for kind in kinds if kind.status == status)
        headers = {"X-Request-Id": _header("X-Request-Id")}
        if status in (429, 503):
            headers["Retry-After"] = _header("Retry-After")
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = _header("WWW-Authenticate")
        described[_response_name(status)] = {
            "description": f"One of: {', '.join(codes)}.",
            "headers": headers,
            "content": {CONTENT_TYPE: {"schema": {"$ref": _SCHEMA_REF.format(name="Problem")}}},
        }
    return described
