"""Packages, upgrades, files, configuration and logs of devices: in the companion API, and where devices fetch them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import MediaType, Request, Response, Router, delete, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from app.caller import Caller
from app.companion.conditions import NOBODY, Page
from app.companion.layers import bearer_of
from app.errors import Unauthenticated
from app.links.iotda import answers
from app.links.iotda.configs import Configs, ConfigView, LogCollection, NewConfig
from app.links.iotda.files import MAX_FILE, Files, FileView
from app.links.iotda.package_model import MAX_PACKAGE, NewUpgrade, PackageView, UpgradeView
from app.links.iotda.packages import Packages
from app.links.iotda.upgrades import Upgrades
from app.policy import Action

OCTETS = "application/octet-stream"
Short = Annotated[str, QueryParameter(max_length=128)]
Long = Annotated[str, QueryParameter(max_length=4096)]


def _stream(size: int, chunks: AsyncIterator[bytes], status: int = 200, **headers: str) -> Stream:
    more = {"Content-Length": str(size), "Cache-Control": "no-store", **headers}
    return Stream(chunks, status_code=status, media_type=OCTETS, headers=more)


async def _caller_of_stream(request: Request[Any, Any, Any]) -> Caller:
    """As `caller_of`, without the body: it is read only once it is known who may send it."""
    state, client = request.scope["state"], request.scope.get("client")
    return Caller(
        actor=state.get("actor") or NOBODY, address=client[0] if client else "", request_id=str(state["request_id"])
    )


@post(
    "/packages",
    operation_id="addPackage",
    opt={"action": Action.HUB_MANAGE, "keyed": False},
    status_code=201,
    request_max_body_size=MAX_PACKAGE,
    dependencies={"caller": Provide(_caller_of_stream)},
)
async def add_package(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    iotda_packages: NamedDependency[Packages],
    *,
    product_id: Short = "",
    kind: Short = "firmware",
    version: Short = "",
    custom_info: Long = "",
) -> PackageView:
    """Put a package of firmware or software in. The body is the package itself, at most 256 MiB."""
    return await iotda_packages.put(
        caller, request.stream(), product_id=product_id, kind=kind, version=version, custom_info=custom_info
    )


@get("/packages", operation_id="listPackages", opt={"action": Action.HUB_MANAGE})
async def list_packages(
    caller: NamedDependency[Caller], iotda_packages: NamedDependency[Packages]
) -> Page[PackageView]:
    """Every package: there are at most 100."""
    return Page(await iotda_packages.all(caller))


@delete("/packages/{package_id:str}", operation_id="removePackage", opt={"action": Action.HUB_MANAGE})
async def remove_package(
    caller: NamedDependency[Caller], iotda_packages: NamedDependency[Packages], package_id: FromPath[str]
) -> None:
    """Remove a package, and what is upgraded with it."""
    await iotda_packages.remove(caller, package_id)


@post(
    "/devices/{device_id:str}/upgrades",
    operation_id="upgradeDevice",
    opt={"action": Action.DEVICE_UPDATE},
    status_code=201,
)
async def upgrade_device(
    caller: NamedDependency[Caller],
    iotda_upgrades: NamedDependency[Upgrades],
    device_id: FromPath[str],
    data: JSONBody[NewUpgrade],
) -> UpgradeView:
    """Have a device take a package: now, or when it next connects."""
    return await iotda_upgrades.offer(caller, device_id, data.package_id)


@get("/devices/{device_id:str}/upgrades", operation_id="listUpgrades", opt={"action": Action.DEVICE_READ})
async def list_upgrades(
    caller: NamedDependency[Caller], iotda_upgrades: NamedDependency[Upgrades], device_id: FromPath[str]
) -> Page[UpgradeView]:
    """The newest upgrade of a device's firmware, and of its software."""
    return Page(await iotda_upgrades.of_device(caller, device_id))


@put("/devices/{device_id:str}/config", operation_id="configureDevice", opt={"action": Action.DEVICE_UPDATE})
async def configure_device(
    caller: NamedDependency[Caller],
    iotda_configs: NamedDependency[Configs],
    device_id: FromPath[str],
    data: JSONBody[NewConfig],
) -> ConfigView:
    """Configure a device; it is told every day until it answers."""
    return await iotda_configs.put(caller, device_id, data)


