"""Running pairing sessions for people: who may, and how many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from weakref import WeakValueDictionary

from msgspec import structs

from app.accounts.model import Account
from app.caller import Caller, demand
from app.clock import to_time
from app.devices.service import Devices
from app.errors import DoorstepError, Gone, NotFound, Refused, Unavailable
from app.homes.model import Home, Member
from app.homes.standing import Standings
from app.ids import new_id
from app.onboarding import queries
from app.onboarding.codes import ScannedCode, read, scanned
from app.onboarding.log import DurableLog
from app.onboarding.model import (
    HandoverView,
    InboxView,
    InputView,
    MethodView,
    NoSuchMethod,
    NotNow,
    PairingView,
    TooManySessions,
    inbox_view,
    view_of,
)
from app.onboarding.networks import Networks
from app.onboarding.registrar import HomeRegistrar
from app.policy import Action, Actor, Resource
from app.store.housekeeping import BATCH
from app.store.retention import DAY_MS, KEEP
from app.store.store import Store
from app.store.tx import Change, Tx
from pairing.errors import PairingError
from pairing.inbox import Inbox
from pairing.methods import qr_shown
from pairing.methods.method import TOKEN, Method
from pairing.session.contexts import SessionOverError
from pairing.session.runner import (
    MethodUnavailableError,
    NotNowError,
    Runner,
    TooManySessionsError,
    UnknownSessionError,
)
from pairing.session.states import Request, SessionState, new_session

# A home pairs a few devices at a time; the runner's own limit bounds the hub.
MAX_OPEN_PER_HOME = 8
KEEP_ENDED_MS = 30 * DAY_MS
BY_PHONE = frozenset({"ap"})
"""Methods in which a phone may tell the device its network, in place of the hub's radio."""
# Open and ended ones together (store.retention): the oldest ended one gives way.
KEPT_PER_HOME = KEEP["pairing_sessions"].most or 1


