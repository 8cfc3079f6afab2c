"""Enrolling as the hub sees it: its owner tells it a code, and it waits to be confirmed at the cloud."""

import asyncio
import contextlib
import random
import secrets
from typing import Final

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from app.caller import Caller, demand
from app.clock import Time, to_time
from app.errors import Conflict, DoorstepError, NotFound
from app.policy import SYSTEM, Action, Actor, Resource
from app.store.hub import Hub, read_hub
from app.store.store import Store
from app.store.tx import Tx
from app.sync.enrolment import wire
from app.sync.enrolment.connecting import CloudRefused, Connector, decoded
from app.sync.enrolment.door import CloudDoor
from app.sync.enrolment.joined import KEY_ROW, SEAL_ROW, SECRET_ROW, Cloud, CloudState, JoinedCloud
from app.sync.enrolment.link import Invited, read_link
from app.sync.enrolment.model import NONCE_BYTES, EnrolmentCodeUnknown, IsACloud

LEAVING_S: Final = 5.0
_ENDS: Final = {"confirmed": CloudState.ENROLLED, "refused": CloudState.REFUSED, "expired": CloudState.REFUSED}
_log = structlog.get_logger("doorstep.cloud")


class CloudJoined(Conflict):
    """This hub is enrolled with a cloud."""

    code = "cloud_joined"
    hint = "Leave that first: `doorstep cloud leave`."


class CloudView(Struct, frozen=True):
    """How this hub stands with a cloud; `state` "none" and nulls: it has none.

    `number` is to be compared with the one the cloud shows. `connected`: a connection stands now. `contact_at`: when
    it last answered, since the hub was started.
    """

    state: str
    id: str | None = None
    name: str | None = None
    url: str | None = None
    number: str | None = None
    since: Time | None = None
    connected: bool = False
    contact_at: Time | None = None


class _Keys(Struct, frozen=True):
    """Made for one enrolment."""

    key: Ed25519PrivateKey
    seal: X25519PrivateKey


