"""The packages a hub has: put in by its owner, fetched by devices with a token that is theirs alone."""

import base64
import hmac
from collections.abc import AsyncIterator
from typing import Final

from msgspec.structs import replace

from app.caller import Caller, demand
from app.clock import to_time
from app.devices.product.catalogue import Catalogue
from app.errors import Invalid, NotFound, Unauthenticated
from app.links.iotda import package_queries as queries
from app.links.iotda.blobs import Blobs
from app.links.iotda.package_model import MAX_PACKAGE, Package, PackageKind, PackageView
from app.policy import Action, Resource
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Tx

# A device that was offered a package fetches it today, or is offered it again.
TOKEN_S: Final = 86_400


class Packages:
    """`put` and `remove` are the hub owner's; `fetch` whoever's token says so."""

    def __init__(self, store: Store, catalogue: Catalogue, blobs: Blobs) -> None:
        self._store = store
        self._catalogue = catalogue
        self._blobs = blobs

    async def put(
        self,
        by: Caller,
        chunks: AsyncIterator[bytes],
        *,
        product_id: str,
        kind: str,
        version: str,
        custom_info: str,
    ) -> PackageView:
        """Keep a package. Raises Refused, Invalid, TooLarge, TooMany."""
        demand(by.actor, Action.HUB_MANAGE, Resource(), self._store.clock.now())
        if self._catalogue.get(product_id) is None or kind not in tuple(PackageKind):
            raise Invalid("product_id, kind: a product of this hub, and firmware or software")
        if not 0 < len(version) <= 64 or not version.isprintable() or len(custom_info) > 4096:
            raise Invalid("version: 1 to 64 characters; custom_info: at most 4,096")
        blob = await self._blobs.take(chunks, MAX_PACKAGE)
        package = Package(
            blob.name, product_id, PackageKind(kind), version, blob.size, blob.sha256, custom_info, created_at=0
        )
        try:
            if not blob.size:
                raise Invalid("the body is the package: it is empty")
            return await self._store.write(lambda tx: self._put_in(tx, by, package))
        except BaseException:
            await self._blobs.drop(blob.name)
            raise

    def _put_in(self, tx: Tx, by: Caller, package: Package) -> PackageView:
        demand_room(tx, "iotda_packages")
        new = replace(package, created_at=tx.now)
        queries.insert_package(tx, new)
        account = by.actor.account_id
        data = {"product_id": new.product_id, "kind": new.kind, "version": new.version, "sha256": new.sha256}
        tx.record(by.actor, Change("package.added", "package", new.id, None, Action.SELF, data, account_id=account))
        return view(new)

    async def all(self, by: Caller) -> list[PackageView]:
        """Every package; raises Refused."""
        demand(by.actor, Action.HUB_MANAGE, Resource(), self._store.clock.now())
        return [view(each) for each in await self._store.read(queries.packages)]

    async def remove(self, by: Caller, package_id: str) -> None:
        """Upgrades with it end as if they had never been. Raises Refused, NotFound."""

        def act(tx: Tx) -> None:
            demand(by.actor, Action.HUB_MANAGE, Resource(), tx.moment)
            if not queries.delete_package(tx, package_id):
                raise NotFound
            account = by.actor.account_id
            tx.record(by.actor, Change("package.removed", "package", package_id, None, Action.SELF, account_id=account))

        await self._store.write(act, once=by.once, returns=type(None))
        await self._blobs.drop(package_id)

    # for devices

    def token(self, package_id: str, device_id: str, ends: int) -> str:
        """What a device fetches the package with until `ends` (ms)."""
        mac = self._store.vault.mac(f"iotda package\n{package_id}\n{device_id}\n{ends}".encode())
        return f"{device_id}.{ends}." + base64.urlsafe_b64encode(mac).decode().rstrip("=")

    async def fetch(self, package_id: str, token: str, begin: int) -> tuple[Package, AsyncIterator[bytes]]:
        """The package from the octet `begin` on; raises Unauthenticated, NotFound."""
        device_id, _, rest = token.partition(".")
        ends = rest.partition(".")[0]
        if not (token.isascii() and ends.isdigit() and len(ends) < 16):
            raise Unauthenticated
        right = hmac.compare_digest(token.encode(), self.token(package_id, device_id, int(ends)).encode())
        if not right or int(ends) <= self._store.clock.now().ms:
            raise Unauthenticated
        found = await self._store.read(lambda reader: queries.package(reader, package_id))
        if found is None or begin > found.size:
            raise NotFound
        return found, await self._blobs.read(package_id, begin)


def view(package: Package) -> PackageView:
    """As shown."""
    return PackageView(
        package.id,
        package.product_id,
        package.kind,
        package.version,
        package.size,
        package.sha256,
        package.custom_info,
        to_time(package.created_at),
    )