class Onboarding:
    """The companion's side of the runner."""

    def __init__(self, store: Store, standings: Standings, devices: Devices, networks: Networks) -> None:
        self._store = store
        self._standings = standings
        self._networks = networks
        self._devices = devices
        self._log = DurableLog(store)
        self._registrar = HomeRegistrar(store, devices, self._log, networks)
        self.unfold = self._registrar.unfold
        self.inbox = Inbox(lambda beginning: devices.hardware(beginning) is not None)
        self._opened: Runner | None = None
        self._one_start = asyncio.Lock()
        self._one_word = WeakValueDictionary[str, asyncio.Lock]()
        self._ending: set[asyncio.Task[SessionState]] = set()

    async def open(self, methods: Sequence[Method]) -> int:
        """Have these methods, and take up every session the last stop left open; how many there were."""
        self._store.housekeeping.register("pairing_sessions", _forget_ended)
        self._registrar.carriers = frozenset(m.name for m in methods if any(i.name == "ssid" for i in m.inputs))
        self._opened = Runner(
            log=self._log,
            registrar=self._registrar,
            methods=methods,
            now=lambda: self._store.clock.now().ms,
            new_id=lambda: new_id(self._store.clock.now().ms),
        )
        return await self._opened.resume_all()

    async def close(self) -> None:
        """Stop every session where it is: the next `open` takes it up."""
        if self._opened is not None:
            await self._opened.close()
        await asyncio.gather(*self._ending, return_exceptions=True)

    @property
    def _runner(self) -> Runner:
        if self._opened is None:
            raise Unavailable("the hub is starting")
        return self._opened

    async def start(self, by: Caller, request: Request, given: dict[str, str]) -> PairingView:
        """Open a session, and answer it as it was opened; raises NotFound, Refused, NoSuchMethod, TooManySessions,
        WifiNetworkUnknown, GatewayUnfit.

        With an Idempotency-Key the session's id is kept first: a repeat, even after a crash, finds that session or
        opens it, and never a second one. What has become of it meanwhile is for reading it to say: every repeat is
        answered alike.
        """
        if by.once is None:
            session_id = await self._store.write(lambda tx: self._admit(tx, by, request))
            return _opened(await self._begin(request, given, session_id))
        async with self._one_start:
            session_id = await self._store.write(lambda tx: self._admit(tx, by, request), once=by.once, returns=str)
            state = await self._store.read(lambda reader: queries.get(reader, session_id))
            if state is None:
                # Perhaps admitted before a crash: whether it may be opened is a question of now.
                demand(by.actor, Action.PAIR, self._standings.home(by.actor, request.home), self._store.clock.now())
                state = await self._begin(request, given, session_id)
            return _opened(state)

    async def _begin(self, request: Request, given: dict[str, str], session_id: str) -> SessionState:
        ssid = request.inputs.get("ssid")
        if ssid is not None and "wifi_password" not in given:
            known = await self._networks.known(request.home, ssid)
            given = given | {"wifi_password": known.password}
            if known.bssid:
                request = structs.replace(request, inputs={"bssid": known.bssid} | request.inputs)
        try:
            return await self._runner.start(request, given, session_id)
        except PairingError as error:
            raise _told(error) from error

    def _admit(self, tx: Tx, by: Caller, request: Request) -> str:
        home_id = request.home
        demand(by.actor, Action.PAIR, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        if queries.open_count(tx, home_id) >= MAX_OPEN_PER_HOME:
            raise TooManySessions
        if (gateway := request.inputs.get("gateway")) is not None:
            self._devices.registry.check_gateway_in(tx, home_id, gateway)
        queries.make_room(tx, home_id, KEPT_PER_HOME)
        return tx.new_id()

    def scanned(self, actor: Actor, text: str) -> ScannedCode:
        """What a code printed on a device says; nothing of it is kept. Raises CodeNotUnderstood."""
        demand(actor, Action.SELF, Resource(account_id=actor.account_id), self._store.clock.now())
        return scanned(read(text), self._runner.methods)

    async def shown_code(self, actor: Actor, home_id: str, session_id: str) -> str:
        """What the code for a camera holds, the Wi-Fi password among it: for nobody but who opened the session.

        Raises NotFound, Refused, Gone once the session has ended.
        """
        state = await self._state(actor, home_id, session_id)
        if state.request.account != actor.account_id:
            raise Refused
        secrets = await self._store.read(lambda reader: self._log.secrets_in(reader, session_id))
        if state.state.terminal or not secrets:
            raise Gone("the pairing has ended, and its code with it")
        if qr_shown.NAME not in state.methods:
            raise NotFound("this pairing shows no code")
        return qr_shown.code_of(state.request, secrets)

    async def hand_over(self, by: Caller, home_id: str, session_id: str) -> HandoverView:
        """What the phone must tell the device itself: for nobody but who opened the session, and noted in the audit
        trail. Raises NotFound, Refused, NotNow unless a method is in use that leaves this to the phone.
        """
        state = await self._state(by.actor, home_id, session_id)
        if state.request.account != by.actor.account_id:
            raise Refused
        return await self._store.write(lambda tx: self._hand_over_in(tx, by, state))

    def _hand_over_in(self, tx: Tx, by: Caller, state: SessionState) -> HandoverView:
        inputs, secrets = state.request.inputs, self._log.secrets_in(tx, state.id)
        by_phone = bool(BY_PHONE.intersection(state.methods)) and "ssid" in inputs and TOKEN.name in secrets
        if state.state.terminal or state.closing is not None or not by_phone:
            raise NotNow("there is nothing to be handed over by phone")
        tx.record(by.actor, _handed_over(state))
        return HandoverView(
            ssid=inputs["ssid"],
            password=secrets.get("wifi_password", ""),
            bssid=inputs.get("bssid", ""),
            token=bytes.fromhex(secrets[TOKEN.name]).decode("ascii"),
            expires_at=to_time(state.expires_at),
        )

    async def token_of(self, by: Caller, home_id: str, session_id: str) -> str:
        """The token that an app tells devices: for nobody but who opened the session, and noted in the audit trail.

        Raises NotFound, Refused, NotNow.
        """
        state = await self._state(by.actor, home_id, session_id)
        if state.request.account != by.actor.account_id:
            raise Refused
        return await self._store.write(lambda tx: self._token_in(tx, by, state))

    def _token_in(self, tx: Tx, by: Caller, state: SessionState) -> str:
        secrets = self._log.secrets_in(tx, state.id)
        if state.state.terminal or TOKEN.name not in secrets:
            raise NotNow("this pairing has no token to be told")
        tx.record(by.actor, _handed_over(state))
        return bytes.fromhex(secrets[TOKEN.name]).decode("ascii")

    async def get(self, actor: Actor, home_id: str, session_id: str) -> PairingView:
        """One session, open or ended; raises NotFound."""
        return view_of(await self._state(actor, home_id, session_id))

    async def sessions(
        self, actor: Actor, home_id: str, before: tuple[int, str] | None, limit: int
    ) -> list[SessionState]:
        """A home's sessions, newest first."""
        demand(actor, Action.PAIR, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda reader: queries.of_home(reader, home_id, before, limit))

    def inbox_of(self, actor: Actor, home_id: str) -> list[InboxView]:
        """What could be brought into this home: devices on the network and the radio that belong to none."""
        now = self._store.clock.now()
        demand(actor, Action.PAIR, self._standings.home(actor, home_id), now)
        return [inbox_view(sighting) for sighting in self.inbox.sightings(now.ms)]

    async def cancel(self, by: Caller, home_id: str, session_id: str) -> PairingView:
        """End a session; one that has ended stays as it ended."""
        state = await self._state(by.actor, home_id, session_id)
        if state.state.terminal:
            return view_of(state)
        return await self._tell(by, session_id, lambda: self._runner.cancel(session_id))

    async def finish(self, by: Caller, home_id: str, session_id: str) -> PairingView:
        """No further devices; those being spoken to are awaited by the session, not by who says so."""
        state = await self._state(by.actor, home_id, session_id)
        if state.state.terminal:
            return view_of(state)
        return await self._tell(by, session_id, lambda: self._runner.finish(session_id))

    async def confirm(
        self, by: Caller, home_id: str, session_id: str, accepted: bool, attempt: int | None
    ) -> PairingView:
        """The person's word on the code; raises NotNow."""
        await self._state(by.actor, home_id, session_id)
        return await self._tell(by, session_id, lambda: self._runner.confirm(session_id, accepted, attempt))

    async def choose(self, by: Caller, home_id: str, session_id: str, candidate_id: str) -> PairingView:
        """The person's choice among the candidates; raises NotNow."""
        await self._state(by.actor, home_id, session_id)
        return await self._tell(by, session_id, lambda: self._runner.choose(session_id, candidate_id))

    async def provide_pin(
        self, by: Caller, home_id: str, session_id: str, pin: str, attempt: int | None
    ) -> PairingView:
        """The PIN on the label; raises NotNow."""
        await self._state(by.actor, home_id, session_id)
        return await self._tell(by, session_id, lambda: self._runner.provide(session_id, pin, attempt))

    def methods(self) -> list[MethodView]:
        """Each method this hub has, with what it needs."""
        return [
            MethodView(method.name, [InputView(i.name, i.secret, not i.required) for i in method.inputs])
            for method in self._runner.methods
        ]

    def member_leaving_in(self, tx: Tx, by: Caller, member: Member) -> None:
        """Somebody leaves a home: their sessions there end."""
        self._end_in(tx, member.home_id, member.account_id)

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """A home ends, and every session in it."""
        self._end_in(tx, home.id)

    def account_linked_in(self, tx: Tx, by: Caller, account: Account, to: str) -> None:
        """What `account` began ends, for nobody could go on with it; what it did, the account `to` did."""
        self._end_in(tx, None, account.id)
        queries.hand_on(tx, account.id, to)

    def _end_in(self, tx: Tx, home_id: str | None, account_id: str | None = None) -> None:
        for state in queries.open_sessions(tx):
            request = state.request
            if home_id in (None, request.home) and account_id in (None, request.account):
                self._log.forget_in(tx, state.id)
                tx.after(partial(self._end, state.id))

    def _end(self, session_id: str) -> None:
        if self._runner.get(session_id) is not None:
            task = asyncio.create_task(self._runner.cancel(session_id))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _state(self, actor: Actor, home_id: str, session_id: str) -> SessionState:
        demand(actor, Action.PAIR, self._standings.home(actor, home_id), self._store.clock.now())
        state = self._runner.get(session_id)
        if state is None:
            state = await self._store.read(lambda reader: queries.get(reader, session_id))
        if state is None or state.request.home != home_id:
            raise NotFound
        return state

    async def _tell(self, by: Caller, session_id: str, say: Callable[[], Awaitable[SessionState]]) -> PairingView:
        """A person's word to a session. A repeat of it is answered as it was: a PIN said twice would cost two tries."""
        if by.once is None:
            return await self._said(say)
        one_word = self._one_word.setdefault(session_id, asyncio.Lock())
        async with one_word:
            if (before := await self._store.answered(by.once, PairingView)) is not None:
                return before.answer
            view = await self._said(say)
            return await self._store.write(lambda tx: view, once=by.once, returns=PairingView)

    async def _said(self, say: Callable[[], Awaitable[SessionState]]) -> PairingView:
        try:
            return view_of(await say())
        except (PairingError, SessionOverError) as error:
            raise _told(error) from error


def _handed_over(state: SessionState) -> Change:
    return Change("pairing.handed_over", "pairing", state.id, state.request.home, Action.PAIR)


def _opened(state: SessionState) -> PairingView:
    """The session as it was when it was opened."""
    return view_of(new_session(state.id, state.request, state.created_at))


def _told(error: PairingError) -> DoorstepError:
    """A refusal of the runner in this face's words."""
    match error:
        case MethodUnavailableError():
            return NoSuchMethod(f"method: {error}")
        case TooManySessionsError():
            return TooManySessions()
        case NotNowError() | UnknownSessionError() | SessionOverError():
            return NotNow(f"the session is {error}" if str(error) else "the session has ended")
        case _:
            return Unavailable(str(error))


def _forget_ended(tx: Tx) -> int:
    """A sweep of the housekeeping."""
    return queries.delete_ended(tx, tx.now - KEEP_ENDED_MS, BATCH)