class HubEnd:
    """The cloud of this hub, as its owner asks for it. Pauses (s) between two looks whether it was confirmed."""

    def __init__(
        self, store: Store, joined: JoinedCloud, connector: Connector, door: CloudDoor, *, is_cloud: bool
    ) -> None:
        self._store = store
        self._joined = joined
        self._connector = connector
        self._door = door
        self._is_cloud = is_cloud
        self.pauses = (1.0, 30.0)
        self._waiting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on waiting for what was asked before a restart; the store must be loaded."""
        self._joined.on_changed.append(lambda old, new: self._wait())
        self._wait()

    async def stop(self) -> None:
        """Wait no more."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])

    def show(self, actor: Actor) -> CloudView:
        """How it stands; its owner's to see."""
        demand(actor, Action.HUB_MANAGE, Resource(), self._store.clock.now())
        return self._view(self._joined.current)

    async def join(self, by: Caller, text: str) -> CloudView:
        """Ask the cloud that `text` names to take this hub in; its owner's to do.

        Raises Invalid, IsACloud, CloudJoined, CloudUnreachable, CloudRefused.
        """
        demand(by.actor, Action.HUB_MANAGE, Resource(), self._store.clock.now())
        if self._is_cloud:
            raise IsACloud
        if (known := await self._store.answered(by.once, CloudView)) is not None:
            return known.answer
        invited = read_link(text)
        if self._joined.enrolled is not None:
            raise CloudJoined
        hub = await self._store.read(read_hub)
        keys = await asyncio.to_thread(_new_keys)
        said = _introduction(hub, keys, invited)
        asked = await self._introduce(invited, said)
        return await self._store.write(
            lambda tx: self._join_in(tx, by, keys, _asked(invited, said, asked), asked.secret),
            once=by.once,
            returns=CloudView,
        )

    async def _introduce(self, invited: Invited, said: wire.Enrol) -> wire.Asked:
        async with await self._connector.open(invited.url, invited.pin) as line:
            answer = await line.post("/sync/enrol", wire.encode(said))
        return decoded(answer, wire.Asked)

    def _join_in(self, tx: Tx, by: Caller, keys: _Keys, cloud: Cloud, secret: str) -> CloudView:
        demand(by.actor, Action.HUB_MANAGE, Resource(), tx.moment)
        former = self._joined.current_in(tx)
        if former is not None and former.state is CloudState.ENROLLED:
            raise CloudJoined
        vault, cloud = self._store.vault, msgspec.structs.replace(cloud, enrolled_at=tx.now)
        vault.keep(tx, KEY_ROW, keys.key.private_bytes_raw())
        vault.keep(tx, SEAL_ROW, keys.seal.private_bytes_raw())
        vault.keep(tx, SECRET_ROW, secret.encode())
        self._joined.keep_in(tx, by.actor, cloud)
        return self._view(cloud)

    async def leave(self, by: Caller) -> None:
        """Have no cloud any more; its owner's to do. The cloud is told, if it answers. Raises NotFound."""
        demand(by.actor, Action.HUB_MANAGE, Resource(), self._store.clock.now())
        if await self._store.answered(by.once, type(None)) is not None:
            return
        if self._joined.current is None:
            raise NotFound
        if self._joined.enrolled is not None:
            with contextlib.suppress(DoorstepError, TimeoutError):
                async with asyncio.timeout(LEAVING_S):
                    await self._door.post("/sync/leave", b"")
        await self._store.write(lambda tx: self._leave_in(tx, by), once=by.once, returns=type(None))

    def _leave_in(self, tx: Tx, by: Caller) -> None:
        demand(by.actor, Action.HUB_MANAGE, Resource(), tx.moment)
        cloud = self._joined.current_in(tx)
        if cloud is None:
            raise NotFound
        self._joined.drop_in(tx, by.actor, cloud)

    # waiting to be confirmed

    def _wait(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        cloud = self._joined.current
        if cloud is None or cloud.state is not CloudState.ASKED:
            return
        self._waiting = asyncio.create_task(self._until_settled(cloud), name="cloud-enrolment")

    async def _until_settled(self, cloud: Cloud) -> None:
        pause, longest = self.pauses
        while True:
            try:
                state = await self._ask(cloud)
                if state is not None:
                    await self._store.write(lambda tx, state=state: self._settle_in(tx, cloud, state))  # type: ignore[misc]
                    return
            except DoorstepError as error:  # out of reach, or of its mind, or our disk is full: it may pass
                _log.debug("whether the cloud takes this hub in is not known yet", code=error.code)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads, hides nothing
            pause = min(pause * 1.5, longest)

    async def _ask(self, cloud: Cloud) -> CloudState | None:
        """What became of it, None while nothing has."""
        secret = await self._store.read(lambda reader: self._store.vault.fetch(reader, SECRET_ROW))
        asking = wire.AskState(cloud.enrolment_id or "", (secret or b"-").decode())
        try:
            async with await self._connector.open(cloud.url, cloud.pin) as line:
                answer = decoded(await line.post("/sync/enrol/state", wire.encode(asking)), wire.State)
        except CloudRefused as error:
            if error.code == EnrolmentCodeUnknown.code:
                return CloudState.REFUSED
            raise
        return _ENDS.get(answer.state)

    def _settle_in(self, tx: Tx, asked: Cloud, state: CloudState) -> None:
        cloud = self._joined.current_in(tx)
        if cloud is None or cloud.enrolment_id != asked.enrolment_id:
            return  # another code has been told meanwhile, or it was left
        if state is CloudState.ENROLLED:
            self._store.vault.forget(tx, SECRET_ROW)
            self._joined.keep_in(
                tx, SYSTEM, msgspec.structs.replace(cloud, state=state, enrolment_id=None, enrolled_at=tx.now)
            )
        else:
            self._joined.end_in(tx, SYSTEM, state)

    def _view(self, cloud: Cloud | None) -> CloudView:
        if cloud is None:
            return CloudView("none")
        return CloudView(
            cloud.state.value,
            cloud.id,
            cloud.name,
            cloud.url,
            cloud.number,
            to_time(cloud.enrolled_at),
            self._door.open_sockets > 0,
            self._door.contact_at,
        )


def _new_keys() -> _Keys:
    return _Keys(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())


def _introduction(hub: Hub, keys: _Keys, invited: Invited) -> wire.Enrol:
    return wire.Enrol(
        invited.code,
        hub.hub_id or "",
        hub.name,
        keys.key.public_key().public_bytes_raw(),
        keys.seal.public_key().public_bytes_raw(),
        hub.node_id,
        hub.incarnation,
        secrets.token_bytes(NONCE_BYTES),
    )


def _asked(invited: Invited, said: wire.Enrol, asked: wire.Asked) -> Cloud:
    """The cloud that was asked."""
    number = wire.short_number(asked.cloud_id, said, asked.nonce)
    return Cloud(
        asked.cloud_id, invited.url, invited.pin, asked.cloud_name, CloudState.ASKED, asked.enrolment, number, 0
    )
