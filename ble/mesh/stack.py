"""One member of a mesh network, without I/O: proxy messages in and out, access payloads up and down, timers by `tick`.

What has to be on disk first is asked for (`reserve_due`, `take_marks`, `changed`); whoever drives the stack saves it.
"""

from ble.errors import Malformed
from ble.mesh import beacons, iv, keyring, lower, network, proxy_filter, upper
from ble.mesh.address import Fixed, is_virtual
from ble.mesh.crypto import NotAuthentic, virtual_address
from ble.mesh.exchange import Configured, ControlReceived, Event, KeyName, KeyUnknown, Received
from ble.mesh.incoming import Busy, Incoming, Partial
from ble.mesh.keys import NetKey
from ble.mesh.network import MessageCache, Opened
from ble.mesh.proxy import Kind, Whole
from ble.mesh.replay import ReplayList, mark
from ble.mesh.sending import Sending, Wanted
from ble.mesh.sequence import BLOCK, NumbersUsedUp, Reserved, Sequence
from ble.mesh.state import MeshState
from ble.mesh.timing import PROTOCOL_1_1, Timing

DEFAULT_TTL = 7
LOW_WATER = BLOCK // 2
"""Numbers left when the next block is asked for."""


class Stack:
    """`now` is seconds of any clock that goes forward; `wall` (for the IV rules) is seconds since 1970.

    `groups` and `labels` are what we hear beside our own addresses. `provisioner`: we lead key refreshes, so that no
    beacon moves their phases.
    """

    def __init__(self, state: MeshState, *, timing: Timing = PROTOCOL_1_1, provisioner: bool = True) -> None:
        self.state = state
        self.groups: set[int] = set()
        self.labels: set[bytes] = set()
        self.changed = False
        """Keys or IV state have changed: save everything, then set it back."""
        self._provisioner = provisioner
        self._sequence = Sequence(state.reserved)
        self._replay = ReplayList(state.replay)
        self._cache = MessageCache()
        self._incoming = Incoming(timing)
        self._sending = Sending(state, self._sequence, timing)
        self._events: list[Event] = self._sending.events
        self._held_beacon: beacons.NetworkBeacon | None = None
        self._handles = 0

    @property
    def heard_addresses(self) -> set[int]:
        """The groups and virtual addresses that are heard."""
        return self.groups | {virtual_address(label) for label in self.labels}

    # What is saved, and taken

    def reserve_due(self) -> Reserved | None:
        """The block to write (with `state.iv`) before more can be sent; None where there are enough numbers.

        Raises NumbersUsedUp where an IV update is due first.
        """
        sending = self.state.iv.sending
        left = self._sequence.left(sending)
        if left > LOW_WATER or (left and self.state.reserved.upto > network.MAX_SEQ):
            return None
        self.state.reserved = self._sequence.reserved.extended(sending)
        return self.state.reserved

    def reserve_written(self, reserved: Reserved) -> None:
        """What `reserve_due` gave is on disk."""
        self._sequence.written(reserved)

    def take_marks(self) -> dict[int, int]:
        """The replay marks to write before the events that came with them are acted on."""
        return self._replay.take_unsaved()

    def take_out(self) -> list[Whole]:
        """What is to be sent, in order."""
        out, self._sending.out = self._sending.out, []
        return out

    def take_events(self) -> list[Event]:
        """What has happened, in order."""
        events = list(self._events)
        self._events.clear()
        return events

    # Down

    def send(
        self,
        dst: int,
        payload: bytes,
        key: KeyName,
        now: float,
        *,
        src: int | None = None,
        ttl: int = DEFAULT_TTL,
        label: bytes = b"",
        szmic: bool = False,
    ) -> int:
        """Send an access payload; the handle that `Sent` or `NotSent` will name. `src`: one of our elements.

        Raises KeyUnknown, NumbersUsedUp, QueueFull, Malformed.
        """
        self._handles += 1
        wanted = Wanted(
            handle=self._handles,
            src=self.state.address if src is None else src,
            dst=dst,
            payload=payload,
            key=key,
            ttl=ttl,
            label=label,
            szmic=szmic,
        )
        self._sending.send(wanted, now)
        return self._handles

    def configure(self, message: proxy_filter.Configuration, *, net_index: int = 0) -> None:
        """Tell the other end of the connection. Raises KeyUnknown, NumbersUsedUp."""
        self._sending.seal(
            proxy_filter.pack(message),
            ctl=True,
            src=self.state.address,
            dst=0,
            ttl=0,
            net_index=net_index,
            kind=Kind.CONFIGURATION,
        )

    def control(self, dst: int, opcode: int, parameters: bytes, *, ttl: int = DEFAULT_TTL, net_index: int = 0) -> None:
        """Send a control message that fits one PDU. Raises KeyUnknown, NumbersUsedUp, Malformed."""
        pdu = lower.pack(lower.Control(opcode, parameters))
        self._sending.seal(pdu, ctl=True, src=self.state.address, dst=dst, ttl=ttl, net_index=net_index)

    def beacon(self, net_index: int = 0) -> None:
        """Say the network's state, as a node does when somebody connects. Raises KeyUnknown."""
        key = keyring.net_key(self.state, net_index)
        said = beacons.NetworkBeacon(key.phase == 2, self.state.iv.updating, self.state.iv.index)
        self._sending.out.append(Whole(Kind.BEACON, said.secure(key.sending)))

    def cancel(self, handle: int, now: float) -> None:
        """Send no more of this message; nothing more is told of it."""
        self._sending.cancel(handle, now)

    # Up

    def receive(self, whole: Whole, now: float, wall: float) -> None:
        """One message from the bearer. Raises Malformed or NotAuthentic, and nobody is told of anything then.

        A `tick` may be due right after it.
        """
        match whole.kind:
            case Kind.NETWORK:
                self._network(whole.data, now)
            case Kind.CONFIGURATION:
                self._configuration(whole.data)
            case Kind.BEACON:
                self._beacon(whole.data, wall)
            case Kind.PROVISIONING:
                raise Malformed("provisioning on a proxy connection")

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due; None where nothing waits."""
        due = [outgoing.due for outgoing in self._sending.under_way]
        return min((*due, *self._incoming.deadlines()), default=None)

    def tick(self, now: float) -> None:
        """Send again, acknowledge, and give up what is due."""
        self._incoming.drop_overdue(now)
        for message in self._incoming.due_acks(now):
            self._acknowledge(message, message.block)
        self._sending.tick(now)

    def settle(self, wall: float) -> None:
        """Take in a beacon that had to wait until no segmented message was under way (3.11.5)."""
        if self._held_beacon and not self._sending.under_way:
            held, self._held_beacon = self._held_beacon, None
            self._iv_is(iv.heard(self.state.iv, held.iv_index, held.iv_update, wall))

    def begin_iv_update(self, wall: float) -> bool:
        """Begin an update where the rules permit one now."""
        return self._iv_is(iv.begin(self.state.iv, wall))

    def finish_iv_update(self, wall: float) -> bool:
        """End it where the rules permit that now, and nothing segmented is under way."""
        return not self._sending.under_way and self._iv_is(iv.finish(self.state.iv, wall))

    def revoke_old(self, net_index: int) -> None:
        """Phase 3 of a key refresh: the old keys are gone. Raises KeyUnknown."""
        keyring.revoke_old(self.state, net_index)
        self.changed = True

    # Messages

    def _network(self, data: bytes, now: float) -> None:
        opened, net_index = self._unsealed(data)
        pdu = opened.pdu
        if pdu.src in self.state.addresses or not self._is_for_us(pdu.dst) or not self._cache.is_new(opened):
            return
        newer = mark(opened.iv_index, pdu.seq)
        match lower.read(pdu.ctl, pdu.payload):
            case lower.Segment() as segment:
                self._segment(opened, net_index, segment, now)
            case _ if not self._replay.is_new(pdu.src, newer):
                return
            case lower.Access(akf, name, sealed):
                envelope = _envelope(opened, pdu.seq, application=akf, szmic=False)
                self._deliver(envelope, net_index, name, sealed, pdu.ttl)
            case lower.Control(opcode, parameters):
                self._control(opened, newer, opcode, parameters)
            case lower.Ack() as ack:
                self._acked(opened, newer, ack, now)

    def _unsealed(self, data: bytes, *, proxy: bool = False) -> tuple[Opened, int]:
        by_material = keyring.materials(self.state)
        opened = network.unseal(data, by_material, self.state.iv.index, proxy=proxy)
        return opened, by_material[opened.material]

    def _is_for_us(self, dst: int) -> bool:
        ours = dst in self.state.addresses or dst == Fixed.ALL_NODES or dst in self.groups
        return ours or bool(self._labels_of(dst))

    def _labels_of(self, dst: int) -> list[bytes]:
        if not is_virtual(dst):
            return []
        return [label for label in self.labels if virtual_address(label) == dst]

    def _deliver(self, envelope: upper.Envelope, net_index: int, name: int, sealed: bytes, ttl: int) -> None:
        found = (
            keyring.applications(self.state, net_index, name)
            if envelope.application
            else keyring.devices(self.state, envelope.src)
        )
        keys: dict[bytes, KeyName] = dict(found)
        labels = self._labels_of(envelope.dst) or [b""]
        payload, secret, label = upper.unseal(sealed, keys, envelope, labels)
        self._replay.note(envelope.src, mark(envelope.iv_index, envelope.seq))
        self._events.append(
            Received(
                src=envelope.src,
                dst=envelope.dst,
                payload=payload,
                key=keys[secret],
                net_index=net_index,
                ttl=ttl,
                label=label,
            )
        )

    def _control(self, opened: Opened, newer: int, opcode: int, parameters: bytes) -> None:
        pdu = opened.pdu
        self._replay.note(pdu.src, newer)
        heard = ControlReceived(src=pdu.src, dst=pdu.dst, opcode=opcode, parameters=parameters, ttl=pdu.ttl)
        self._events.append(heard)

    def _acked(self, opened: Opened, newer: int, ack: lower.Ack, now: float) -> None:
        pdu = opened.pdu
        for outgoing in self._sending.under_way:
            if outgoing.answers(pdu.src, pdu.dst, ack):
                self._replay.note(pdu.src, newer)
                self._sending.acknowledged(outgoing, ack.block, now)
                return

    def _segment(self, opened: Opened, net_index: int, segment: lower.Segment, now: float) -> None:
        pdu, first = opened.pdu, lower.seq_auth(opened.pdu.seq, segment.seq_zero)
        if first < 0:
            raise Malformed("a segment of a message under another IV index")
        newer = mark(opened.iv_index, first)
        begun = Partial(src=pdu.src, dst=pdu.dst, mark=newer, first=segment, net_index=net_index, ttl=pdu.ttl)
        try:
            whole = self._incoming.feed(begun, segment, now, lambda: self._replay.is_new(pdu.src, newer))
        except Busy:
            self._acknowledge(begun, 0)
            return
        if whole is None:
            return
        if segment.ctl:
            self._control(opened, newer, segment.head, whole.upper)
            return
        envelope = _envelope(opened, first, application=bool(segment.head & 0x40), szmic=segment.szmic)
        self._deliver(envelope, net_index, segment.head & 0x3F, whole.upper, pdu.ttl)

    def _acknowledge(self, message: Partial, block: int) -> None:
        if message.dst not in self.state.addresses:
            return
        ack = lower.pack(lower.Ack(False, message.first.seq_zero, block))
        ttl = DEFAULT_TTL if message.ttl else 0
        try:
            self._sending.seal(ack, ctl=True, src=message.dst, dst=message.src, ttl=ttl, net_index=message.net_index)
        except (NumbersUsedUp, KeyUnknown):
            return  # nothing can be said now; the sender tries again

    def _configuration(self, data: bytes) -> None:
        opened, _ = self._unsealed(data, proxy=True)
        if not opened.pdu.ctl or opened.pdu.dst or opened.pdu.ttl:
            raise Malformed("not a proxy configuration message")
        newer = mark(opened.iv_index, opened.pdu.seq)
        if opened.pdu.src in self.state.addresses or not self._replay.is_new(opened.pdu.src, newer):
            return
        message = proxy_filter.read(opened.pdu.payload)
        self._replay.note(opened.pdu.src, newer)
        self._events.append(Configured(opened.pdu.src, message))

    # Network state

    def _beacon(self, data: bytes, wall: float) -> None:
        for key in self.state.net_keys.values():
            for secret in key.receiving:
                try:
                    said = beacons.read_network(data, secret)
                except NotAuthentic:
                    continue
                self._refresh(key, secret, said)
                # 3.11.5: only the primary subnet's beacons move the IV index, where we are a member of it.
                if key.index == 0 or 0 not in self.state.net_keys:
                    self._held_beacon = said
                self.settle(wall)
                return
        raise NotAuthentic("another network's beacon")

    def _refresh(self, key: NetKey, secret: bytes, said: beacons.NetworkBeacon) -> None:
        """A beacon under the new key moves the phase, where we follow (3.11.4.1)."""
        if self._provisioner or secret != key.new_key:
            return
        if not said.key_refresh:
            self.revoke_old(key.index)
        elif key.phase == 1:
            key.use_new()
            self.changed = True

    def _iv_is(self, after: iv.Iv) -> bool:
        moved = (after.index, after.updating) != (self.state.iv.index, self.state.iv.updating)
        if after != self.state.iv:
            self.state.iv, self.changed = after, True
        return moved


def _envelope(opened: Opened, seq: int, *, application: bool, szmic: bool) -> upper.Envelope:
    pdu = opened.pdu
    return upper.Envelope(
        application=application, szmic=szmic, seq=seq, src=pdu.src, dst=pdu.dst, iv_index=opened.iv_index
    )
