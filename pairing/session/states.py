"""What a pairing session is made of: plain frozen structs, stored as JSON, holding no secret.

All times are milliseconds since the epoch. Text that came from the network has been cleaned before it gets here.
"""

from enum import StrEnum

from msgspec import Struct, field, structs

LIFETIME_MS = 600_000
"""No session lives longer: 10 minutes."""

ANY = "any"
"""`Request.method` for "whatever works": every method that has what it needs searches, each in its turn."""

MAX_STEPS = 256
MAX_CANDIDATES = 32
MAX_ATTEMPTS = 32


class State(StrEnum):
    """Where a session, or one attempt of it, stands. The last four are terminal."""

    CREATED = "created"
    PREPARING = "preparing"
    SEARCHING = "searching"
    FOUND = "found"  # several candidates: the person chooses
    ASKING = "asking"  # the label PIN is needed from the person
    PROVING = "proving"
    CONFIRMING = "confirming"  # the person compares a code
    JOINING = "joining"
    JOINED = "joined"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL

    @property
    def engaged(self) -> bool:
        """A device is being spoken to: the states an open attempt can be in."""
        return self in ENGAGED


TERMINAL = frozenset({State.JOINED, State.FAILED, State.CANCELLED, State.EXPIRED})
ENGAGED = frozenset({State.ASKING, State.PROVING, State.CONFIRMING, State.JOINING})


class Step(Struct, frozen=True, kw_only=True):
    """One thing that happened, as the person is shown it: a translatable key, its time, small facts.

    `seq` counts from 1 within the session; `attempt` is 0 for what concerns the session as a whole.
    """

    seq: int
    key: str
    at: int
    attempt: int = 0
    detail: dict[str, str] = field(default_factory=dict)


class Failure(Struct, frozen=True, kw_only=True):
    """Why a session or an attempt ended without a device: a cause of `causes.CATALOGUE` and the step it happened in."""

    cause: str
    step: str
    retryable: bool
    next_step: str
    detail: dict[str, str] = field(default_factory=dict)


class Candidate(Struct, frozen=True, kw_only=True):
    """A device a method has seen and could speak to.

    `id` is what it claims to be, unproven. `addresses` are newest first, in the method's own notation (IP addresses,
    a Bluetooth address); `port` is 0 where the method has none. `auth` is "pin" when its label carries a PIN.
    `has_token`: it says that it was given the session's token, which others on its network may say in its name.
    """

    id: str
    method: str
    name: str = ""
    product: str = ""
    auth: str = "open"
    addresses: tuple[str, ...] = ()
    port: int = 0
    has_token: bool = False
    facts: dict[str, str] = field(default_factory=dict)


class Attempt(Struct, frozen=True, kw_only=True):
    """One try with one candidate. `number` counts from 1; `device` is set once the device is in the home, durably.

    `proved` is the id that the device has proved to be its own.
    """

    number: int
    candidate: Candidate
    started_at: int
    state: State = State.PROVING
    code: str = ""
    asked: bool = False
    trust: str = ""
    proved: str = ""
    device: str | None = None
    failure: Failure | None = None


class Request(Struct, frozen=True, kw_only=True):
    """What is wanted. Holds nothing secret: a PIN, a token or a Wi-Fi password travels as `Secrets`.

    `device` limits the session to one device id; `host` (an IP address) and `port` name a device that cannot be
    discovered; `want` is how many devices may come in (above 1 every candidate is tried without asking which);
    `inputs` are what the method declared.
    """

    home: str
    account: str
    method: str = ANY
    device: str | None = None
    host: str | None = None
    port: int = 0
    want: int = 1
    lifetime_ms: int = LIFETIME_MS
    inputs: dict[str, str] = field(default_factory=dict)


class Later(Struct, frozen=True, kw_only=True):
    """A method that takes the place of others, `after_ms` into a session that has seen no sign of a device by then."""

    method: str
    follows: tuple[str, ...]
    after_ms: int


class SessionState(Struct, frozen=True, kw_only=True):
    """The whole of a session. `state` sums up its attempts while any is open.

    `methods` are those in use, `searching` those whose search still runs, `ready` those that could search at all,
    `later` those whose turn may come; `sign` says that a device took in what a method sent; `missed` is what a search
    that was ready failed with. `wrong_tokens` counts proofs that failed under the session's token. `finishing`: the
    person wants no further devices, those being spoken to are awaited. `closing` is the end a cancel, the deadline or
    `closing_cause` has decided on while a registration that may still commit is awaited.
    """

    id: str
    request: Request
    created_at: int
    expires_at: int
    state: State = State.CREATED
    revision: int = 0
    candidates: tuple[Candidate, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    steps: tuple[Step, ...] = ()
    methods: tuple[str, ...] = ()
    searching: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    later: tuple[Later, ...] = ()
    sign: bool = False
    missed: Failure | None = None
    wrong_tokens: int = 0
    chosen: str | None = None
    finishing: bool = False
    closing: State | None = None
    closing_cause: str = ""
    failure: Failure | None = None

    def attempt(self, number: int) -> Attempt | None:
        return self.attempts[number - 1] if 0 < number <= len(self.attempts) else None

    def candidate(self, candidate_id: str) -> Candidate | None:
        return next((c for c in self.candidates if c.id == candidate_id), None)

    def where(self, attempt: int = 0) -> str:
        """The step the attempt (0: the session) stands in: the key of its latest one."""
        keys = [step.key for step in self.steps if step.attempt == attempt] or [step.key for step in self.steps]
        return keys[-1] if keys else str(self.state)

    def steps_of(self, attempt: int) -> tuple[Step, ...]:
        """The steps of one attempt (0: of the session as a whole), oldest first."""
        return tuple(step for step in self.steps if step.attempt == attempt)

    @property
    def open_attempts(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if not a.state.terminal)

    @property
    def results(self) -> tuple[Attempt, ...]:
        """What has become of each device that was spoken to: the attempt it joined in, or its latest."""
        latest = {a.candidate.id: a for a in self.attempts}
        return tuple((latest | {a.candidate.id: a for a in self.attempts if a.device is not None}).values())

    @property
    def devices(self) -> tuple[str, ...]:
        """The ids of the devices this session has brought in."""
        return tuple(a.device for a in self.attempts if a.device is not None)


def new_session(session_id: str, request: Request, now: int) -> SessionState:
    """A session as it is created at `now`, ending by itself after the requested lifetime, at most ten minutes."""
    lifetime = min(max(request.lifetime_ms, 1), LIFETIME_MS)
    return SessionState(id=session_id, request=request, created_at=now, expires_at=now + lifetime)


def with_step(session: SessionState, now: int, key: str, attempt: int = 0, /, **detail: str) -> SessionState:
    """The session with one more step; the oldest fall off beyond `MAX_STEPS`."""
    seq = session.steps[-1].seq + 1 if session.steps else 1
    step = Step(seq=seq, key=key, at=now, attempt=attempt, detail=detail)
    return structs.replace(session, steps=(*session.steps, step)[-MAX_STEPS:])
