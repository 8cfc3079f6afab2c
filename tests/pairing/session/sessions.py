"""Sessions in every state, as the tests want them: each reached by the events that lead there."""

from pairing.session import events as ev
from pairing.session.reducer import reduce
from pairing.session.states import Candidate, Later, Request, SessionState, State, new_session

NOW = 1_700_000_000_000
LAMP = Candidate(id="d-lamp", method="wired", name="Lamp", product="lamp", addresses=("127.0.0.1",), port=4000)
PLUG = Candidate(id="d-plug", method="wired", name="Plug", product="plug", addresses=("127.0.0.1",), port=4001)

SLOW = Later(method="slow", follows=("wired",), after_ms=45_000)

_BEGUN = (ev.Begin(("wired",), (SLOW,)),)
_SEARCHING = (*_BEGUN, ev.Ready("wired"), ev.Heard(LAMP))
_PROVING = (*_SEARCHING, ev.Settled())
_JOINING = (*_PROVING, ev.Proven(1, "pin", "d-lamp"))

PATHS: dict[State, tuple[ev.Event, ...]] = {
    State.CREATED: (),
    State.PREPARING: _BEGUN,
    State.SEARCHING: _SEARCHING,
    State.FOUND: (*_SEARCHING, ev.Heard(PLUG), ev.Settled()),
    State.ASKING: (*_PROVING, ev.PinAsked(1)),
    State.PROVING: _PROVING,
    State.CONFIRMING: (*_PROVING, ev.CodeShown(1, "123456")),
    State.JOINING: _JOINING,
    State.JOINED: (*_JOINING, ev.Registered(1, "dev-1"), ev.AttemptEnded(1)),
    State.FAILED: (*_PROVING, ev.AttemptFailed(1, "proof_failed")),
    State.CANCELLED: (*_PROVING, ev.Cancel()),
    State.EXPIRED: (*_PROVING, ev.Expire()),
}


def after(*events: ev.Event, request: Request | None = None, now: int = NOW) -> SessionState:
    """A new session after these events."""
    session = new_session("s-1", request or Request(home="h-1", account="a-1"), now)
    for event in events:
        session, _ = reduce(session, event, now)
    return session


def in_state(state: State) -> SessionState:
    session = after(*PATHS[state])
    assert session.state is state
    return session
