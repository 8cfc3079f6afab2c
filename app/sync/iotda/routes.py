"""A home's upstream in the companion API."""

from litestar import Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.caller import Caller
from app.policy import Action
from app.sync.iotda.model import NewUpstream, UpstreamView
from app.sync.iotda.service import Upstreams

PATH = "/homes/{home_id:str}/iotda-upstream"


@put(PATH, operation_id="attachUpstream", opt={"action": Action.UPSTREAM_MANAGE, "conflicts": True})
async def attach_upstream(
    caller: NamedDependency[Caller],
    upstreams: NamedDependency[Upstreams],
    home_id: FromPath[str],
    data: JSONBody[NewUpstream],
) -> UpstreamView:
    """Show the home's devices to a platform that speaks IoTDA, this hub being their gateway there: they are added,
    their values reported, and what the platform asks of them is done in your name. One platform at a time: another
    takes the place of the former."""
    return await upstreams.attach(caller, home_id, data)


@get(PATH, operation_id="getUpstream", opt={"action": Action.UPSTREAM_MANAGE})
async def get_upstream(
    caller: NamedDependency[Caller], upstreams: NamedDependency[Upstreams], home_id: FromPath[str]
) -> UpstreamView:
    """Where the home is shown, whether it is connected or why not, and which of its devices are there."""
    return await upstreams.show(caller.actor, home_id)


@delete(PATH, operation_id="detachUpstream", opt={"action": Action.UPSTREAM_MANAGE})
async def detach_upstream(
    caller: NamedDependency[Caller], upstreams: NamedDependency[Upstreams], home_id: FromPath[str]
) -> None:
    """Show the home there no more. What the platform has of it stays there until the gateway is deleted there."""
    await upstreams.detach(caller, home_id)


ROUTER = Router("/", route_handlers=[attach_upstream, get_upstream, detach_upstream])
