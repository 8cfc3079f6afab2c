"""The envelope of events, and which event carries what (2.3, 2.8 to 2.14)."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct

from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.errors import EventUnknownError, IotdaError
from app.links.iotda.codec.fields import Name, Text, decode, encode

CHILDREN: Final = "$sub_device_manager"
OTA: Final = "$ota"
FILES: Final = "$file_manager"
TIME: Final = "$time_sync"
SDK: Final = "$sdk_info"
LOG: Final = "$log"
CONFIG: Final = "$device_config"

UP: Final[dict[tuple[str, str], type[Struct]]] = {
    (CHILDREN, "sub_device_sync_request"): paras.SyncChildren,
    (CHILDREN, "sub_device_update_status"): paras.UpdateStatuses,
    (CHILDREN, "add_sub_device_request"): paras.AddChildren,
    (CHILDREN, "delete_sub_device_request"): paras.DeleteChildren,
    (OTA, "version_report"): paras.Versions,
    (OTA, "upgrade_progress_report"): paras.UpgradeProgress,
    (FILES, "get_upload_url"): paras.WantUrl,
    (FILES, "upload_result_report"): paras.FileResult,
    (FILES, "get_download_url"): paras.WantUrl,
    (FILES, "download_result_report"): paras.FileResult,
    (TIME, "time_sync_request"): paras.TimeRequest,
    (SDK, "sdk_info_report"): paras.SdkInfo,
    (LOG, "log_report"): paras.LogReport,
    (CONFIG, "config_update_response"): paras.ConfigResult,
}
DOWN: Final[dict[tuple[str, str], type[Struct]]] = {
    (CHILDREN, "add_sub_device_notify"): paras.ChildrenAdded,
    (CHILDREN, "delete_sub_device_notify"): paras.ChildrenDeleted,
    (CHILDREN, "sub_device_update_status_response"): paras.StatusesUpdated,
    (CHILDREN, "add_sub_device_response"): paras.AddedChildren,
    (CHILDREN, "delete_sub_device_response"): paras.DeletedChildren,
    (OTA, "version_query"): paras.Nothing,
    (OTA, "firmware_upgrade"): paras.Upgrade,
    (OTA, "software_upgrade"): paras.Upgrade,
    (OTA, "firmware_upgrade_v2"): paras.Upgrade,
    (OTA, "software_upgrade_v2"): paras.Upgrade,
    (FILES, "get_upload_url_response"): paras.FileUrl,
    (FILES, "get_download_url_response"): paras.FileUrl,
    (TIME, "time_sync_response"): paras.TimeResponse,
    (LOG, "log_config"): paras.LogConfig,
    (CONFIG, "config_update"): paras.Config,
}
# More in one publish is no device's need, and each may ask for an answer.
MAX_EVENTS: Final = 100


class Event(Struct, frozen=True, kw_only=True):
    """One event; `paras` is a struct of `event_paras`."""

    service_id: str
    event_type: str
    event_time: Text = UNSET
    event_id: Text = UNSET
    paras: Any


class Events(Struct, frozen=True, kw_only=True):
    """What one publish says. `unread` are those that are none of this protocol or do not fit it, and why."""

    object_device_id: Text = UNSET
    events: tuple[Event, ...] = ()
    unread: tuple[tuple[str, IotdaError], ...] = ()


class _RawEvent(Struct, frozen=True, kw_only=True):
    service_id: Name
    event_type: Name
    # Whatever stands there: a time that is none counts as none (2.7.1).
    event_time: Any = UNSET
    event_id: Text = UNSET
    paras: msgspec.Raw = msgspec.Raw(b"{}")


class _Envelope(Struct, frozen=True, kw_only=True):
    object_device_id: Text = UNSET
    services: Annotated[tuple[_RawEvent, ...], Meta(max_length=MAX_EVENTS)] | None = ()


class _Written(Struct, frozen=True, kw_only=True):
    object_device_id: Text = UNSET
    services: tuple[Event, ...]


_envelope = msgspec.json.Decoder(_Envelope)
_up = {name: msgspec.json.Decoder(kind) for name, kind in UP.items()}
_down = {name: msgspec.json.Decoder(kind) for name, kind in DOWN.items()}


def decode_up(payload: bytes) -> Events:
    """What a device says; raises MalformedError where not even the envelope can be read."""
    return _decode(payload, _up)


def decode_down(payload: bytes) -> Events:
    """What the platform says; raises MalformedError where not even the envelope can be read."""
    return _decode(payload, _down)


def encode_events(events: tuple[Event, ...], object_device_id: Text = UNSET) -> bytes:
    """The payload that says them."""
    return encode(_Written(object_device_id=object_device_id, services=events))


def _decode(payload: bytes, decoders: dict[tuple[str, str], Any]) -> Events:
    envelope = decode(_envelope, payload)
    read: list[Event] = []
    unread: list[tuple[str, IotdaError]] = []
    for raw in envelope.services or ():
        decoder = decoders.get((raw.service_id, raw.event_type))
        try:
            if decoder is None:
                raise EventUnknownError(f"{raw.service_id[:64]} {raw.event_type[:64]}")
            read.append(_event(raw, decode(decoder, bytes(raw.paras))))
        except IotdaError as error:
            unread.append((raw.event_type[:64], error))
    return Events(object_device_id=envelope.object_device_id, events=tuple(read), unread=tuple(unread))


def _event(raw: _RawEvent, carried: Any) -> Event:
    time = raw.event_time if isinstance(raw.event_time, str) else UNSET
    return Event(
        service_id=raw.service_id,
        event_type=raw.event_type,
        event_time=time,
        event_id=raw.event_id,
        paras=carried,
    )
