"""A virtual device that speaks IoTDA's protocol: what it says to what it is told. Pure but for its body.

The device-side half of `app.links.iotda.codec`: reports, obeys, asks for its shadow, takes upgrades, and as a gateway
has devices behind it.
"""

import hashlib
from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import UNSET, Struct

from app.devices.product.model import Product
from app.devices.product.values import ValueUnfit
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec import events, names, payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import decode, encode, given
from app.virtual.body import Body, Changes

Said: TypeAlias = tuple[str, bytes]
"""(topic, payload)."""

REFUSED: Final = 1
FIRST_VERSION: Final = "v1.0"


class Download(Struct, frozen=True):
    """A package to be fetched, and what it must be."""

    kind: str
    version: str
    url: str
    token: str
    size: int
    sha256: str


class IotdaVoice:
    """`children` are behind it, by node id. `downloads` is what `hear` found to fetch.

    `refuses`: answers every command with this error.
    """

    def __init__(
        self, device_id: str, body: Body, children: dict[str, Body] | None = None, *, refuses: str = ""
    ) -> None:
        self.device_id = device_id
        self.body = body
        self.versions = {"firmware": FIRST_VERSION, "software": FIRST_VERSION}
        self.downloads: list[Download] = []
        self.heard: list[str] = []
        # The reset it was told of: it is as new, and its secret is still to go.
        self.wiped = ""
        self._joining = children or {}
        self._children: dict[str, Body] = {}
        self._refuses = refuses
        self._requests = 0
        self._list_version = 0

    # what it says by itself

    def greeting(self) -> Iterator[Said]:
        """When it has connected: what it is, all its values, and for a gateway what is behind it."""
        info = paras.SdkInfo(device_sdk_version="Doorstep_v1.0", fw_version=self.versions["firmware"])
        yield self._event(events.SDK, "sdk_info_report", info)
        yield self.report({service: self.body.readable(service) for service in self.body.values})
        yield self.ask_shadow()
        if self._joining:
            asked = paras.SyncChildren(version=self._list_version)
            yield self._event(events.CHILDREN, "sub_device_sync_request", asked)
            new = tuple(
                paras.NewChild(node_id=node, name=f"Behind {node}", product_id=body.product.id)
                for node, body in self._joining.items()
            )
            yield self._event(events.CHILDREN, "add_sub_device_request", paras.AddChildren(devices=new))

    def report(self, changes: Changes) -> Said:
        """Values as they are now."""
        return self._said(topics.Kind.REPORT, payloads.Report(services=_services(self.body.product, changes)))

    def report_children(self) -> Said | None:
        """Everything of everybody behind it."""
        devices = tuple(
            payloads.DeviceProperty(
                device_id=child, services=_services(body.product, {s: body.readable(s) for s in body.values})
            )
            for child, body in self._children.items()
        )
        return self._said(topics.Kind.GATEWAY_REPORT, payloads.GatewayReport(devices=devices)) if devices else None

    def ask_shadow(self) -> Said:
        """Of all its services."""
        self._requests += 1
        return self._said(topics.Kind.SHADOW_GET, payloads.GetProperties(), str(self._requests))

    def fetched(self, download: Download, octets: bytes) -> Iterator[Said]:
        """The package is here: install it, or say what is wrong with it."""
        whole = len(octets) == download.size and hashlib.sha256(octets).hexdigest() == download.sha256
        yield self._progress(80 if whole else 0, 0 if whole else 7, self.versions[download.kind])
        if whole:
            self.versions[download.kind] = download.version
            yield self._progress(100, 0, download.version)

    def not_fetched(self, download: Download) -> Said:
        """The package did not come."""
        return self._progress(0, 6, self.versions[download.kind])

    # what it is told

    def hear(self, topic: str, payload: bytes) -> Iterator[Said]:
        """What it says to that; what is not for it, or cannot be read, it leaves alone."""
        try:
            read = topics.parse(topic)
            yield from self._hear(read, payload)
        except IotdaError as error:
            self.heard.append(error.code)

    def _hear(self, topic: topics.Topic, payload: bytes) -> Iterator[Said]:
        match topic.kind:
            case topics.Kind.SET:
                yield from self._set(topic.rest, decode(payloads.set_properties, payload))
            case topics.Kind.GET:
                yield self._get(topic.rest, decode(payloads.get_properties, payload))
            case topics.Kind.COMMAND:
                yield from self._command(topic.rest, decode(payloads.command, payload))
            case topics.Kind.EVENT_DOWN:
                for event in events.decode_down(payload).events:
                    yield from self._told(event)
            case topics.Kind.SHADOW_GET_RESPONSE:
                decode(payloads.shadow_response, payload)
                self.heard.append("shadow")

    def _set(self, request: str, told: payloads.SetProperties) -> Iterator[Said]:
        body = self._whose(given(told.object_device_id, ""))
        changes: Changes = {}
        try:
            self._check_willing()
            for each in told.services:
                service = names.service_of(body.product, each.service_id)
                if service is None:
                    raise ValueUnfit(f"no service {each.service_id}")
                changes |= body.set(service.id, names.values_in(service, each.properties))
        except ValueUnfit as error:
            answer = payloads.SetResponse(result_code=REFUSED, result_desc=self._refuses or error.code)
            yield self._said(topics.Kind.SET_RESPONSE, answer, request)
            return
        answer = payloads.SetResponse(result_code=0, result_desc="success")
        yield self._said(topics.Kind.SET_RESPONSE, answer, request)
        if changes and body is self.body:
            yield self.report(changes)
        elif (said := self.report_children()) is not None:
            yield said

    def _get(self, request: str, told: payloads.GetProperties) -> Said:
        body = self._whose(given(told.object_device_id, ""))
        service = names.service_of(body.product, given(told.service_id, ""))
        wanted = body.values if service is None else [service.id]
        values = {each: body.readable(each) for each in wanted}
        answer = payloads.GetResponse(services=_services(body.product, values))
        return self._said(topics.Kind.GET_RESPONSE, answer, request)

    def _command(self, request: str, told: payloads.Command) -> Iterator[Said]:
        body = self._whose(given(told.object_device_id, ""))
        service = names.service_of(body.product, given(told.service_id, ""))
        name = given(told.command_name, "")
        if (given(told.service_id, ""), name) == payloads.RESET:
            yield self._said(topics.Kind.COMMAND_RESPONSE, self.wipe(request), request)
            return
        model = None if service is None else names.command_of(service, name)
        try:
            self._check_willing()
            if service is None or model is None:
                raise ValueUnfit(f"no command {name}")
            renamed = {field.iotda or field.id: field.id for field in model.params}
            params = {renamed.get(key, key): value for key, value in (told.paras or {}).items()}
            changes = body.call(service.id, model.id, params)
        except ValueUnfit as error:
            answer = payloads.CommandResponse(result_code=REFUSED, paras={"error": self._refuses or error.code})
            yield self._said(topics.Kind.COMMAND_RESPONSE, answer, request)
            return
        answer = payloads.CommandResponse(result_code=0, response_name="COMMAND_RESPONSE", paras={"result": "success"})
        yield self._said(topics.Kind.COMMAND_RESPONSE, answer, request)
        if changes and body is self.body:
            yield self.report(changes)

    def wipe(self, reset_id: str) -> payloads.CommandResponse:
        """As it left the factory, but for its secret, by which it says that it has forgotten."""
        self.body.wake({})
        self._children, self._joining = {}, {}
        self.wiped = reset_id
        return payloads.CommandResponse(result_code=0)

    def _told(self, event: events.Event) -> Iterator[Said]:
        self.heard.append(event.event_type)
        match event.paras:
            case paras.Nothing():
                said = paras.Versions(sw_version=self.versions["software"], fw_version=self.versions["firmware"])
                yield self._event(events.OTA, "version_report", said)
            case paras.Upgrade() as wanted:
                self._want(event.event_type.partition("_")[0], wanted)
            case paras.AddedChildren(successful_devices=added):
                yield from self._added(added)
            case paras.ChildrenAdded(devices=added, version=version):
                self._list_version = version
                yield from self._added(added)
            case paras.ChildrenDeleted(devices=gone, version=version):
                self._list_version = version
                for each in gone:
                    self._children.pop(each.device_id, None)
            case paras.Config():
                said_well = paras.ConfigResult(result_code=0, description="update config success")
                yield self._event(events.CONFIG, "config_update_response", said_well)
            case paras.LogConfig(switch="on"):
                line = paras.LogReport(type="DEVICE_STATUS", content="all is well")
                yield self._event(events.LOG, "log_report", line)

    def _added(self, added: tuple[paras.Child, ...]) -> Iterator[Said]:
        """Who is behind it is there, and says so."""
        for each in added:
            body = self._joining.get(given(each.node_id, ""))
            if body is not None:
                self._children[each.device_id] = body
        statuses = tuple(paras.Status(device_id=child, status="ONLINE") for child in self._children)
        if statuses:
            asked = paras.UpdateStatuses(device_statuses=statuses[: paras.MAX_STATUSES])
            yield self._event(events.CHILDREN, "sub_device_update_status", asked)
        if (said := self.report_children()) is not None:
            yield said

    def _want(self, kind: str, wanted: paras.Upgrade) -> None:
        self.downloads.append(
            Download(
                kind,
                wanted.version,
                wanted.url,
                given(wanted.access_token, ""),
                given(wanted.file_size, 0),
                given(wanted.sign, ""),
            )
        )

    def _check_willing(self) -> None:
        if self._refuses:
            raise ValueUnfit(self._refuses)

    def _whose(self, object_id: str) -> Body:
        return self._children.get(object_id, self.body)

    def _progress(self, percent: int, code: int, version: str) -> Said:
        said = paras.UpgradeProgress(result_code=code, progress=percent, version=version)
        return self._event(events.OTA, "upgrade_progress_report", said)

    def _event(self, service: str, kind: str, said: Struct) -> Said:
        event = events.Event(service_id=service, event_type=kind, paras=said)
        topic = topics.Topic(topics.Kind.EVENT_UP, self.device_id)
        return str(topic), events.encode_events((event,), UNSET)

    def _said(self, kind: topics.Kind, payload: Struct, request: str = "") -> Said:
        return str(topics.Topic(kind, self.device_id, request)), encode(payload)


def _services(product: Product, changes: Changes) -> tuple[payloads.ServiceProperty, ...]:
    """Values by our names as the protocol has them."""
    found: list[payloads.ServiceProperty] = []
    for service_id, values in changes.items():
        service = product.service(service_id)
        if service is not None and values:
            found.append(names.said(service, values))
    return tuple(found)
