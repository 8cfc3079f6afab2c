"""Remote configuration (2.14) and log collection (2.13.1): what the hub wants of a device until it has it."""

from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from app.caller import Caller, demand
from app.clock import Time, to_ms, to_time
from app.devices import queries as device_queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.model import Device, DeviceFrozen
from app.errors import Invalid, NotFound
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.events import CONFIG, LOG
from app.links.iotda.codec.fields import encode, given
from app.links.iotda.codec.times import event_time
from app.links.iotda.downwards import Downwards
from app.links.iotda.speaking import Act, Handlers, Spoken
from app.policy import Action
from app.store.retention import DAY_MS
from app.store.store import Store
from app.store.tx import Reader, Tx

MAX_CONFIG: Final = 32 * 1024
# Sent again so often until it is answered (2.14.2).
AGAIN_MS: Final = DAY_MS
_ROW = "SELECT content,until,sent_at,result_code,description,answered_at FROM iotda_configs WHERE device_id=?"


class NewConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the device is to be configured with, and for how many days it is tried."""

    content: dict[str, Any]
    days: Annotated[int, Meta(ge=1, le=30)] = 30


class ConfigView(Struct, frozen=True):
    """The newest configuration. `result_code` is the device's, 0 for success; null until it answers."""

    content: dict[str, Any]
    until: Time
    sent_at: Time | None = None
    result_code: int | None = None
    description: str = ""
    answered_at: Time | None = None


class LogCollection(Struct, frozen=True, forbid_unknown_fields=True):
    """Until when the device is to send its log; null: not any more."""

    until: Time | None


class Configs:
    """Open ones go out when they are set, at each connection of their device, and a day after they last did."""

    def __init__(self, store: Store, access: Access, journal: Journal, down: Downwards) -> None:
        self._store = store
        self._access = access
        self._journal = journal
        self._down = down

    def handlers(self) -> Handlers:
        """By (service, event type)."""
        return {(CONFIG, "config_update_response"): self.result}

    def start_housekeeping(self) -> None:
        """Begin to send again what is not answered."""
        self._store.housekeeping.register("iotda_configs", self._again)

    async def put(self, by: Caller, device_id: str, new: NewConfig) -> ConfigView:
        """Configure a device. Raises NotFound, Refused, Invalid."""
        return await self._store.write(
            lambda tx: self._put_in(tx, by, device_id, new), once=by.once, returns=ConfigView
        )

    def _put_in(self, tx: Tx, by: Caller, device_id: str, new: NewConfig) -> ConfigView:
        device = self._device_in(tx, by, device_id)
        content = msgspec.json.encode(new.content).decode()
        if len(content) > MAX_CONFIG:
            raise Invalid(f"content: at most {MAX_CONFIG} octets")
        until = tx.now + new.days * DAY_MS
        sql = "INSERT OR REPLACE INTO iotda_configs(device_id,content,until) VALUES(?,?,?)"
        tx.run(sql, (device_id, content, until))
        self._record(tx, by, device, "device.config", {"content": new.content})
        self._send_in(tx, device)
        return ConfigView(new.content, to_time(until))

    async def get(self, by: Caller, device_id: str) -> ConfigView | None:
        """The newest; raises NotFound, Refused."""
        demand(by.actor, Action.DEVICE_JOURNAL, self._access.device(by.actor, device_id), self._store.clock.now())
        row = await self._store.read(lambda reader: reader.one(_ROW, (device_id,)))
        if row is None:
            return None
        content, until, sent_at, code, description, answered_at = row
        return ConfigView(
            msgspec.json.decode(content),
            to_time(until),
            None if sent_at is None else to_time(sent_at),
            code,
            description,
            None if answered_at is None else to_time(answered_at),
        )

    async def collect_logs(self, by: Caller, device_id: str, wanted: LogCollection) -> LogCollection:
        """Have a device send its log. Raises NotFound, Refused."""

        def act(tx: Tx) -> LogCollection:
            device = self._device_in(tx, by, device_id)
            until = tx.now if wanted.until is None else to_ms(wanted.until)
            tx.run("INSERT OR REPLACE INTO iotda_logging(device_id,until) VALUES(?,?)", (device_id, until))
            self._record(tx, by, device, "device.log_collection", {"until": wanted.until})
            self._switch_in(tx, device, until)
            return wanted

        return await self._store.write(act, once=by.once, returns=LogCollection)

    def connected_in(self, tx: Tx, device: Device) -> None:
        """Send what is open."""
        if _open(tx, device.id) is not None:
            self._send_in(tx, device)
        row = tx.one("SELECT until FROM iotda_logging WHERE device_id=?", (device.id,))
        if row is not None:
            self._switch_in(tx, device, row[0])
            if row[0] <= tx.now:
                tx.run("DELETE FROM iotda_logging WHERE device_id=?", (device.id,))

    def result(self, spoken: Spoken, said: paras.ConfigResult) -> Act:
        """2.14.2."""
        device, text = spoken.device, given(said.description, "")[:256]

        def act(tx: Tx) -> None:
            sql = (
                "UPDATE iotda_configs SET result_code=?, description=?, answered_at=?"
                " WHERE device_id=? AND answered_at IS NULL"
            )
            if tx.run(sql, (said.result_code, text, tx.now, device.id)):
                value = encode({"result_code": said.result_code, "description": text}).decode()
                self._journal.write_in(tx, [Entry(device.id, device.home_id, tx.now, Kind.CONFIG, value=value)])

        return act

    def _again(self, tx: Tx) -> int:
        """A sweep that removes nothing."""
        sql = "SELECT device_id FROM iotda_configs WHERE answered_at IS NULL AND until>? AND sent_at<=? LIMIT 100"
        for (device_id,) in tx.all(sql, (tx.now, tx.now - AGAIN_MS)):
            if (device := device_queries.device(tx, device_id)) is not None:
                self._send_in(tx, device)
        return 0

    def _send_in(self, tx: Tx, device: Device) -> None:
        content = _open(tx, device.id)
        tx.run("UPDATE iotda_configs SET sent_at=? WHERE device_id=?", (tx.now, device.id))
        told = paras.Config(config_content=msgspec.json.decode(content or "{}"))
        tx.after(partial(self._down.event, device, CONFIG, "config_update", told))

    def _switch_in(self, tx: Tx, device: Device, until: int) -> None:
        on = until > tx.now
        told = paras.LogConfig(switch="on" if on else "off", end_time=event_time(until))
        tx.after(partial(self._down.event, device, LOG, "log_config", told))

    def _device_in(self, tx: Tx, by: Caller, device_id: str) -> Device:
        demand(by.actor, Action.DEVICE_UPDATE, self._access.device_in(tx, by.actor, device_id), tx.moment)
        if (device := device_queries.device(tx, device_id)) is None:
            raise NotFound
        if device_queries.is_frozen(tx, device_id):
            raise DeviceFrozen
        return device

    def _record(self, tx: Tx, by: Caller, device: Device, kind: str, data: dict[str, Any]) -> None:
        tx.record(by.actor, change(kind, device, data, Action.DEVICE_JOURNAL))


def _open(reader: Reader, device_id: str) -> str | None:
    """What a device is still to be configured with, as JSON."""
    row = reader.one(_ROW, (device_id,))
    return None if row is None or row[5] is not None else str(row[0])
