"""Who may do what: the rights written out a second time, and what must hold of any rights and any hours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.clock import Moment
from app.hours import MINUTE_MS, Window
from app.policy import (
    LEAST,
    NOBODY,
    SYSTEM,
    Action,
    Actor,
    Decision,
    Grant,
    Level,
    Resource,
    Role,
    Scope,
    Standing,
    Terms,
    Verdict,
    allowed,
    holds,
)

NOW = Moment(1_800_000_000_000)
UNTRUSTED = Moment(NOW.ms, trusted=False)
ANNA = Actor("anna")
ALL_DAYS = tuple(range(7))
HOME_ACTIONS = sorted(LEAST)

# Written by hand from the rights table: what the least of the roles may do, each role all of the one below.
GUEST = "home.read home.leave home.push room.read device.read device.control group.read group.control"
MEMBER = "member.read device.journal device_user.read device_user.manage"
ADMIN = (
    "home.update room.manage member.manage member.invite audit.read device.update device.remove device.freeze "
    "device.transfer group.manage share.read share.manage pair"
)
OWNER = "home.dissolve home.hand_over home.sync home.keys mesh.manage upstream.manage"
ALLOWED = {
    Role.GUEST: set(GUEST.split()),
    Role.MEMBER: set(f"{GUEST} {MEMBER}".split()),
    Role.ADMIN: set(f"{GUEST} {MEMBER} {ADMIN}".split()),
    # The owner hands over or dissolves; leaving would orphan the home.
    Role.OWNER: set(f"{GUEST} {MEMBER} {ADMIN} {OWNER}".split()) - {"home.leave"},
}


def at_home(role: Role, **more: object) -> Resource:
    return Resource(Standing(role), home_id="h", things=("d",), **more)  # type: ignore[arg-type]


def shared(*grants: Grant) -> Resource:
    return Resource(Standing(grants=grants), home_id="h", things=("d",))


def verdict(actor: Actor, action: Action, resource: Resource, now: Moment = NOW) -> Verdict:
    return allowed(actor, action, resource, now).verdict


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", HOME_ACTIONS)
def test_the_rights_of_each_role(role: Role, action: Action) -> None:
    expected = Verdict.YES if action.value in ALLOWED[role] else Verdict.NO
    assert verdict(ANNA, action, at_home(role)) is expected


@pytest.mark.parametrize("action", HOME_ACTIONS)
def test_to_a_stranger_a_home_does_not_exist(action: Action) -> None:
    assert verdict(ANNA, action, Resource(NOBODY, home_id="h", things=("d",))) is Verdict.HIDDEN


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.PUBLIC])
def test_without_an_account_nothing_exists_but_what_is_public(action: Action) -> None:
    nobody = Actor(None)
    assert verdict(nobody, action, at_home(Role.OWNER)) is Verdict.HIDDEN
    assert verdict(nobody, Action.PUBLIC, Resource()) is Verdict.YES


def test_every_action_is_decided_somewhere() -> None:
    outside = {Action.PUBLIC, Action.SELF, Action.HOME_CREATE, Action.HUB_MANAGE, Action.HUB_ENROL}
    assert set(Action) == outside | {Action.DEVICE_SPEAK, Action.SYNC_SPEAK} | set(LEAST)


def test_a_device_speaks_for_itself_and_may_nothing_else() -> None:
    device = Actor(None, "device/1", device_id="1")
    itself, other = Resource(things=("1",)), Resource(things=("2",))
    assert verdict(device, Action.DEVICE_SPEAK, itself) is Verdict.YES
    assert verdict(device, Action.DEVICE_SPEAK, other) is Verdict.HIDDEN
    assert verdict(Actor("anna"), Action.DEVICE_SPEAK, itself) is Verdict.HIDDEN
    for action in set(Action) - {Action.DEVICE_SPEAK, Action.PUBLIC}:
        assert verdict(device, action, at_home(Role.OWNER)) is Verdict.HIDDEN


def test_a_hub_speaks_to_its_cloud_and_may_nothing_else() -> None:
    hub = Actor(None, "hub/1", hub_id="1", node="n")
    assert verdict(hub, Action.SYNC_SPEAK, Resource()) is Verdict.YES
    assert verdict(ANNA, Action.SYNC_SPEAK, Resource()) is Verdict.HIDDEN
    assert verdict(Actor(None, "device/1", device_id="1"), Action.SYNC_SPEAK, Resource()) is Verdict.HIDDEN
    for action in set(Action) - {Action.SYNC_SPEAK, Action.PUBLIC}:
        assert verdict(hub, action, at_home(Role.OWNER)) is Verdict.HIDDEN


def test_hubs_are_enrolled_by_people_with_a_login_and_their_own() -> None:
    assert verdict(ANNA, Action.HUB_ENROL, Resource()) is Verdict.YES
    assert verdict(ANNA, Action.HUB_ENROL, Resource(account_id="anna")) is Verdict.YES
    assert verdict(ANNA, Action.HUB_ENROL, Resource(account_id="bert")) is Verdict.HIDDEN
    assert verdict(Actor("anna", anonymous=True), Action.HUB_ENROL, Resource()) is Verdict.NO
    assert verdict(Actor("anna", home_id="h"), Action.HUB_ENROL, Resource()) is Verdict.NO


def test_the_hub_itself_may_do_everything() -> None:
    assert {verdict(SYSTEM, action, Resource(), UNTRUSTED) for action in Action} == {Verdict.YES}


def test_nobody_becomes_the_hub_by_claiming_its_name() -> None:
    assert verdict(Actor(None, "system"), Action.HOME_READ, at_home(Role.OWNER)) is Verdict.HIDDEN


def test_what_is_a_persons_own() -> None:
    assert verdict(ANNA, Action.SELF, Resource(account_id="anna")) is Verdict.YES
    assert verdict(ANNA, Action.SELF, Resource(account_id="bert")) is Verdict.HIDDEN
    assert verdict(ANNA, Action.SELF, Resource()) is Verdict.HIDDEN


def test_who_makes_homes_and_who_manages_the_hub() -> None:
    assert verdict(ANNA, Action.HOME_CREATE, Resource()) is Verdict.YES
    assert verdict(Actor("anna", anonymous=True), Action.HOME_CREATE, Resource()) is Verdict.NO
    assert verdict(Actor("anna", home_id="h"), Action.HOME_CREATE, Resource()) is Verdict.NO
    assert verdict(ANNA, Action.HUB_MANAGE, Resource()) is Verdict.NO
    assert verdict(Actor("anna", hub_owner=True), Action.HUB_MANAGE, Resource()) is Verdict.YES


@pytest.mark.parametrize("action", HOME_ACTIONS)
def test_a_key_bound_to_one_home_finds_no_other(action: Action) -> None:
    assert verdict(Actor("anna", home_id="other"), action, at_home(Role.OWNER)) is Verdict.HIDDEN


SCOPE_OF = {
    "home.read": Scope.READ,
    "device.journal": Scope.READ,
    "device.control": Scope.CONTROL,
    "pair": Scope.MANAGE,
}


@pytest.mark.parametrize(("action", "scope"), SCOPE_OF.items())
def test_a_key_does_what_its_scopes_name(action: str, scope: Scope) -> None:
    for held in Scope:
        expected = Verdict.YES if held is scope else Verdict.NO
        assert verdict(Actor("anna", scopes=frozenset({held})), Action(action), at_home(Role.ADMIN)) is expected


@pytest.mark.parametrize("action", HOME_ACTIONS)
def test_a_missing_scope_does_not_tell_that_something_exists(action: Action) -> None:
    assert verdict(Actor("anna", scopes=frozenset()), action, Resource(NOBODY, home_id="h")) is Verdict.HIDDEN


@pytest.mark.parametrize("action", HOME_ACTIONS)
def test_to_a_guest_of_one_lamp_the_other_devices_do_not_exist(action: Action) -> None:
    standing = Standing(Role.GUEST, only=frozenset({"lamp", "group"}))
    for things, hidden in ((("lamp",), False), (("x", "group"), False), (("safe",), True)):
        decision = verdict(ANNA, action, Resource(standing, home_id="h", things=things))
        assert (decision is Verdict.HIDDEN) is hidden


def test_a_groups_own_demand_binds_members_and_guests() -> None:
    strict = at_home(Role.MEMBER, least=Role.ADMIN)
    assert verdict(ANNA, Action.GROUP_CONTROL, strict) is Verdict.NO
    assert verdict(ANNA, Action.GROUP_READ, strict) is Verdict.YES
    assert verdict(ANNA, Action.GROUP_CONTROL, at_home(Role.ADMIN, least=Role.ADMIN)) is Verdict.YES
    assert verdict(ANNA, Action.GROUP_CONTROL, at_home(Role.GUEST, least=Role.MEMBER)) is Verdict.NO
    assert verdict(ANNA, Action.GROUP_CONTROL, at_home(Role.GUEST, least=Role.GUEST)) is Verdict.YES


SHARE_RIGHTS = {
    Level.VIEW: {Action.DEVICE_READ, Action.GROUP_READ},
    Level.CONTROL: {Action.DEVICE_READ, Action.GROUP_READ, Action.DEVICE_CONTROL, Action.GROUP_CONTROL},
}


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("action", HOME_ACTIONS)
def test_a_share_gives_its_thing_and_nothing_of_the_home(level: Level, action: Action) -> None:
    expected = Verdict.YES if action in SHARE_RIGHTS[level] else Verdict.NO
    assert verdict(ANNA, action, shared(Grant(level))) is expected
    assert verdict(ANNA, action, shared(Grant(level, Terms(until=NOW.ms)))) is Verdict.HIDDEN


def test_the_best_of_several_shares_counts() -> None:
    ended, short = Grant(Level.CONTROL, Terms(until=NOW.ms - 1)), Grant(Level.CONTROL, Terms(until=NOW.ms + 5))
    long, view = Grant(Level.CONTROL, Terms(until=NOW.ms + 9)), Grant(Level.VIEW)
    for grants in ([ended, short, view, long], [long, view, short, ended]):
        assert allowed(ANNA, Action.DEVICE_CONTROL, shared(*grants), NOW) == Decision(Verdict.YES, NOW.ms + 9)
        assert allowed(ANNA, Action.DEVICE_READ, shared(*grants), NOW) == Decision(Verdict.YES)


def test_what_ends_at_a_time_is_refused_while_nobody_knows_the_time() -> None:
    for terms in (Terms(until=NOW.ms + 1), Terms(hours=(Window(ALL_DAYS, 0, 0),))):
        assert holds(terms, UNTRUSTED).verdict is Verdict.UNTRUSTED_CLOCK
    assert holds(Terms(), UNTRUSTED).yes
    assert verdict(ANNA, Action.DEVICE_CONTROL, at_home(Role.MEMBER), UNTRUSTED) is Verdict.YES
    guest = Resource(Standing(Role.GUEST, Terms(until=NOW.ms + 1)), home_id="h", things=("d",))
    assert verdict(ANNA, Action.DEVICE_CONTROL, guest, UNTRUSTED) is Verdict.UNTRUSTED_CLOCK
    assert verdict(ANNA, Action.HOME_LEAVE, guest, UNTRUSTED) is Verdict.YES


def test_a_guest_may_leave_out_of_hours_and_is_gone_after_the_end() -> None:
    closed = Terms(hours=(Window((), 0, 0),))
    out_of_hours = Resource(Standing(Role.GUEST, closed), home_id="h")
    assert verdict(ANNA, Action.HOME_READ, out_of_hours) is Verdict.NO
    assert verdict(ANNA, Action.HOME_LEAVE, out_of_hours) is Verdict.YES
    ended = Resource(Standing(Role.GUEST, Terms(until=NOW.ms)), home_id="h")
    assert {verdict(ANNA, action, ended) for action in HOME_ACTIONS} == {Verdict.HIDDEN}


ROLES = st.sampled_from(list(Role))


@given(st.sampled_from(HOME_ACTIONS), ROLES, ROLES, st.none() | ROLES)
def test_a_higher_role_may_do_no_less(action: Action, one: Role, other: Role, least: Role | None) -> None:
    low, high = sorted((one, other), key=[Role.GUEST, Role.MEMBER, Role.ADMIN, Role.OWNER].index)
    if action is Action.HOME_LEAVE:
        return
    if verdict(ANNA, action, at_home(low, least=least)) is Verdict.YES:
        assert verdict(ANNA, action, at_home(high, least=least)) is Verdict.YES


# hours ----------------------------------------------------------------------------------------------------------------

# Half-hour and 45-minute offsets, changes at midnight, of half an hour, southern, twice around Ramadan, and a lost day.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Tehran",
    "America/Havana",
]
CLOCK_CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "America/Sao_Paulo": ("2017-10-15T03:00", "2018-02-18T02:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
    "Africa/Casablanca": ("2026-02-15T02:00", "2026-03-22T02:00"),
    "Pacific/Apia": ("2011-12-30T10:00", "2012-03-31T14:00"),
    "Asia/Tehran": ("2021-03-21T20:30", "2021-09-21T19:30"),
    "America/Havana": ("2026-03-08T05:00", "2026-11-01T05:00"),
}
MINUTES = st.integers(0, 1439)
WINDOWS = st.builds(
    Window, st.lists(st.integers(0, 6), unique=True).map(tuple), MINUTES, st.one_of(MINUTES, st.just(1440))
)
HOURS = st.lists(WINDOWS, min_size=1, max_size=3).map(tuple)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and a time (ms) in it, mostly within two days of a change of its clock."""
    zone = draw(st.sampled_from(ZONES))
    base = draw(st.sampled_from(CLOCK_CHANGES.get(zone, ("2026-06-01T00:00",))))
    start = datetime.fromisoformat(base).replace(tzinfo=UTC) + timedelta(minutes=draw(st.integers(-2880, 2880)))
    return zone, int(start.timestamp() * 1000) + draw(st.integers(0, MINUTE_MS - 1))


