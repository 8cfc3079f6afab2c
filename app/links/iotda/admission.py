"""Who may connect over MQTT, and which topics are theirs: `app.links.mqtt.ports.Admission` by IoTDA's rules (2.4).

Nobody learns from a refusal, or from how long it took, whether a device exists, is frozen or has a certificate: only
who shows the right secret is told more than "wrong".
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from msgspec import Struct

from app.accounts.attempts import Allowance, Attempts, peer_of
from app.accounts.model import TooManyAttempts
from app.clock import Clock
from app.devices.credential_model import Credential, Kind
from app.devices.model import Device
from app.devices.reset_model import Departing, Reset
from app.devices.service import Devices
from app.links.iotda.codec import topics
from app.links.iotda.codec.errors import MalformedError, TopicUnknownError
from app.links.iotda.codec.signing import ClientId, in_time, parse_client_id, proves
from app.links.mqtt.errors import NotAdmitted, Reason
from app.links.mqtt.ports import Offered, Principal

# A device that has its secret is right the first time. One address may be a house full of them behind a router.
PER_DEVICE: Final = Allowance(10, 60)
PER_ADDRESS: Final = Allowance(60, 60)
# Compared with where there is nothing to compare with.
_NOBODYS: Final = (b"a secret of nobody's at all", b"and a second one of theirs")
_log = structlog.get_logger("doorstep.iotda")


class Departed(Struct, frozen=True):
    """`Principal.facts` of a device that was reset: what it calls itself, and its reset."""

    wire_id: str
    reset_id: str

    def __str__(self) -> str:
        return self.wire_id


def principal_of(reset: Reset) -> Principal:
    """Of a device that was reset. It is none of the devices there are: whatever it says as one is nobody's."""
    return Principal(f"reset/{reset.id}", session=reset.hardware_id, facts=Departed(reset.hardware_id, reset.id))


class Proving:
    """Whether somebody is the device they say they are; for MQTT and HTTPS alike.

    `is_frozen` says of a device (by its id) that it is known and kept out.
    """

    def __init__(self, devices: Devices, clock: Clock, is_frozen: Callable[[str], bool]) -> None:
        self._devices = devices
        self._clock = clock
        self.is_frozen = is_frozen
        self._per_device = Attempts(PER_DEVICE)
        self._per_address = Attempts(PER_ADDRESS)
        # Where each device was last right: guesses from elsewhere do not lock it out there.
        self._at_home: dict[str, str] = {}
        devices.on_left.append(lambda device: self._forget(device.hardware_id))

    def take(self, device_id: str, address: str) -> None:
        """Count an attempt; raises TooManyAttempts."""
        now, peer = self._clock.now().ms, peer_of(address)
        self._per_address.take(peer, now)
        if self._at_home.get(device_id) != peer:
            self._per_device.take(device_id, now)

    def right(self, device_id: str, address: str) -> None:
        """It was right, and counts as no attempt."""
        peer = peer_of(address)
        self._per_address.give_back(peer)
        self._per_device.forget(device_id)
        self._at_home[device_id] = peer

    def by_secret(self, claimed: ClientId, password: bytes) -> Device | None:
        """The device, where `password` proves it; takes as long where there is none."""
        device, known = self.known(claimed.device_id)
        secrets = known.secrets if known is not None and known.kind is Kind.SECRET else ()
        proved = proves(password, secrets, claimed.stamp)
        proves(password, _NOBODYS[len(secrets) :], claimed.stamp)  # for the time it takes
        timely = claimed.mode == 0 or in_time(claimed.stamp, self._clock.now().ms)
        return device if proved and timely else None

    async def by_certificate(self, device_id: str, certificate: bytes) -> Device | None:
        """The device, where that certificate (DER, proved by TLS) is its own or the first it ever showed."""
        device, known = self.known(device_id)
        if device is None or known is None or known.kind is not Kind.CERTIFICATE:
            return None
        if not known.fingerprints:
            adopted = await self._devices.credentials.adopt(device.id, hashlib.sha256(certificate).hexdigest())
            return device if adopted else None
        return device if _is_one_of(certificate, known.fingerprints) else None

    def known(self, device_id: str) -> tuple[Device | None, Credential | None]:
        """The device that calls itself so and connects by itself, and what proves it."""
        device = self._devices.of_hardware(device_id)
        if device is None or device.gateway_id is not None:
            return None, None
        return device, self._devices.credentials.of(device)

    # of devices that were reset: what proved them then lets them hear of that, and acknowledge it

    def departing(self, device_id: str) -> Departing | None:
        """The open reset of the hardware that calls itself so."""
        return self._devices.resets.departing(device_id)

    def departed_by_secret(self, claimed: ClientId, password: bytes) -> Reset | None:
        """`by_secret` for one that was reset; asked of everybody who was not right, and as long about it."""
        found = self.departing(claimed.device_id)
        old = None if found is None else found.credential
        secrets = old.secrets if old is not None and old.kind is Kind.SECRET else ()
        proved = proves(password, secrets, claimed.stamp)
        proves(password, _NOBODYS[len(secrets) :], claimed.stamp)
        timely = claimed.mode == 0 or in_time(claimed.stamp, self._clock.now().ms)
        return found.reset if found is not None and proved and timely else None

    def departed_by_certificate(self, device_id: str, certificate: bytes) -> Reset | None:
        """`by_certificate` for one that was reset."""
        found = self.departing(device_id)
        old = None if found is None else found.credential
        if found is None or old is None or old.kind is not Kind.CERTIFICATE:
            return None
        return found.reset if _is_one_of(certificate, old.fingerprints) else None

    def _forget(self, device_id: str) -> None:
        self._at_home.pop(device_id, None)


