"""The mesh method: a Bluetooth mesh device is heard, draws attention, and becomes a node of the home's network."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final, Protocol

from msgspec import Struct

from ble import errors as ble
from ble.adverts import MESH_PROVISIONING, Unprovisioned, kind_or_unknown
from ble.mesh import pb_gatt
from ble.mesh.admission import admit
from ble.mesh.client import MeshClient, NodeSilent, NoProxy
from ble.mesh.config.refused import ConfigRefused
from ble.mesh.configure import Configured, Setup, Unanswered, configure
from ble.mesh.procedures import carry_out
from ble.mesh.provisioning import errors as provisioning
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.oob import is_counted
from ble.mesh.provisioning.pdus import Method as Authentication
from ble.mesh.provisioning.provisioner import Provisioned, provision
from ble.mesh.provisioning.talk import Accept, Ask, Assign, Show
from ble.mesh.state import NoAddressLeft
from ble.radio import Advertisement, Radio
from pairing.errors import PairingError, PeerSilentError, ProofFailedError, WrongPinError
from pairing.gatt.failures import translated
from pairing.methods.ble import CONNECT_WITHIN
from pairing.methods.method import AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.on_air import LOST_AFTER, PATIENCE, search_air
from pairing.session.states import Candidate
from pairing.text import clean
from pairing.uncancelled import to_the_end

NAME: Final = "mesh"
ATTENTION_S: Final = 30
"""Seconds the device blinks: a person has to look at it, and say that it is the one."""
ID: Final = "mesh-"
"""What the id of an unprovisioned device begins with, and the hardware id of what it becomes; its UUID follows."""


class Home(Protocol):
    """A home's network while a device is let into it. Nobody else changes its nodes or its keys meanwhile."""

    @property
    def client(self) -> MeshClient: ...

    @property
    def setup(self) -> Setup:
        """What its nodes are given."""
        ...

    async def let_go(self, uuid: bytes) -> None:
        """The device with its keys is in no home after all: have it forget them. Returns once that is durable."""
        ...


class Networks(Protocol):
    """The networks of the homes."""

    def network(self, home: str) -> AbstractAsyncContextManager[Home]:
        """The home's, made where there is none yet. Raises MethodFailedError: mesh_busy."""
        ...


class JoinedNode(Struct, frozen=True, kw_only=True):
    """A node that is set up. `page` is its composition data page 0, `address` that of its first element.

    `trust`: "pin" where a secret of the device's took part, else "first-use": a person saw it blink.
    """

    device_id: str
    uuid: bytes
    address: int
    page: bytes
    name: str
    trust: str


class Mesh:
    """A `Method` over `radio`. Several devices come in each in its turn: the one that blinks is the one asked for."""

    name = NAME
    follows: Follows | None = None
    inputs: tuple[Input, ...] = (
        Input(name="oob", secret=True, optional=True),
        Input(name="identify", optional=True),
    )

    def __init__(
        self, networks: Networks, radio: Radio, *, patience: float = PATIENCE, lost_after: float = LOST_AFTER
    ) -> None:
        self._networks, self._radio = networks, radio
        self._patience, self._lost_after = patience, lost_after

    async def search(self, context: SearchContext) -> None:
        _static(context.secrets.get("oob"))
        await search_air(
            context,
            self._radio,
            wanted=lambda advertisement: MESH_PROVISIONING in advertisement.service_data,
            candidate_of=_candidate,
            patience=self._patience,
            lost_after=self._lost_after,
        )

    async def attempt(self, context: AttemptContext) -> None:
        uuid = bytes.fromhex(context.candidate.id.removeprefix(ID))
        async with self._networks.network(context.request.home) as home, _let_go_unless_joined(home, uuid):
            node = await self._provisioned(context, home, uuid)
            await context.note("mesh_configuring", address=f"{node.unicast:04x}")
            done = await _configured(home, node.unicast)
            await context.join(_joined(context, node, uuid, done))

    async def _provisioned(self, context: AttemptContext, home: Home, uuid: bytes) -> Provisioned:
        (address,) = context.candidate.addresses
        await context.note("connecting", address=clean(address))
        person = _Person(context, home, uuid)
        with _told(person):
            async with self._radio.connect(address, services=(pb_gatt.SERVICE,), timeout=CONNECT_WITHIN) as connection:
                talk = provision(
                    Choice(static=person.static, person=True),
                    entropy=secrets.token_bytes,
                    attention=ATTENTION_S,
                    identify=context.request.inputs.get("identify") != "no",
                )
                return await pb_gatt.pump(
                    talk,
                    connection,
                    on_assign=person.assign,
                    on_ask=person.ask,
                    on_accept=person.accept,
                    on_show=person.show,
                )


