"""Upgrades of devices (2.9): asked which version they have, told of a package, followed until they run it."""

from functools import partial

from msgspec.structs import replace

from app.caller import Caller, demand
from app.clock import to_time
from app.devices import queries as device_queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.model import Device, DeviceFrozen
from app.errors import NotFound
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.links.iotda import package_queries as queries
from app.links.iotda.address import Address
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.events import OTA
from app.links.iotda.codec.fields import encode, given
from app.links.iotda.downwards import Downwards
from app.links.iotda.package_model import (
    Package,
    PackageKind,
    PackageUnfit,
    Upgrade,
    UpgradeOpen,
    UpgradeState,
    UpgradeView,
)
from app.links.iotda.packages import TOKEN_S, Packages
from app.links.iotda.speaking import Act, Handlers, Spoken
from app.links.iotda.telling import Telling
from app.policy import SYSTEM, Action, Actor
from app.store.store import Store
from app.store.tx import Reader, Tx

URL = "/iotda/packages/"


class Upgrades:
    """An open upgrade is taken up at each connection of its device."""

    def __init__(
        self,
        store: Store,
        access: Access,
        journal: Journal,
        *,
        packages: Packages,
        telling: Telling,
        down: Downwards,
        address: Address,
    ) -> None:
        self._store = store
        self._access = access
        self._journal = journal
        self._packages = packages
        self._telling = telling
        self._down = down
        self._address = address

    def handlers(self) -> Handlers:
        """By (service, event type)."""
        return {(OTA, "version_report"): self.version, (OTA, "upgrade_progress_report"): self.progress}

    async def offer(self, by: Caller, device_id: str, package_id: str) -> UpgradeView:
        """Have a device take a package, now or when it next connects.

        Raises NotFound, Refused, PackageUnfit, UpgradeOpen (one upgrade per device at a time, 005000).
        """
        return await self._store.write(
            lambda tx: self._offer_in(tx, by, device_id, package_id), once=by.once, returns=UpgradeView
        )

    def _offer_in(self, tx: Tx, by: Caller, device_id: str, package_id: str) -> UpgradeView:
        demand(by.actor, Action.DEVICE_UPDATE, self._access.device_in(tx, by.actor, device_id), tx.moment)
        device, package = device_queries.device(tx, device_id), queries.package(tx, package_id)
        if device is None or package is None:
            raise NotFound
        if package.product_id != device.product_id:
            raise PackageUnfit
        if device_queries.is_frozen(tx, device_id):
            raise DeviceFrozen
        if any(not each.state.ended for each in queries.upgrades(tx, device_id)):
            raise UpgradeOpen
        new = Upgrade(device_id, package.kind, package_id, UpgradeState.OFFERED, 0, None, "", tx.now, tx.now)
        self._put_in(tx, by.actor, device, new, package)
        tx.after(partial(self._ask, device))
        return _view(new, package)

    async def of_device(self, by: Caller, device_id: str) -> list[UpgradeView]:
        """The newest of each kind; raises NotFound, Refused."""
        demand(by.actor, Action.DEVICE_READ, self._access.device(by.actor, device_id), self._store.clock.now())

        def ask(reader: Reader) -> list[UpgradeView]:
            found = [(each, queries.package(reader, each.package_id)) for each in queries.upgrades(reader, device_id)]
            return [_view(each, package) for each, package in found if package is not None]

        return await self._store.read(ask)

    def connected_in(self, tx: Tx, device: Device) -> None:
        """Take up what is open."""
        if any(not each.state.ended for each in queries.upgrades(tx, device.id)):
            tx.after(partial(self._ask, device))

    # what devices say

    def version(self, spoken: Spoken, said: paras.Versions) -> Act:
        """2.9.2: the upgrade has succeeded, or the package is told of."""
        versions = {
            PackageKind.FIRMWARE: given(said.fw_version, ""),
            PackageKind.SOFTWARE: given(said.sw_version, ""),
        }
        kept = self._telling.versions(spoken.device, versions[PackageKind.FIRMWARE], versions[PackageKind.SOFTWARE])

        def act(tx: Tx) -> None:
            kept(tx)
            open_ = self._open(tx, spoken.device)
            if open_ is None:
                return
            upgrade, package = open_
            if versions[upgrade.kind] == package.version:
                self._move_in(tx, spoken.device, open_, UpgradeState.SUCCEEDED, progress=100, result_code=0)
            else:
                tell = partial(self._tell, spoken.device, package)
                tx.after(partial(self._address.once_known, (OTA, spoken.device.id), tell))

        return act

    def progress(self, spoken: Spoken, said: paras.UpgradeProgress) -> Act:
        """2.9.4. It has succeeded once the device says that it runs the package's version, and is done."""

        def act(tx: Tx) -> None:
            open_ = self._open(tx, spoken.device)
            if open_ is None:
                return
            upgrade, package = open_
            progress = given(said.progress, upgrade.progress)
            state = UpgradeState.RUNNING
            if said.result_code != 0:
                state = UpgradeState.FAILED
            elif given(said.version, "") == package.version and given(said.progress, 100) == 100:
                state, progress = UpgradeState.SUCCEEDED, 100
            text = given(said.description, "")[:256]
            self._move_in(
                tx, spoken.device, open_, state, progress=progress, result_code=said.result_code, description=text
            )

        return act

    def _open(self, reader: Reader, device: Device) -> tuple[Upgrade, Package] | None:
        for each in queries.upgrades(reader, device.id):
            if not each.state.ended and (package := queries.package(reader, each.package_id)) is not None:
                return each, package
        return None

    def _move_in(
        self,
        tx: Tx,
        device: Device,
        open_: tuple[Upgrade, Package],
        state: UpgradeState,
        *,
        progress: int,
        result_code: int,
        description: str = "",
    ) -> None:
        upgrade, package = open_
        new = replace(
            upgrade,
            state=state,
            progress=progress,
            result_code=result_code,
            description=description or upgrade.description,
            updated_at=tx.now,
        )
        self._put_in(tx, SYSTEM, device, new, package)

    def _put_in(self, tx: Tx, actor: Actor, device: Device, new: Upgrade, package: Package) -> None:
        queries.put_upgrade(tx, new)
        shown = _view(new, package)
        tx.record(actor, change("device.upgrade", device, shown))
        if new.state.ended or new.state is UpgradeState.OFFERED:
            value = encode(shown).decode()
            source = actor.account_id or "device"
            self._journal.write_in(
                tx, [Entry(device.id, device.home_id, tx.now, Kind.UPGRADE, new.kind, value, source)]
            )

    # what devices are told

    def _ask(self, device: Device) -> None:
        self._down.event(device, OTA, "version_query", paras.Nothing())

    def _tell(self, device: Device, package: Package) -> None:
        ends = self._store.clock.now().ms + TOKEN_S * 1000
        told = paras.Upgrade(
            version=package.version,
            url=f"{self._address.url}{URL}{package.id}",
            file_size=package.size,
            access_token=self._packages.token(package.id, device.id, ends),
            expires=TOKEN_S,
            sign=package.sha256,
            custom_info=package.custom_info,
        )
        self._down.event(device, OTA, f"{package.kind}_upgrade", told)


def _view(upgrade: Upgrade, package: Package) -> UpgradeView:
    code = upgrade.result_code
    return UpgradeView(
        upgrade.kind,
        upgrade.package_id,
        package.version,
        upgrade.state,
        upgrade.progress,
        None if code is None else paras.UPGRADE_RESULTS.get(code, f"result_code_{code}"),
        upgrade.description,
        to_time(upgrade.offered_at),
        to_time(upgrade.updated_at),
    )