@get("/devices/{device_id:str}/config", operation_id="getDeviceConfig", opt={"action": Action.DEVICE_JOURNAL})
async def get_config(
    caller: NamedDependency[Caller], iotda_configs: NamedDependency[Configs], device_id: FromPath[str]
) -> Page[ConfigView]:
    """The newest configuration of a device, if it ever was given one."""
    found = await iotda_configs.get(caller, device_id)
    return Page([] if found is None else [found])


@put("/devices/{device_id:str}/log-collection", operation_id="collectDeviceLog", opt={"action": Action.DEVICE_UPDATE})
async def collect_log(
    caller: NamedDependency[Caller],
    iotda_configs: NamedDependency[Configs],
    device_id: FromPath[str],
    data: JSONBody[LogCollection],
) -> LogCollection:
    """Have a device send its log, into the log the hub keeps of it."""
    return await iotda_configs.collect_logs(caller, device_id, data)


@get("/devices/{device_id:str}/files", operation_id="listDeviceFiles", opt={"action": Action.DEVICE_JOURNAL})
async def list_files(
    caller: NamedDependency[Caller], iotda_files: NamedDependency[Files], device_id: FromPath[str]
) -> Page[FileView]:
    """What a device has uploaded."""
    return Page(await iotda_files.of_device(caller, device_id))


@get(
    "/devices/{device_id:str}/files/{name:str}",
    opt={"action": Action.DEVICE_JOURNAL},
    include_in_schema=False,
    name="getDeviceFile",
)
async def get_file(
    caller: NamedDependency[Caller], iotda_files: NamedDependency[Files], device_id: FromPath[str], name: FromPath[str]
) -> Stream:
    """One of them, as it is."""
    return _stream(*await iotda_files.content(caller, device_id, name))


ROUTER = Router(
    "/",
    route_handlers=[
        add_package,
        list_packages,
        remove_package,
        upgrade_device,
        list_upgrades,
        configure_device,
        get_config,
        collect_log,
        list_files,
        get_file,
    ],
)


# What devices are told the addresses of; the token in each is the credential.


@get("/packages/{package_id:str}", opt={"action": Action.PUBLIC})
async def fetch_package(
    request: Request[Any, Any, Any], iotda_packages: NamedDependency[Packages], package_id: FromPath[str]
) -> Stream:
    """2.9.3, with `Authorization: Bearer`; from an octet on where a `Range` says so."""
    token = bearer_of(request.scope)
    if token is None:
        raise Unauthenticated
    begin = _begin(request.headers.get("range", ""))
    package, chunks = await iotda_packages.fetch(package_id, token.decode("latin-1"), begin)
    if not begin:
        return _stream(package.size, chunks)
    span = f"bytes {begin}-{package.size - 1}/{package.size}"
    return _stream(package.size - begin, chunks, 206, **{"Content-Range": span})


def _begin(span: str) -> int:
    """Where `bytes=N-` begins; any other range is answered with all of it, as it may be."""
    first = span.removeprefix("bytes=").removesuffix("-")
    return int(first) if span == f"bytes={first}-" and first.isascii() and first.isdigit() and len(first) < 16 else 0


@put("/files/{token:str}", opt={"action": Action.PUBLIC}, request_max_body_size=MAX_FILE, status_code=200)
async def put_file(
    request: Request[Any, Any, Any], iotda_files: NamedDependency[Files], token: FromPath[str]
) -> Response[bytes]:
    """2.10.2."""
    await iotda_files.put(token, request.stream())
    return Response(b"", media_type=MediaType.JSON)


@get("/files/{token:str}", opt={"action": Action.PUBLIC})
async def fetch_file(iotda_files: NamedDependency[Files], token: FromPath[str]) -> Stream:
    """2.10.5."""
    return _stream(*await iotda_files.get(token))


DEVICE_ROUTER = Router(
    "/iotda",
    route_handlers=[fetch_package, put_file, fetch_file],
    exception_handlers={Exception: answers.to_response},
    include_in_schema=False,
)