def _is_one_of(certificate: bytes, fingerprints: Sequence[str]) -> bool:
    shown = {40: hashlib.sha1(certificate).hexdigest(), 64: hashlib.sha256(certificate).hexdigest()}  # noqa: S324
    found = [hmac.compare_digest(shown[len(each)], each) for each in fingerprints]
    return any(found)


class IotdaAdmission:
    """`Admission`. A principal's `device_id` is the hub's, its `session` and `facts` what the device calls itself."""

    def __init__(self, proving: Proving) -> None:
        self._proving = proving

    async def admit(self, offered: Offered) -> Principal:
        """See the Protocol. A client id that is none, or no keep-alive, is 0x02 (2.4): who is gone must be missed."""
        try:
            claimed = parse_client_id(offered.client_id)
        except MalformedError as error:
            raise NotAdmitted(Reason.CLIENT_ID, str(error)) from error
        if offered.keep_alive == 0:
            raise NotAdmitted(Reason.CLIENT_ID, "no keep-alive")
        self._take(claimed.device_id, offered.address)
        device = await self._device(claimed, offered)
        if device is None and (reset := self._departed(claimed, offered)) is not None:
            self._proving.right(claimed.device_id, offered.address)
            return principal_of(reset)
        if device is None:
            _log.info("device not admitted", device=claimed.device_id, address=offered.address)
            raise NotAdmitted(Reason.CREDENTIALS)
        self._proving.right(claimed.device_id, offered.address)
        if self._proving.is_frozen(device.id):
            raise NotAdmitted(Reason.NOT_AUTHORIZED, "frozen")
        return Principal(device.id, session=device.hardware_id, facts=device.hardware_id)

    def _take(self, device_id: str, address: str) -> None:
        try:
            self._proving.take(device_id, address)
        except TooManyAttempts as error:
            raise NotAdmitted(Reason.CONNECTION_RATE, "too many attempts") from error

    async def _device(self, claimed: ClientId, offered: Offered) -> Device | None:
        if offered.username != claimed.device_id:
            return None
        if offered.certificate is not None and not offered.password:
            return await self._proving.by_certificate(claimed.device_id, offered.certificate)
        return self._proving.by_secret(claimed, offered.password or b"")

    def _departed(self, claimed: ClientId, offered: Offered) -> Reset | None:
        if offered.username != claimed.device_id:
            return None
        if offered.certificate is not None and not offered.password:
            return self._proving.departed_by_certificate(claimed.device_id, offered.certificate)
        return self._proving.departed_by_secret(claimed, offered.password or b"")

    def may_publish(self, principal: Principal, topic: str) -> bool:
        """See the Protocol."""
        return topics.may_publish(str(principal.facts), topic)

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        """See the Protocol."""
        return topics.may_subscribe(str(principal.facts), topic_filter)

    def implicit(self, principal: Principal) -> Sequence[str]:
        """See the Protocol."""
        return topics.implicit(str(principal.facts))


class IotdaAddressing:
    """`app.links.mqtt.ports.Addressing`: a topic names its device, which an outside broker's access rules hold to."""

    def __init__(self, proving: Proving) -> None:
        self._proving = proving

    def filters(self) -> Sequence[str]:
        """See the Protocol."""
        return [f"{topics.PREFIX}+/sys/#", f"{topics.PREFIX}+/user/#"]

    def speaker(self, topic: str) -> Principal | None:
        """See the Protocol."""
        try:
            read = topics.parse(topic)
        except TopicUnknownError:
            return None
        device, credential = self._proving.known(read.device_id)
        if not topics.may_publish(read.device_id, topic):
            return None
        if device is None and (departing := self._proving.departing(read.device_id)) is not None:
            return principal_of(departing.reset)
        if device is None or credential is None or credential.kind is Kind.TOKEN:
            return None  # one that calls home is let in nowhere else
        if self._proving.is_frozen(device.id):
            return None
        return Principal(device.id, session=device.hardware_id, facts=device.hardware_id)
