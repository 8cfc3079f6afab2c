"""A pairing session as its people see it, and what can be refused about one."""

from typing import Annotated

from msgspec import Meta, Struct

from app.clock import Time, to_time
from app.errors import Conflict, Invalid, TooMany
from pairing.announcement import Announcement
from pairing.inbox import Sighting
from pairing.methods import wired
from pairing.session import causes
from pairing.session.states import Attempt, Candidate, Failure, SessionState, Step

HostAddress = Annotated[str, Meta(max_length=64)]
DeviceId = Annotated[str, Meta(max_length=64)]
Pin = Annotated[str, Meta(min_length=1, max_length=64)]


class NoSuchMethod(Invalid):
    """The hub has no such pairing method, or something it needs was not given."""

    code = "no_method"
    hint = "GET /api/pairing/methods lists the methods and what each needs."


class TooManySessions(TooMany):
    """As many pairing sessions are open as may be."""

    code = "too_many_sessions"
    hint = "Cancel one, or wait: each ends by itself within ten minutes."


class NotNow(Conflict):
    """The session is in a state where this means nothing."""

    code = "not_now"
    hint = "Read the session again: its state says what it waits for."


class InputView(Struct, frozen=True):
    """Something a method needs; a secret one is kept encrypted, and only while the session is open."""

    name: str
    secret: bool
    optional: bool


class MethodView(Struct, frozen=True):
    """A way of pairing this hub has."""

    name: str
    inputs: list[InputView]


class InboxView(Struct, frozen=True):
    """A device on the network, or heard over Bluetooth, that belongs to no home here yet.

    All but the times is what it claims of itself. `method` is the way it is paired; `auth` "pin": its label carries
    one, "button": it has one to be pressed, "key": what it says must be deciphered, "open": none of these, "": it does
    not say. Pairing takes `id` as `device_id`,
    where `method` is "ble_wifi" `address` as `ble_name`.
    """

    id: str
    name: str
    product: str
    method: str
    auth: str
    address: str
    paired: bool
    first_seen: Time
    last_seen: Time


class FailureView(Struct, frozen=True):
    """Why it ended: `cause` and `next_step` are keys to translate, `text` and `hint` the English of them."""

    cause: str
    step: str
    retryable: bool
    next_step: str
    text: str
    hint: str
    detail: dict[str, str]


class StepView(Struct, frozen=True):
    """Something that happened, by key; `attempt` 0 is the session as a whole."""

    seq: int
    key: str
    at: Time
    attempt: int
    detail: dict[str, str]


class CandidateView(Struct, frozen=True):
    """A device that could be paired; `id` is what it claims to be. `auth` "pin": its label carries one."""

    id: str
    method: str
    name: str
    product: str
    auth: str
    address: str


class AttemptView(Struct, frozen=True):
    """One try with one candidate. `code` is to be compared with what the device shows, while `state` is confirming.

    Its steps are those of the session with this `number` as their `attempt`.
    """

    number: int
    candidate_id: str
    method: str
    name: str
    product: str
    state: str
    code: str
    trust: str
    device_id: str | None
    failure: FailureView | None


class ResultView(Struct, frozen=True):
    """What has become of one device so far: `attempt` is the one it joined in, or the latest with it."""

    candidate_id: str
    name: str
    attempt: int
    state: str
    device_id: str | None
    cause: str | None


class HandoverView(Struct, frozen=True):
    """What a phone sends to the device itself, in the device's setup network. All of it is secret."""

    ssid: str
    password: str
    bssid: str
    token: str
    expires_at: Time

    def __repr__(self) -> str:
        return f"HandoverView(ssid={self.ssid!r})"


class PairingView(Struct, frozen=True):
    """One attempt to bring devices into a home. `want` is how many may come, `results` has what became of each.

    `searching` are the methods that look for devices now; `finishing`: no further device is wanted.
    """

    id: str
    home_id: str
    account_id: str
    method: str
    want: int
    state: str
    searching: list[str]
    finishing: bool
    candidates: list[CandidateView]
    attempts: list[AttemptView]
    results: list[ResultView]
    device_ids: list[str]
    steps: list[StepView]
    failure: FailureView | None
    created_at: Time
    expires_at: Time


def view_of(state: SessionState) -> PairingView:
    """What the home's people are shown of a session."""
    return PairingView(
        id=state.id,
        home_id=state.request.home,
        account_id=state.request.account,
        method=state.request.method,
        want=state.request.want,
        state=state.state.value,
        searching=list(state.searching),
        finishing=state.finishing,
        candidates=[_candidate(candidate) for candidate in state.candidates],
        attempts=[_attempt(attempt) for attempt in state.attempts],
        results=[_result(attempt) for attempt in state.results],
        device_ids=list(state.devices),
        steps=[step_view(step) for step in state.steps],
        failure=_failure(state.failure),
        created_at=to_time(state.created_at),
        expires_at=to_time(state.expires_at),
    )


def inbox_view(sighting: Sighting) -> InboxView:
    """One device of the inbox."""
    device = sighting.device
    where = (wired.NAME, device.addresses[0]) if isinstance(device, Announcement) else (device.method, device.address)
    return InboxView(
        id=device.id,
        name=device.name,
        product=device.product,
        method=where[0],
        auth=device.auth,
        address=where[1],
        paired=device.paired,
        first_seen=to_time(sighting.first_seen),
        last_seen=to_time(sighting.last_seen),
    )


def step_view(step: Step) -> StepView:
    """One step."""
    return StepView(step.seq, step.key, to_time(step.at), step.attempt, step.detail)


def _candidate(candidate: Candidate) -> CandidateView:
    address = candidate.addresses[0] if candidate.addresses else ""
    return CandidateView(candidate.id, candidate.method, candidate.name, candidate.product, candidate.auth, address)


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt.number,
        attempt.candidate.id,
        attempt.candidate.method,
        attempt.candidate.name,
        attempt.candidate.product,
        attempt.state.value,
        attempt.code,
        attempt.trust,
        attempt.device,
        _failure(attempt.failure),
    )


def _result(attempt: Attempt) -> ResultView:
    cause = attempt.failure.cause if attempt.failure else None
    candidate = attempt.candidate
    return ResultView(candidate.id, candidate.name, attempt.number, attempt.state.value, attempt.device, cause)


def _failure(failed: Failure | None) -> FailureView | None:
    if failed is None:
        return None
    return FailureView(
        failed.cause,
        failed.step,
        failed.retryable,
        failed.next_step,
        causes.text(failed),
        causes.next_step_text(failed),
        failed.detail,
    )
