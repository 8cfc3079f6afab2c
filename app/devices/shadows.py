"""The shadow: what devices reported, and what is wanted of them, per service with a version."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from app.caller import Caller, demand
from app.devices import queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import ServiceView
from app.devices.presence import Presence
from app.devices.product.catalogue import Catalogue
from app.devices.product.model import Service
from app.devices.product.values import Values, ValueUnfit, check_set, sort_report
from app.devices.shadow_state import Point, ServiceState
from app.errors import NotFound
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.policy import SYSTEM, Action, Actor
from app.store.retention import DAY_MS
from app.store.store import Store
from app.store.tx import Reader, Tx

# A device without a set clock says 1970; one that was offline tells of the days it missed.
MAX_REPORT_AGE_MS = 7 * DAY_MS
# Of what does not fit, so much is noted: enough to recognise the mistake.
NOTED_CHARACTERS = 200
# A device that says much that does not fit says it in every report.
NOTED_UNFIT = 8
# So long a wish is one, unless somebody says otherwise; and at most.
VALID_S = 24 * 3600.0
MAX_VALID_S = 7 * 24 * 3600.0
# Told within the transaction that has new values of a device's service.
OnReported = Callable[[Tx, str, str], None]
_text = msgspec.json.Encoder().encode


class OnDesired(Protocol):
    """Told within the transaction that wants values of a device; control makes a command of it."""

    def __call__(
        self,
        tx: Tx,
        by: Caller,
        device_id: str,
        service: str,
        wanted: Mapping[str, Any],
        *,
        valid_for: float,
        command_id: str | None = None,
    ) -> None:
        """None as a value: no longer. `valid_for` is in seconds; `command_id` is what another node calls the wish."""


class Shadows:
    """Reports in, wishes in, both out."""

    def __init__(
        self,
        store: Store,
        *,
        memory: Memory,
        access: Access,
        catalogue: Catalogue,
        journal: Journal,
        presence: Presence,
    ) -> None:
        self._store = store
        self._memory = memory
        self._access = access
        self._catalogue = catalogue
        self._journal = journal
        self._presence = presence
        self.on_desired: list[OnDesired] = []
        self.on_reported: list[OnReported] = []
        # Whatever of a service has changed, reported or desired.
        self.on_changed: list[OnReported] = []

    async def reported(
        self, device_id: str, service: str, values: Mapping[str, Any], at: int | None = None
    ) -> int | None:
        """What a device says it is; returns the service's version once it is on disk, None when nothing of it fits.

        `at` is the device's own time (ms), taken if it is plausible: what is older than what the shadow has goes into
        the journal alone. What does not fit the product model is kept out of the shadow and noted in the journal; of a
        frozen device nothing is taken. Raises NotFound for a device that is not here (any more).
        """
        return await self._store.write(lambda tx: self.reported_in(tx, device_id, service, values, at))

    def reported_in(
        self, tx: Tx, device_id: str, service: str, values: Mapping[str, Any], at: int | None = None
    ) -> int | None:
        """`reported` inside `tx`."""
        device = queries.device(tx, device_id)
        if device is None or device.unbound_at is not None:
            raise NotFound
        if device.frozen_at is not None:
            return None
        model = self._service(device.product_id, service)
        fitting, unfit = ({}, {service: "not a service"}) if model is None else sort_report(model, values)
        when = at if at is not None and tx.now - MAX_REPORT_AGE_MS <= at <= tx.now else tx.now
        entry = Entry(device_id, device.home_id, when, Kind.REPORT)
        self._journal.write_in(tx, [*_fitting(entry, fitting), *_unfit(entry, unfit, values)])
        if not fitting:
            tx.after(lambda: self._presence.seen(device_id))
            return None
        if when < tx.now:
            newer = queries.reported_after(tx, device_id, service, when)
            fitting = {name: value for name, value in fitting.items() if name not in newer}
            if not fitting:
                tx.after(lambda: self._presence.seen(device_id))
                return queries.shadow_version(tx, device_id, service)
        version = self._store_reported(tx, device_id, service, fitting, when)
        data = {"service": service, "values": fitting, "version": version}
        tx.record(SYSTEM, change("device.reported", device, data, audit=False))
        for told in self.on_reported:
            told(tx, device_id, service)
        return version

    def _store_reported(self, tx: Tx, device_id: str, service: str, values: Values, at: int) -> int:
        points = {name: Point(_text(value).decode(), at) for name, value in values.items()}
        version = queries.put_reported(tx, device_id, service, [(n, p.value) for n, p in points.items()], at)
        for told in self.on_changed:
            told(tx, device_id, service)

        def show() -> None:
            self._presence.seen(device_id)
            if (live := self._memory.get(device_id)) is not None:
                live.reported(service, version, points)

        tx.after(show)
        return version

    def _service(self, product_id: str, service: str) -> Service | None:
        product = self._catalogue.get(product_id)
        return None if product is None else product.service(service)

    async def desire(
        self, by: Caller, device_id: str, service: str, values: Mapping[str, Any], *, valid_for: float = VALID_S
    ) -> ServiceView:
        """Want values of a device (null: no longer), to be set as soon as it is there, for `valid_for` seconds.

        A wish that is not met by then is none any more: it leaves the shadow, and its command expires.
        Raises NotFound, Refused, ValueUnfit, VersionMismatch (If-Match is the service's version), DeviceFrozen, and
        TooMany when as much as may be waits for the device already.
        """
        return await self._store.write(
            lambda tx: self.desire_in(tx, by, device_id, service, values, valid_for=valid_for),
            once=by.once,
            returns=ServiceView,
        )

    def desire_in(
        self,
        tx: Tx,
        by: Caller,
        device_id: str,
        service: str,
        values: Mapping[str, Any],
        *,
        valid_for: float = VALID_S,
        command_id: str | None = None,
    ) -> ServiceView:
        """`desire` inside `tx`; `command_id` is what another node calls the wish."""
        demand(by.actor, Action.DEVICE_CONTROL, self._access.device_in(tx, by.actor, device_id), tx.moment)
        device = queries.device(tx, device_id)
        model = None if device is None else self._service(device.product_id, service)
        if device is None or model is None:
            raise NotFound
        by.match(queries.shadow_version(tx, device_id, service))
        self._memory.demand_unfrozen_in(tx, device_id)
        dropped = [name for name, value in values.items() if value is None]
        wanted = {name: value for name, value in values.items() if value is not None}
        fitting = check_set(model, wanted) if wanted or not dropped else {}
        for name in dropped:
            if model.property(name) is None:
                raise ValueUnfit(f"{service} has no property {name!r}")
        self._store_desired(tx, device_id, service, fitting, dropped)
        data: dict[str, Any] = {"service": service, "values": {**fitting, **dict.fromkeys(dropped)}}
        tx.record(by.actor, change("device.desired", device, data))
        for told in self.on_desired:
            told(tx, by, device_id, service, data["values"], valid_for=valid_for, command_id=command_id)
        return queries.service_state(tx, device_id, service).view()

    def state_in(self, reader: Reader, device_id: str, service: str) -> ServiceState:
        """One service as it is on disk."""
        return queries.service_state(reader, device_id, service)

    def unmet_in(self, tx: Tx, device_id: str, service: str, values: Mapping[str, Any], asked_at: int) -> None:
        """What was wanted at `asked_at` (ms), and not of late, is no wish any more: its time is over."""
        device = queries.device(tx, device_id)
        desired = queries.service_state(tx, device_id, service).desired
        over = [name for name, value in values.items() if _is_that(desired.get(name), value, asked_at)]
        if device is None or not over:
            return
        self._store_desired(tx, device_id, service, {}, over)
        data = {"service": service, "values": dict.fromkeys(over), "why": "expired"}
        tx.record(SYSTEM, change("device.desired", device, data))

    def _store_desired(self, tx: Tx, device_id: str, service: str, values: Values, dropped: list[str]) -> None:
        points: dict[str, Point | None] = {n: Point(_text(v).decode(), tx.now) for n, v in values.items()}
        points |= dict.fromkeys(dropped)
        rows = [(name, None if point is None else point.value) for name, point in points.items()]
        version = queries.put_desired(tx, device_id, service, rows)
        for told in self.on_changed:
            told(tx, device_id, service)

        def show() -> None:
            if (live := self._memory.get(device_id)) is not None:
                live.desired(service, version, points)

        tx.after(show)

    def service(self, actor: Actor, device_id: str, service: str) -> ServiceView:
        """One service as it is; raises NotFound, Refused."""
        demand(actor, Action.DEVICE_READ, self._access.device(actor, device_id), self._store.clock.now())
        live = self._memory.get(device_id)
        if live is None or self._service(live.device.product_id, service) is None:
            raise NotFound
        state = live.services.get(service)
        return ServiceView() if state is None else state.view()


def _is_that(point: Point | None, value: object, asked_at: int) -> bool:
    return point is not None and point.at <= asked_at and point.decoded == value


def _fitting(entry: Entry, values: Values) -> Iterator[Entry]:
    for name, value in values.items():
        yield replace(entry, code=name, value=_text(value).decode())


def _unfit(entry: Entry, unfit: dict[str, str], said: Mapping[str, Any]) -> Iterator[Entry]:
    for name, why in islice(unfit.items(), NOTED_UNFIT):
        facts = {"why": why, "value": str(said.get(name))[:NOTED_CHARACTERS]}
        yield replace(entry, type=Kind.UNFIT, code=name, value=_text(facts).decode())