class _Person:
    """What a provisioning needs of the person, and of the home's network, through the session."""

    def __init__(self, context: AttemptContext, home: Home, uuid: bytes) -> None:
        self._context, self._home, self._uuid = context, home, uuid
        self.static = _static(context.secrets.get("oob"))
        self.asked = False

    async def accept(self, wanted: Accept) -> bool:
        await self._context.note("identify", seconds=str(wanted.seconds))
        return await self._context.confirm("")

    async def ask(self, wanted: Ask) -> str:
        how = "counted" if is_counted(wanted.action) else "shown"
        await self._context.note("code_at_device", how=how, action=wanted.action.name.lower(), size=str(wanted.size))
        self.asked = True
        return await self._context.pin()

    async def show(self, shown: Show) -> None:
        # For a device of the person's own, once: who reads it later can do nothing with it.
        await self._context.note("enter_at_device", action=shown.action.name.lower(), code=shown.value)

    async def assign(self, wanted: Assign) -> ProvisioningData:
        await self._context.note("mesh_handing_over", elements=str(wanted.elements))
        data = admit(self._home.client.state, self._uuid, wanted)
        await self._home.client.save()
        return data


@asynccontextmanager
async def _let_go_unless_joined(home: Home, uuid: bytes) -> AsyncIterator[None]:
    """However it ends: a node that no home has is told to forget its keys. The home knows whether it has it."""
    try:
        yield
    except BaseException:
        await to_the_end(home.let_go(uuid))
        raise


async def _configured(home: Home, unicast: int) -> Configured:
    with _told():
        done = await carry_out(configure(unicast, home.setup), home.client)
        node = home.client.state.nodes[unicast]
        node.composition, node.app_keys = done.page, [home.setup.keys.app]
        await home.client.save()
        return done


def _joined(context: AttemptContext, node: Provisioned, uuid: bytes, done: Configured) -> JoinedNode:
    row = context.candidate
    return JoinedNode(
        device_id=row.id,
        uuid=uuid,
        address=node.unicast,
        page=done.page,
        name=row.name,
        trust="first-use" if node.method == Authentication.NO_OOB else "pin",
    )


@contextmanager
def _told(person: _Person | None = None) -> Iterator[None]:
    """Raises PairingError for what provisioning and configuration raise."""
    with translated("mesh"):
        try:
            yield
        except provisioning.ConfirmationFailed as error:
            raise _wrong_code(person) from error
        except provisioning.RefusedByDevice as error:
            if error.octet == provisioning.ConfirmationFailed.octet:
                raise _wrong_code(person) from error
            raise MethodFailedError("device_refused", reason=str(error)) from error
        except ble.BleError as error:
            told = _cause(error)
            if told is None:
                raise
            raise told from error


def _cause(error: ble.BleError) -> PairingError | None:
    match error:
        case provisioning.NotAccepted():
            return MethodFailedError("other_device")
        case provisioning.NoCommonMethod():
            return MethodFailedError("mesh_code_needed")
        case provisioning.ProvisioningTimedOut() | NodeSilent() | Unanswered():
            return PeerSilentError(str(error), step="mesh")
        case ConfigRefused():
            return MethodFailedError("mesh_refused", reason=str(error))
        case NoProxy():
            return MethodFailedError("mesh_not_back")
        case NoAddressLeft():
            return MethodFailedError("mesh_full")
        case _ if isinstance(error, _DISHONEST):
            return MethodFailedError("mesh_dishonest", reason=error.code)
        case ble.Malformed() | provisioning.ProvisioningError():
            return MethodFailedError("malformed_message", reason=error.code)
        case _:
            return None


_DISHONEST = (
    provisioning.PublicKeyReflected,
    provisioning.PublicKeyInvalid,
    provisioning.ConfirmationReflected,
    provisioning.RandomReflected,
)


def _wrong_code(person: _Person | None) -> PairingError:
    """What the person read at the device is asked for again; a label's was given beforehand; else nobody had one."""
    if person is not None and person.asked:
        return WrongPinError(step="mesh")
    if person is not None and person.static is not None:
        return MethodFailedError("wrong_pop")
    return ProofFailedError(step="mesh")


def _static(given: str | None) -> bytes | None:
    if not given:
        return None
    try:
        value = bytes.fromhex(given)
    except ValueError:
        raise MethodFailedError("mesh_code_unfit") from None
    if len(value) not in (16, 32):
        raise MethodFailedError("mesh_code_unfit")
    return value


def _candidate(advertisement: Advertisement) -> Candidate | None:
    kind = kind_or_unknown(advertisement)
    if not isinstance(kind, Unprovisioned):
        return None
    return Candidate(
        id=candidate_id(kind.device_uuid),
        method=NAME,
        name=clean(advertisement.name),
        addresses=(advertisement.address,),
    )


def candidate_id(uuid: bytes) -> str:
    """What a session calls an unprovisioned device."""
    return f"{ID}{uuid.hex()}"
