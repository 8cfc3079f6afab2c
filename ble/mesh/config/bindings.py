"""What a model may use, hears and says: bindings, subscriptions, publication (MshPRT 1.1, 4.3.2.15 to 30, 46 to 52)."""

from typing import Annotated, ClassVar, TypeAlias

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.config.indexes import MAX_INDEX, Index, Indexes
from ble.mesh.model_id import Model, ModelId
from ble.mesh.octets import Octets, u16
from ble.mesh.wire import U8, U16, Codec, Key, U16s, WireMessage, table


class Publication(Struct, frozen=True, kw_only=True):
    """How a model publishes. `period` and `retransmit` are packed octets (4.2.3.4 to 4.2.3.7); ttl 255: default."""

    app_key: int = 0
    friendship: bool = False
    ttl: int = 0xFF
    period: int = 0
    retransmit: int = 0


_FRIENDSHIP = 1 << 12


def _pack_publication(publication: Publication) -> bytes:
    if not 0 <= publication.app_key <= MAX_INDEX:
        raise Malformed(f"key index {publication.app_key}")
    index = publication.app_key | (_FRIENDSHIP if publication.friendship else 0)
    return u16(index) + bytes([publication.ttl, publication.period, publication.retransmit])


def _read_publication(octets: Octets) -> Publication:
    index = octets.u16()
    if index > (MAX_INDEX | _FRIENDSHIP):
        raise Malformed("reserved bits of a publication")
    return Publication(
        app_key=index & MAX_INDEX,
        friendship=bool(index & _FRIENDSHIP),
        ttl=octets.u8(),
        period=octets.u8(),
        retransmit=octets.u8(),
    )


Published: TypeAlias = Annotated[Publication, Codec(pack=_pack_publication, read=_read_publication)]


class PublicationSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x03
    element: U16
    address: U16
    publication: Published
    model: Model


class PublicationVirtualSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x801A
    element: U16
    label: Key
    publication: Published
    model: Model


class PublicationGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8018
    element: U16
    model: Model


class PublicationStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8019
    status: U8
    element: U16
    address: U16
    publication: Published
    model: Model


class _Subscription(WireMessage, frozen=True):
    element: U16
    address: U16
    model: Model


class SubscriptionAdd(_Subscription, frozen=True):
    OPCODE: ClassVar = 0x801B


class SubscriptionDelete(_Subscription, frozen=True):
    OPCODE: ClassVar = 0x801C


class SubscriptionOverwrite(_Subscription, frozen=True):
    OPCODE: ClassVar = 0x801E


class SubscriptionDeleteAll(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x801D
    element: U16
    model: Model


class _VirtualSubscription(WireMessage, frozen=True):
    element: U16
    label: Key
    model: Model


class SubscriptionVirtualAdd(_VirtualSubscription, frozen=True):
    OPCODE: ClassVar = 0x8020


class SubscriptionVirtualDelete(_VirtualSubscription, frozen=True):
    OPCODE: ClassVar = 0x8021


class SubscriptionVirtualOverwrite(_VirtualSubscription, frozen=True):
    OPCODE: ClassVar = 0x8022


class SubscriptionStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x801F
    status: U8
    element: U16
    address: U16
    model: Model


class ModelAppBind(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x803D
    element: U16
    app_key: Index
    model: Model


class ModelAppUnbind(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x803F
    element: U16
    app_key: Index
    model: Model


class ModelAppStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x803E
    status: U8
    element: U16
    app_key: Index
    model: Model


_VendorPart: TypeAlias = Annotated[
    ModelId,
    Codec[ModelId](
        pack=lambda model: u16(model.company or 0) + u16(model.number),
        read=lambda octets: ModelId(company=octets.u16(), number=octets.u16()),
    ),
]
_SigPart: TypeAlias = Annotated[
    ModelId, Codec[ModelId](pack=lambda model: u16(model.number), read=lambda octets: ModelId(octets.u16()))
]


class SigSubscriptionGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8029
    element: U16
    model: _SigPart


class SigSubscriptionList(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x802A
    status: U8
    element: U16
    model: _SigPart
    addresses: U16s


class VendorSubscriptionGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x802B
    element: U16
    model: _VendorPart


class VendorSubscriptionList(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x802C
    status: U8
    element: U16
    model: _VendorPart
    addresses: U16s


class SigModelAppGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x804B
    element: U16
    model: _SigPart


class SigModelAppList(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x804C
    status: U8
    element: U16
    model: _SigPart
    app_keys: Indexes


class VendorModelAppGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x804D
    element: U16
    model: _VendorPart


class VendorModelAppList(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x804E
    status: U8
    element: U16
    model: _VendorPart
    app_keys: Indexes


MESSAGES = table(
    (
        PublicationSet,
        PublicationVirtualSet,
        PublicationGet,
        PublicationStatus,
        SubscriptionAdd,
        SubscriptionDelete,
        SubscriptionOverwrite,
        SubscriptionDeleteAll,
        SubscriptionVirtualAdd,
        SubscriptionVirtualDelete,
        SubscriptionVirtualOverwrite,
        SubscriptionStatus,
        ModelAppBind,
        ModelAppUnbind,
        ModelAppStatus,
        SigSubscriptionGet,
        SigSubscriptionList,
        VendorSubscriptionGet,
        VendorSubscriptionList,
        SigModelAppGet,
        SigModelAppList,
        VendorModelAppGet,
        VendorModelAppList,
    )
)
