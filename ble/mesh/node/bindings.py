"""Bindings, subscriptions and publications of a node's models (MshPRT 1.1, 4.4.1.2.5 to 4.4.1.2.7, 4.4.1.2.10)."""

from typing import TypeAlias

from ble.mesh.address import UNASSIGNED, can_subscribe, is_virtual
from ble.mesh.config.bindings import (
    ModelAppBind,
    ModelAppStatus,
    ModelAppUnbind,
    Publication,
    PublicationGet,
    PublicationSet,
    PublicationStatus,
    PublicationVirtualSet,
    SigModelAppGet,
    SigModelAppList,
    SigSubscriptionGet,
    SigSubscriptionList,
    SubscriptionAdd,
    SubscriptionDelete,
    SubscriptionDeleteAll,
    SubscriptionOverwrite,
    SubscriptionStatus,
    SubscriptionVirtualAdd,
    SubscriptionVirtualDelete,
    SubscriptionVirtualOverwrite,
    VendorModelAppGet,
    VendorModelAppList,
    VendorSubscriptionGet,
    VendorSubscriptionList,
)
from ble.mesh.config.refused import Status
from ble.mesh.crypto import virtual_address
from ble.mesh.model_id import ModelId
from ble.mesh.node.elements import CONFIG_CLIENT, CONFIG_SERVER, MAX_BOUND, MAX_SUBSCRIBED, Element, Model, Publishing
from ble.mesh.state import MeshState
from ble.mesh.wire import WireMessage

_SUBSCRIPTIONS = (
    SubscriptionAdd,
    SubscriptionDelete,
    SubscriptionDeleteAll,
    SubscriptionOverwrite,
    SubscriptionVirtualAdd,
    SubscriptionVirtualDelete,
    SubscriptionVirtualOverwrite,
)
_Subscription: TypeAlias = (
    SubscriptionAdd
    | SubscriptionDelete
    | SubscriptionDeleteAll
    | SubscriptionOverwrite
    | SubscriptionVirtualAdd
    | SubscriptionVirtualDelete
    | SubscriptionVirtualOverwrite
)
_Publication: TypeAlias = PublicationSet | PublicationVirtualSet


