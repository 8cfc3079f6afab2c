"""Enrolling hubs, and the hubs of a cloud, in the companion API; and at a hub, its cloud."""

from typing import Annotated

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.accounts.routes import secret
from app.caller import Caller
from app.companion.conditions import Page, answer
from app.policy import Action
from app.sync.enrolment.cloud_end import CloudEnd
from app.sync.enrolment.hub_end import CloudView, HubEnd
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.link import MAX_LINK
from app.sync.enrolment.model import EnrolledHubView, EnrolmentMade, EnrolmentView, HomeHubView, HubChange

_ENROLMENT = "/hubs/enrolments/{enrolment_id:str}"
_HUB = "/hubs/{hub_id:str}"


class NewCloud(Struct, forbid_unknown_fields=True):
    """What the cloud shows, as it was scanned or copied: doorstep:enrol?..."""

    code: Annotated[str, Meta(min_length=1, max_length=MAX_LINK)]


@post("/hubs/enrolments", operation_id="createHubEnrolment", opt={"action": Action.HUB_ENROL})
async def create_hub_enrolment(
    caller: NamedDependency[Caller], cloud_end: NamedDependency[CloudEnd]
) -> Response[EnrolmentMade]:
    """At a cloud: a code for a hub to enrol with, good for a quarter of an hour and shown this once."""
    return secret(await cloud_end.create(caller), 201)


@get(_ENROLMENT, operation_id="getHubEnrolment", opt={"action": Action.HUB_ENROL})
async def get_hub_enrolment(
    caller: NamedDependency[Caller], cloud_end: NamedDependency[CloudEnd], enrolment_id: FromPath[str]
) -> EnrolmentView:
    """Whether a hub has taken up the code: compare the number with the one the hub shows, then confirm or refuse."""
    return await cloud_end.get(caller.actor, enrolment_id)


@post(f"{_ENROLMENT}/confirm", operation_id="confirmHubEnrolment", opt={"action": Action.HUB_ENROL}, status_code=200)
async def confirm_hub_enrolment(
    caller: NamedDependency[Caller], cloud_end: NamedDependency[CloudEnd], enrolment_id: FromPath[str]
) -> Response[EnrolledHubView]:
    """Take the hub in."""
    hub = await cloud_end.confirm(caller, enrolment_id)
    return answer(hub, hub.version)


@post(f"{_ENROLMENT}/refuse", operation_id="refuseHubEnrolment", opt={"action": Action.HUB_ENROL}, status_code=204)
async def refuse_hub_enrolment(
    caller: NamedDependency[Caller], cloud_end: NamedDependency[CloudEnd], enrolment_id: FromPath[str]
) -> None:
    """End the code, whether a hub has taken it up or not."""
    await cloud_end.refuse(caller, enrolment_id)


@get("/hubs", operation_id="listHubs", opt={"action": Action.HUB_ENROL})
async def list_hubs(caller: NamedDependency[Caller], hubs: NamedDependency[Hubs]) -> Page[EnrolledHubView]:
    """At a cloud: the caller's hubs, revoked ones too. All of them: there are at most 50."""
    return Page(hubs.list_mine(caller.actor))


@get(_HUB, operation_id="getEnrolledHub", opt={"action": Action.HUB_ENROL})
async def get_enrolled_hub(
    caller: NamedDependency[Caller], hubs: NamedDependency[Hubs], hub_id: FromPath[str]
) -> Response[EnrolledHubView]:
    """One of the caller's hubs."""
    hub = hubs.get(caller.actor, hub_id)
    return answer(hub, hub.version)


@patch(_HUB, operation_id="updateEnrolledHub", opt={"action": Action.HUB_ENROL})
async def update_enrolled_hub(
    caller: NamedDependency[Caller], hubs: NamedDependency[Hubs], hub_id: FromPath[str], data: JSONBody[HubChange]
) -> Response[EnrolledHubView]:
    """Rename one of the caller's hubs at this cloud."""
    hub = await hubs.rename(caller, hub_id, data.name)
    return answer(hub, hub.version)


@delete(_HUB, operation_id="revokeHub", opt={"action": Action.HUB_ENROL})
async def revoke_hub(caller: NamedDependency[Caller], hubs: NamedDependency[Hubs], hub_id: FromPath[str]) -> None:
    """Revoke one of the caller's hubs: its connections end at once, and it opens nothing here any more."""
    await hubs.revoke(caller, hub_id)


@get("/homes/{home_id:str}/hubs", operation_id="listHomeHubs", opt={"action": Action.HOME_READ})
async def list_home_hubs(
    caller: NamedDependency[Caller], hubs: NamedDependency[Hubs], home_id: FromPath[str]
) -> Page[HomeHubView]:
    """At a cloud: the hubs that serve a home."""
    return Page(hubs.of_home(caller.actor, home_id))


@post("/cloud", operation_id="joinCloud", opt={"action": Action.HUB_MANAGE}, status_code=200)
async def join_cloud(
    caller: NamedDependency[Caller], hub_end: NamedDependency[HubEnd], data: JSONBody[NewCloud]
) -> CloudView:
    """At a hub: ask a cloud to take it in, by the code made there. Compare the number with the one the cloud shows."""
    return await hub_end.join(caller, data.code)


@get("/cloud", operation_id="getCloud", opt={"action": Action.HUB_MANAGE})
async def get_cloud(caller: NamedDependency[Caller], hub_end: NamedDependency[HubEnd]) -> CloudView:
    """At a hub: its cloud, and how it stands with it."""
    return hub_end.show(caller.actor)


@delete("/cloud", operation_id="leaveCloud", opt={"action": Action.HUB_MANAGE})
async def leave_cloud(caller: NamedDependency[Caller], hub_end: NamedDependency[HubEnd]) -> None:
    """At a hub: have no cloud any more."""
    await hub_end.leave(caller)


ROUTER = Router(
    "/",
    route_handlers=[
        create_hub_enrolment,
        get_hub_enrolment,
        confirm_hub_enrolment,
        refuse_hub_enrolment,
        list_hubs,
        get_enrolled_hub,
        update_enrolled_hub,
        revoke_hub,
        list_home_hubs,
        join_cloud,
        get_cloud,
        leave_cloud,
    ],
)
