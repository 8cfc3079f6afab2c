"""The devices behind a gateway: added, deleted and told of by it, and told to it (2.8)."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from app.caller import Caller
from app.devices import queries as device_queries
from app.devices.credential_model import KEYED, DeviceIdTaken, NewRegistration
from app.devices.credentials import TRUST
from app.devices.model import Device, DeviceFrozen, NewDevice
from app.devices.service import Devices
from app.errors import DoorstepError, Invalid, NotFound
from app.links.iotda import errors, queries
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.events import CHILDREN
from app.links.iotda.codec.fields import given
from app.links.iotda.codec.signing import DEVICE_ID
from app.links.iotda.downwards import LINK, Downwards
from app.links.iotda.speaking import Act, Handlers, Spoken
from app.links.iotda.whose import Whose
from app.policy import SYSTEM
from app.store.store import Store
from app.store.tx import Reader, Tx

# Of one notice: what a small gateway can take in.
AT_ONCE: Final = 50
ONLINE, OFFLINE, INACTIVE = "ONLINE", "OFFLINE", "INACTIVE"
# A gateway's own wish needs no notice to it.
BY_GATEWAY: Final = Caller(SYSTEM, request_id="gateway")


class Children:
    """`handlers` are those of the gateway's events. `on_there` is told of devices as they come, on the event loop."""

    def __init__(self, store: Store, devices: Devices, whose: Whose, down: Downwards) -> None:
        self._store = store
        self._devices = devices
        self._whose = whose
        self._down = down
        self.on_there: list[Callable[[Device], None]] = []
        devices.credentials.on_registered.append(self._registered_in)
        devices.on_leaving.append(self._leaving_in)
        devices.on_unbinding.append(self._leaving_in)

    def handlers(self) -> Handlers:
        """By (service, event type)."""
        return {
            (CHILDREN, "add_sub_device_request"): self.add,
            (CHILDREN, "delete_sub_device_request"): self.delete,
            (CHILDREN, "sub_device_update_status"): self.statuses,
            (CHILDREN, "sub_device_sync_request"): self.sync,
        }

    # what gateways ask

    def add(self, spoken: Spoken, asked: paras.AddChildren) -> Act:
        """2.8.6: each by itself; one that is behind this gateway already counts as added."""

        def act(tx: Tx) -> None:
            added: list[tuple[Device, paras.NewChild]] = []
            failed: list[paras.Reason] = []
            for new in asked.devices:
                try:
                    added.append((self._add_in(tx, spoken.speaker, new), new))
                except DoorstepError as error:
                    failed.append(errors.of_newcomer(new.node_id, new.product_id, error))
            shown = tuple(self._shown(spoken.speaker, device, new.node_id, new) for device, new in added)
            answer = paras.AddedChildren(successful_devices=shown, failed_devices=tuple(failed))
            self._answer_in(tx, spoken, "add_sub_device_response", answer)

        return act

    def _add_in(self, tx: Tx, gateway: Device, new: paras.NewChild) -> Device:
        wire_id = given(new.device_id, "") or f"{new.product_id}_{new.node_id}"
        if given(new.parent_device_id, "") not in ("", gateway.hardware_id):
            raise Invalid("parent_device_id: another gateway's")
        if DEVICE_ID.match(wire_id) is None or wire_id.startswith(KEYED):
            raise Invalid("device_id: not one")
        extension = _extension(new.extension_info)
        known = device_queries.device_of_hardware(tx, wire_id)
        if known is not None and known.unbound_at is not None and known.home_id == gateway.home_id:
            known = None  # it was reset, and joins again
        if known is not None:
            if known.gateway_id != gateway.id:
                raise DeviceIdTaken
            return known
        device = self._devices.bind_in(tx, BY_GATEWAY, _newcomer(gateway, wire_id, new))
        details = queries.Details(new.node_id, given(new.description, "")[:256], extension)
        queries.put_details(tx, device.id, details)
        queries.put_child(tx, gateway.id, wire_id, new.node_id, gone=False)
        return device

    def delete(self, spoken: Spoken, asked: paras.DeleteChildren) -> Act:
        """2.8.8: each by itself."""

        def act(tx: Tx) -> None:
            deleted: list[str] = []
            failed: list[paras.Reason] = []
            for wire_id in asked.devices:
                device = device_queries.device_of_hardware(tx, wire_id)
                if device is None or device.gateway_id != spoken.speaker.id:
                    failed.append(errors.of_device(wire_id, NotFound()))
                    continue
                if device.frozen_at is not None:
                    failed.append(errors.of_device(wire_id, DeviceFrozen()))
                    continue
                self._devices.remove_in(tx, BY_GATEWAY, device.id)
                deleted.append(wire_id)
            answer = paras.DeletedChildren(successful_devices=tuple(deleted), failed_devices=tuple(failed))
            self._answer_in(tx, spoken, "delete_sub_device_response", answer)

        return act

    def statuses(self, spoken: Spoken, asked: paras.UpdateStatuses) -> Act:
        """2.8.4."""
        well: list[paras.Status] = []
        failed: list[paras.Reason] = []
        now: list[Callable[[], None]] = []
        for each in asked.device_statuses:
            device = self._whose.child(spoken.speaker, each.device_id)
            if device is None:
                failed.append(errors.of_device(each.device_id, NotFound()))
            elif each.status not in (ONLINE, OFFLINE):
                failed.append(errors.of_device(each.device_id, Invalid()))
            elif self._devices.is_frozen(device.id):
                failed.append(errors.of_device(each.device_id, DeviceFrozen()))
            else:
                well.append(each)
                now.append(
                    partial(self._there, device)
                    if each.status == ONLINE
                    else partial(self._devices.offline, device.id, LINK)
                )
        answer = paras.StatusesUpdated(successful_devices=tuple(well), failed_devices=tuple(failed))

        def act(tx: Tx) -> None:
            for fn in now:
                tx.after(fn)
            self._answer_in(tx, spoken, "sub_device_update_status_response", answer)

        return act

    def _there(self, device: Device) -> None:
        is_new = not self._whose.is_there(device.id)
        self._devices.online(device.id, LINK)
        for told in self.on_there if is_new else ():
            told(device)

    def sync(self, spoken: Spoken, asked: paras.SyncChildren) -> Act:
        """2.8.3: all that is later than the version the gateway has, in order; every notice says how far it goes.

        A gateway that is ahead of the hub has another hub's list, or the hub an older backup's: it gets everything.
        """

        def act(tx: Tx) -> None:
            gateway = spoken.speaker
            has, now = given(asked.version, 0), queries.children_version(tx, gateway.id)
            rows = queries.children_after(tx, gateway.id, has if has <= now else 0)
            for kind, notice in self._notices(tx, gateway, rows):
                tx.after(partial(self._tell, gateway, kind, notice))

        return act

    # what gateways are told

    def _registered_in(self, tx: Tx, by: Caller, device: Device, new: NewRegistration) -> None:
        queries.put_details(tx, device.id, queries.Details(new.node_id))
        if device.gateway_id is None:
            return
        gateway = device_queries.device(tx, device.gateway_id)
        if gateway is not None and self._whose.speaks(gateway):
            version = queries.put_child(tx, gateway.id, device.hardware_id, new.node_id, gone=False)
            self._tell_in(tx, gateway, [queries.ChildRow(device.hardware_id, new.node_id, gone=False, version=version)])

    def _leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        if device.gateway_id is None or not self._whose.speaks(device):
            return
        gateway = device_queries.device(tx, device.gateway_id)
        if gateway is None:
            return
        node_id = queries.child_node(tx, gateway.id, device.hardware_id)
        version = queries.put_child(tx, gateway.id, device.hardware_id, node_id, gone=True)
        if by is not BY_GATEWAY:
            self._tell_in(tx, gateway, [queries.ChildRow(device.hardware_id, node_id, gone=True, version=version)])

    def _tell_in(self, tx: Tx, gateway: Device, rows: list[queries.ChildRow]) -> None:
        for kind, notice in self._notices(tx, gateway, rows):
            tx.after(partial(self._tell, gateway, kind, notice))

    def _tell(self, gateway: Device, kind: str, notice: paras.ChildrenAdded | paras.ChildrenDeleted) -> None:
        told = self._down.told(gateway, CHILDREN, kind, notice)
        if told and isinstance(notice, paras.ChildrenDeleted):
            # The protocol has no answer to it: of one that was reset, this is all that will be known.
            for child in notice.devices:
                self._devices.resets.delivered(child.device_id)

    def _notices(
        self, reader: Reader, gateway: Device, rows: Iterable[queries.ChildRow]
    ) -> Iterator[tuple[str, paras.ChildrenAdded | paras.ChildrenDeleted]]:
        for gone, group in groupby(rows, key=lambda row: row.gone):
            run = list(group)
            for begin in range(0, len(run), AT_ONCE):
                part = run[begin : begin + AT_ONCE]
                if gone:
                    left = tuple(_gone(gateway, row) for row in part)
                    yield "delete_sub_device_notify", paras.ChildrenDeleted(devices=left, version=part[-1].version)
                else:
                    here = tuple(self._known(reader, gateway, part))
                    yield "add_sub_device_notify", paras.ChildrenAdded(devices=here, version=part[-1].version)

    def _known(self, reader: Reader, gateway: Device, rows: list[queries.ChildRow]) -> Iterator[paras.Child]:
        for row in rows:
            device = device_queries.device_of_hardware(reader, row.child_id)
            if device is not None and device.gateway_id == gateway.id and device.unbound_at is None:
                yield self._shown(gateway, device, row.node_id, None, queries.details(reader, device.id))

    def _shown(
        self,
        gateway: Device,
        device: Device,
        node_id: str,
        new: paras.NewChild | None,
        details: queries.Details | None = None,
    ) -> paras.Child:
        live = self._devices.memory.get(device.id)
        status = INACTIVE if live is None or live.seen_at is None else ONLINE if live.online else OFFLINE
        extension = msgspec.Raw(details.extension.encode()) if details is not None else given_extension(new)
        return paras.Child(
            parent_device_id=gateway.hardware_id,
            node_id=node_id,
            device_id=device.hardware_id,
            name=device.name,
            description=details.description if details is not None else given(new.description, "") if new else None,
            manufacturer_id="Doorstep",
            model=device.product_id,
            product_id=device.product_id,
            fw_version=device.firmware or None,
            sw_version=(details.sw_version or None) if details is not None else None,
            status=status,
            extension_info=extension,
        )

    def _answer_in(self, tx: Tx, spoken: Spoken, kind: str, answer: msgspec.Struct) -> None:
        # An event that came without an id has been given one (2.8.4).
        event_id = spoken.event_id or tx.new_id()
        tx.after(partial(self._down.event, spoken.speaker, CHILDREN, kind, answer, event_id))


def given_extension(new: paras.NewChild | None) -> object:
    """As it was said; null where nothing was."""
    return None if new is None or new.extension_info is UNSET else new.extension_info


def _extension(said: object | UnsetType) -> str:
    text = "null" if said is UNSET else msgspec.json.encode(said).decode()
    if len(text) > paras.MAX_EXTENSION:
        raise Invalid("extension_info: more than 1 KB")
    return text


def _newcomer(gateway: Device, wire_id: str, new: paras.NewChild) -> NewDevice:
    name = "".join(letter for letter in given(new.name, "") if letter.isprintable())[:80]
    return NewDevice(
        home_id=gateway.home_id,
        hardware_id=wire_id,
        product_id=new.product_id,
        name=name,
        link=LINK,
        trust=TRUST,
        gateway_id=gateway.id,
        room_id=gateway.room_id,
    )


def _gone(gateway: Device, row: queries.ChildRow) -> paras.ChildGone:
    return paras.ChildGone(parent_device_id=gateway.hardware_id, node_id=row.node_id, device_id=row.child_id)