class Bindings:
    """The models of `elements`; `state` says which keys there are and where the elements' addresses begin."""

    def __init__(self, state: MeshState, elements: list[Element]) -> None:
        self._state = state
        self._elements = elements

    def handle(self, asked: WireMessage) -> WireMessage | None:
        match asked:
            case ModelAppBind() | ModelAppUnbind():
                found = self._find(asked.element, asked.model)
                status = found if isinstance(found, Status) else self._bind(found, asked)
                return ModelAppStatus(status, asked.element, asked.app_key, asked.model)
            case PublicationGet() | PublicationSet() | PublicationVirtualSet():
                return self._publication(asked)
            case _ if isinstance(asked, _SUBSCRIPTIONS):
                return self._subscription(asked)
        return self._listed(asked)

    def _find(self, address: int, identifier: ModelId) -> Model | Status:
        index = address - self._state.address
        if not 0 <= index < len(self._elements):
            return Status.INVALID_ADDRESS
        return self._elements[index].model(identifier) or Status.INVALID_MODEL

    def _bind(self, model: Model, asked: ModelAppBind | ModelAppUnbind) -> Status:
        if asked.app_key not in self._state.app_keys:
            return Status.INVALID_APPKEY_INDEX
        if model.identifier in (CONFIG_SERVER, CONFIG_CLIENT):
            return Status.CANNOT_BIND
        if isinstance(asked, ModelAppUnbind):
            model.bound = [one for one in model.bound if one != asked.app_key]
            if model.publishing and model.publishing.publication.app_key == asked.app_key:
                model.publishing = None
        elif asked.app_key not in model.bound:
            if len(model.bound) >= MAX_BOUND:
                return Status.INSUFFICIENT_RESOURCES
            model.bound.append(asked.app_key)
        return Status.SUCCESS

    def _publication(self, asked: PublicationGet | _Publication) -> PublicationStatus:
        found = self._find(asked.element, asked.model)
        status = found if isinstance(found, Status) else Status.SUCCESS
        if isinstance(found, Model) and not isinstance(asked, PublicationGet):
            status = self._publish(found, asked)
        now = found.publishing if isinstance(found, Model) else None
        if now is None or status != Status.SUCCESS:
            now = Publishing(UNASSIGNED, Publication(ttl=0))
        return PublicationStatus(status, asked.element, now.address, now.publication, asked.model)

    def _publish(self, model: Model, asked: _Publication) -> Status:
        if isinstance(asked, PublicationSet):
            if is_virtual(asked.address):
                return Status.INVALID_ADDRESS
            address, label = asked.address, b""
        else:
            address, label = virtual_address(asked.label), asked.label
        if address == UNASSIGNED:
            model.publishing = None
            return Status.SUCCESS
        if asked.publication.app_key not in model.bound:
            return Status.INVALID_APPKEY_INDEX
        if asked.publication.friendship:
            return Status.FEATURE_NOT_SUPPORTED
        model.publishing = Publishing(address, asked.publication, label)
        return Status.SUCCESS

    def _subscription(self, asked: _Subscription) -> SubscriptionStatus:
        address, label = _target(asked)
        found = self._find(asked.element, asked.model)
        if isinstance(found, Status):
            status = found
        elif not found.subscribes:
            status = Status.NOT_A_SUBSCRIBE_MODEL
        elif not (label or isinstance(asked, SubscriptionDeleteAll) or can_subscribe(address)):
            status = Status.INVALID_ADDRESS
        else:
            status = _subscribe(found, asked, address, label)
        return SubscriptionStatus(status, asked.element, address, asked.model)

    def _listed(self, asked: WireMessage) -> WireMessage | None:
        match asked:
            case SigSubscriptionGet(element, identifier) | VendorSubscriptionGet(element, identifier):
                status, model = self._looked_up(element, identifier)
                addresses = tuple(model.subscriptions) if model else ()
                subscribed = SigSubscriptionList if isinstance(asked, SigSubscriptionGet) else VendorSubscriptionList
                return subscribed(status, element, identifier, addresses)
            case SigModelAppGet(element, identifier) | VendorModelAppGet(element, identifier):
                status, model = self._looked_up(element, identifier)
                keys = tuple(model.bound) if model else ()
                bound = SigModelAppList if isinstance(asked, SigModelAppGet) else VendorModelAppList
                return bound(status, element, identifier, keys)
        return None

    def _looked_up(self, element: int, identifier: ModelId) -> tuple[Status, Model | None]:
        found = self._find(element, identifier)
        return (found, None) if isinstance(found, Status) else (Status.SUCCESS, found)


def _target(asked: _Subscription) -> tuple[int, bytes]:
    """The address that is meant, and its label where it is virtual."""
    match asked:
        case SubscriptionDeleteAll():
            return UNASSIGNED, b""
        case SubscriptionVirtualAdd() | SubscriptionVirtualDelete() | SubscriptionVirtualOverwrite():
            return virtual_address(asked.label), asked.label
    return asked.address, b""


def _subscribe(model: Model, asked: _Subscription, address: int, label: bytes) -> Status:
    overwrites = (SubscriptionDeleteAll, SubscriptionOverwrite, SubscriptionVirtualOverwrite)
    if isinstance(asked, overwrites):
        model.groups, model.labels = [], {}
    if isinstance(asked, SubscriptionDelete | SubscriptionVirtualDelete):
        model.groups = [one for one in model.groups if one != address]
        model.labels.pop(address, None)
    elif not isinstance(asked, SubscriptionDeleteAll) and address not in model.subscriptions:
        if len(model.subscriptions) >= MAX_SUBSCRIBED:
            return Status.INSUFFICIENT_RESOURCES
        if label:
            model.labels[address] = label
        else:
            model.groups.append(address)
    return Status.SUCCESS
