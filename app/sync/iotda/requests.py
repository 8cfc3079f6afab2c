"""What a platform asks of devices: done once through control, in the name of who attached it, and answered."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from app.caller import demand
from app.control import queries as control_queries
from app.control.model import Command, NewCommand
from app.control.service import Control
from app.devices.model import Device
from app.devices.service import Devices
from app.errors import DoorstepError, NotFound, TooMany
from app.homes.standing import Standings
from app.links.iotda.codec import payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import given
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Event, Reader, Tx
from app.sync.iotda import mapping, queries, roster
from app.sync.iotda.mapping import Wanted
from app.sync.iotda.model import Asked, Kind, Reply, Request, Upstream

# More wait for devices than a person asks for; beyond it the platform is told so at once.
MOST_OPEN: Final = 256
CREDENTIAL: Final = "iotda-upstream"
_ENDS: Final = frozenset({"command.answered", "command.failed", "command.expired"})


def actor_of(upstream: Upstream) -> Actor:
    """Who acts for a platform: whoever attached it, in that home alone."""
    return Actor(upstream.account_id, CREDENTIAL, home_id=upstream.home_id)


class Requests:
    """`on_due` is told of homes whose platforms are owed an answer, on the event loop."""

    def __init__(self, store: Store, standings: Standings, devices: Devices, control: Control) -> None:
        self._store = store
        self._standings = standings
        self._devices = devices
        self._control = control
        # By our command's id: what it belongs to, while that is open.
        self._of_command: dict[str, tuple[str, str]] = {}
        self._due: dict[str, dict[str, None]] = {}
        self.on_due: list[Callable[[str], None]] = []
        store.keep_resident(self)
        store.listen(self._told)

    def load(self, reader: Reader) -> None:
        """What the last stop left open."""
        for request in queries.open_requests(reader):
            self._opened(request)

    async def look_again(self, home_id: str) -> None:
        """A platform is there: whatever it was not answered is looked at."""
        found = await self._store.read(queries.open_requests)
        self._due[home_id] = {request.request_id: None for request in found if request.home_id == home_id}

    def forget(self, home_id: str) -> None:
        """Its platform is no more."""
        self._due.pop(home_id, None)
        for command_id in [each for each, of in self._of_command.items() if of[0] == home_id]:
            del self._of_command[command_id]

    # down

    async def take(self, upstream: Upstream, topic: topics.Topic, payload: bytes) -> Reply | None:
        """A request as it came in; on disk when this returns, and its answer follows. A repeat changes nothing.

        What is answered at once, without a trace, is returned.
        """
        try:
            asked = mapping.wanted(topic, payload, upstream.device_id)
        except IotdaError as error:
            return _refusing(upstream.home_id, topic.rest, mapping.ASKED[topic.kind], error)
        return await self._store.write(lambda tx: self._take_in(tx, upstream, asked))

    def _take_in(self, tx: Tx, upstream: Upstream, asked: Wanted) -> Reply | None:
        home_id = upstream.home_id
        if queries.upstream(tx, home_id) is None or queries.request(tx, home_id, asked.request_id) is not None:
            return None
        if queries.count_open(tx, home_id) >= MOST_OPEN:
            return _refusing(home_id, asked.request_id, asked.kind, TooMany("too many requests are open"))
        device = roster.device_of(tx, home_id, asked.remote_id)
        done = Asked() if _is_reset(asked) else self._asked_in(tx, upstream, device, asked)
        request = Request(home_id, asked.request_id, asked.kind, "" if device is None else device.id, done, tx.now)
        queries.put_request(tx, request)
        tx.after(partial(self._opened, request))
        return None

    def _asked_in(self, tx: Tx, upstream: Upstream, device: Device | None, asked: Wanted) -> Asked:
        """All of it is asked of the device, or nothing."""
        try:
            return self._commands_in(tx, upstream, device, asked)
        except DoorstepError as error:
            return Asked(refusal=mapping.refusal_of(error))

    def _commands_in(self, tx: Tx, upstream: Upstream, device: Device | None, asked: Wanted) -> Asked:
        actor = actor_of(upstream)
        home = self._standings.home_in(tx, actor, upstream.home_id)
        demand(actor, Action.UPSTREAM_MANAGE, home, tx.moment)
        if device is None:
            raise NotFound("no such device behind this gateway")
        resource = self._devices.access.device_in(tx, actor, device.id)
        demand(actor, Action.DEVICE_CONTROL, resource, tx.moment)
        news = mapping.commands_of(self._devices.catalogue.get(device.product_id), asked)
        able = [(new, self._control.able_in(tx, device.id, new)) for new in news]
        made: list[tuple[NewCommand, Command]] = []
        for new, body in able:
            command, _ = self._control.insert_in(tx, actor, device.id, new, body=body, home_id=device.home_id)
            made.append((new, command))
        return Asked(tuple((new.service, command.id) for new, command in made))

    def _opened(self, request: Request) -> None:
        key = (request.home_id, request.request_id)
        for _, command_id in request.asked.commands:
            self._of_command[command_id] = key
        if not request.asked.commands:
            self._is_due(*key)

    def _told(self, events: list[Event]) -> None:
        for event in events:
            if event.type in _ENDS and (key := self._of_command.get(event.id)) is not None:
                self._is_due(*key)

    def _is_due(self, home_id: str, request_id: str) -> None:
        self._due.setdefault(home_id, {})[request_id] = None
        for told in self.on_due:
            told(home_id)

    # up

    async def next_reply(self, home_id: str) -> Reply | None:
        """An answer that is owed; `answered` once the platform has it."""
        due = self._due.get(home_id, {})
        while due:
            request_id = next(iter(due))
            del due[request_id]
            found = await self._store.read(partial(_with_commands, home_id=home_id, request_id=request_id))
            if found is not None and (reply := self._reply(*found)) is not None:
                return reply
        return None

    def _reply(self, request: Request, commands: Iterable[Command]) -> Reply | None:
        by_id = {command.id: command for command in commands}
        if request.answered_at is not None or any(not command.state.ended for command in by_id.values()):
            return None
        live = self._devices.memory.get(request.device_id)
        product = None if live is None else self._devices.catalogue.get(live.device.product_id)
        return mapping.reply(request, product, by_id)

    async def answered(self, home_id: str, reply: Reply) -> None:
        """The platform has it."""
        await self._store.write(lambda tx: self._answered_in(tx, home_id, reply.request_id))

    def _answered_in(self, tx: Tx, home_id: str, request_id: str) -> None:
        request = queries.request(tx, home_id, request_id)
        queries.set_answered(tx, home_id, request_id)
        for _, command_id in () if request is None else request.asked.commands:
            tx.after(partial(self._closed, command_id))

    def _closed(self, command_id: str) -> None:
        self._of_command.pop(command_id, None)


def _refusing(home_id: str, request_id: str, kind: Kind, error: DoorstepError | IotdaError) -> Reply:
    """The answer to what leaves no trace."""
    refused = Asked(refusal=mapping.refusal_of(error))
    return mapping.reply(Request(home_id, request_id, kind, "", refused, at=0), None, {})


def _with_commands(reader: Reader, *, home_id: str, request_id: str) -> tuple[Request, list[Command]] | None:
    request = queries.request(reader, home_id, request_id)
    if request is None:
        return None
    return request, control_queries.commands(reader, [command_id for _, command_id in request.asked.commands])


def _is_reset(asked: Wanted) -> bool:
    """The platform has let the gateway itself go: there is nothing to forget but the secret, refused from now on."""
    said = asked.said
    if asked.remote_id or not isinstance(said, payloads.Command):
        return False
    return (given(said.service_id, ""), given(said.command_name, "")) == payloads.RESET
