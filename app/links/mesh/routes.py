"""A home's mesh in the companion API: out and in as a Mesh Configuration Database."""

from typing import Annotated, Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.caller import Caller
from app.companion.hub_only import hub_only
from app.links.mesh.moving import Imported, MeshMoving
from app.policy import Action


class MeshImport(Struct, forbid_unknown_fields=True):
    """`database` is the content of the file (Mesh CDB 1.0.1); `iv_index` what the network's beacon says, where it is
    more than 42 ahead of nothing: the file does not hold it."""

    database: dict[str, Any]
    iv_index: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0


@get(
    "/homes/{home_id:str}/mesh",
    operation_id="exportMesh",
    opt={"action": Action.MESH_MANAGE, "conflicts": True},
    guards=[hub_only],
)
async def export_mesh(
    caller: NamedDependency[Caller], mesh_moving: NamedDependency[MeshMoving], home_id: FromPath[str]
) -> Response[bytes]:
    """The home's Bluetooth mesh as other provisioners read it, with all its keys: whoever has it can do with the mesh's
    devices what the hub can. Each export is in the audit trail."""
    file = await mesh_moving.export(caller, home_id)
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="mesh.json"'}
    return Response(file, media_type="application/json", headers=headers)


@post(
    "/homes/{home_id:str}/mesh",
    operation_id="importMesh",
    opt={"action": Action.MESH_MANAGE, "conflicts": True},
    guards=[hub_only],
)
async def import_mesh(
    caller: NamedDependency[Caller],
    mesh_moving: NamedDependency[MeshMoving],
    home_id: FromPath[str],
    data: JSONBody[MeshImport],
) -> Imported:
    """Make a network that another provisioner has made the home's: its nodes become devices. Only where the home has no
    mesh with devices yet."""
    return await mesh_moving.take_in(caller, home_id, data.database, data.iv_index)


ROUTER = Router("/", route_handlers=[export_mesh, import_mesh])
