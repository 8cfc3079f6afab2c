"""The log of devices and the audit trail in the companion API."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from app.caller import Caller
from app.clock import Time, to_ms
from app.companion.conditions import Cursor, Limit, Page, decode_cursor, limit_of, page_of
from app.journal.model import AuditView, EntryView, Kind
from app.journal.queries import Wanted
from app.journal.trail import Trail
from app.policy import Action

Since = Annotated[Time | None, QueryParameter(description="no older than this")]
Before = Annotated[Time | None, QueryParameter(description="older than this")]
_Code = Annotated[str, Meta(max_length=64)]
OfKinds = Annotated[
    list[Kind] | None, QueryParameter(name="type", max_items=len(Kind), description="only entries of these kinds")
]
Codes = Annotated[
    list[_Code] | None, QueryParameter(name="code", max_items=64, description="only about these properties or commands")
]


def _wanted(
    cursor: str | None,
    since: Time | None,
    before: Time | None,
    kinds: list[Kind] | None = None,
    codes: list[str] | None = None,
) -> Wanted:
    place = decode_cursor(cursor, tuple[int])
    return Wanted(
        types=frozenset(kinds or ()),
        codes=frozenset(codes or ()),
        since=None if since is None else to_ms(since),
        before=None if before is None else to_ms(before),
        place=place[0] if place else None,
    )


@get("/devices/{device_id:str}/journal", operation_id="listDeviceJournal", opt={"action": Action.DEVICE_JOURNAL})
async def list_journal(
    caller: NamedDependency[Caller],
    trail: NamedDependency[Trail],
    device_id: FromPath[str],
    *,
    kinds: OfKinds = None,
    codes: Codes = None,
    since: Since = None,
    before: Before = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[EntryView]:
    """What happened to a device, newest first."""
    most = limit_of(limit)
    wanted = _wanted(cursor, since, before, kinds, codes)
    entries = await trail.of_device(caller.actor, device_id, wanted, most + 1)
    return page_of(entries, most, lambda entry: entry.id)


@get("/homes/{home_id:str}/audit", operation_id="listHomeAudit", opt={"action": Action.AUDIT_READ})
async def list_audit(
    caller: NamedDependency[Caller],
    trail: NamedDependency[Trail],
    home_id: FromPath[str],
    *,
    since: Since = None,
    before: Before = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[AuditView]:
    """Who did what in a home, newest first."""
    most = limit_of(limit)
    acts = await trail.of_home(caller.actor, home_id, _wanted(cursor, since, before), most + 1)
    return page_of(acts, most, lambda act: act.id)


ROUTER = Router("/", route_handlers=[list_journal, list_audit])