def inside(hours: tuple[Window, ...], zone: str, ms: int) -> bool:
    """The meaning of hours, told another way: by the wall clock, yesterday's windows run into today."""
    wall = datetime.fromtimestamp(ms // 1000, ZoneInfo(zone)).replace(tzinfo=None)
    for back in (0, 1):
        day = (wall - timedelta(days=back)).replace(hour=0, minute=0, second=0)
        for window in hours:
            length = window.end - window.start if window.end > window.start else window.end - window.start + 1440
            begins = day + timedelta(minutes=window.start)
            if day.weekday() in window.days and begins <= wall < begins + timedelta(minutes=length):
                return True
    return False


@settings(max_examples=300, deadline=None)
@given(moments(), HOURS)
@example(("Europe/Berlin", 1_792_887_600_000), (Window(ALL_DAYS, 150, 300),))
def test_hours_hold_until_the_minute_they_say(when: tuple[str, int], hours: tuple[Window, ...]) -> None:
    zone, ms = when
    decision = holds(Terms(hours=hours, time_zone=zone), Moment(ms))
    assert decision.yes is inside(hours, zone, ms)
    if not decision.yes:
        assert decision.verdict is Verdict.NO
        return
    assert decision.until is not None
    minute = ms - ms % MINUTE_MS
    end = min(decision.until, minute + 3 * 1440 * MINUTE_MS)
    assert all(inside(hours, zone, at) for at in range(minute, end, MINUTE_MS))
    assert not inside(hours, zone, decision.until) or decision.until - minute == 8 * 1440 * MINUTE_MS


@pytest.mark.full
@settings(max_examples=20_000, deadline=None)
@given(moments(), HOURS)
def test_hours_hold_until_the_minute_they_say_at_length(when: tuple[str, int], hours: tuple[Window, ...]) -> None:
    zone, ms = when
    decision = holds(Terms(hours=hours, time_zone=zone), Moment(ms))
    assert decision.yes is inside(hours, zone, ms)
    if decision.until is not None:
        minute = ms - ms % MINUTE_MS
        end = min(decision.until, minute + 1440 * MINUTE_MS)
        assert all(inside(hours, zone, at) for at in range(minute, end, MINUTE_MS))
        assert not inside(hours, zone, decision.until) or decision.until - minute == 8 * 1440 * MINUTE_MS


def local(zone: str, text: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


NIGHT = (Window((5,), 22 * 60, 6 * 60),)


@pytest.mark.parametrize(
    ("asked", "ends"),
    [
        # Saturday night into the Sunday on which clocks go forward, then back: 7 and 9 hours later, at 6 by the clock.
        ("2026-03-28T22:00", "2026-03-29T06:00"),
        ("2026-10-24T22:00", "2026-10-25T06:00"),
    ],
)
def test_a_night_is_as_long_as_the_clock_says(asked: str, ends: str) -> None:
    zone = "Europe/Berlin"
    decision = holds(Terms(hours=NIGHT, time_zone=zone), Moment(local(zone, asked)))
    assert decision == Decision(Verdict.YES, local(zone, ends))


def test_an_end_the_clock_skips_is_the_skip() -> None:
    zone, hours = "Europe/Berlin", (Window((6,), 90, 150),)
    decision = holds(Terms(hours=hours, time_zone=zone), Moment(local(zone, "2026-03-29T01:45")))
    assert decision == Decision(Verdict.YES, local(zone, "2026-03-29T03:00"))


def test_an_hour_that_comes_twice_is_inside_twice() -> None:
    zone, hours = "Europe/Berlin", (Window((6,), 135, 165),)
    for fold in (0, 1):
        decision = holds(Terms(hours=hours, time_zone=zone), Moment(local(zone, "2026-10-25T02:20", fold)))
        assert decision == Decision(Verdict.YES, local(zone, "2026-10-25T02:45", fold))
    assert not holds(Terms(hours=hours, time_zone=zone), Moment(local(zone, "2026-10-25T02:50"))).yes


@given(moments(), HOURS, st.integers(1, 10**9))
def test_an_end_within_the_hours_comes_first(when: tuple[str, int], hours: tuple[Window, ...], later: int) -> None:
    zone, ms = when
    by_hours = holds(Terms(hours=hours, time_zone=zone), Moment(ms))
    both = holds(Terms(ms + later, hours, zone), Moment(ms))
    if by_hours.until is None:
        assert both == by_hours
    else:
        assert both == Decision(Verdict.YES, min(by_hours.until, ms + later))
    assert holds(Terms(ms, hours, zone), Moment(ms)).verdict is Verdict.HIDDEN


@pytest.mark.parametrize(
    ("role", "manages"),
    [
        (Role.OWNER, {Role.ADMIN, Role.MEMBER, Role.GUEST}),
        (Role.ADMIN, {Role.MEMBER, Role.GUEST}),
        (Role.MEMBER, set()),
        (Role.GUEST, set()),
    ],
)
@pytest.mark.parametrize("action", [Action.MEMBER_MANAGE, Action.MEMBER_INVITE])
def test_nobody_gives_or_takes_what_they_have_themselves(role: Role, manages: set[Role], action: Action) -> None:
    for whose in Role:
        expected = Verdict.YES if whose in manages else Verdict.NO
        whose_membership = Resource(Standing(role), home_id="h", role=whose)
        assert verdict(ANNA, action, whose_membership) is expected
