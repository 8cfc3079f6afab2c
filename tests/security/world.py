"""One home, everybody who can be something to it, and a second home that is nothing to most of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from app.accounts import queries as account_queries
from app.accounts.codes import hash_token
from app.accounts.model import Key, Session
from app.clock import to_time
from app.hours import Window
from app.onboarding import queries as onboarding_queries
from app.policy import SYSTEM, Scope
from app.settings import Limits
from app.store.tx import Tx
from app.sync import queries as sync_queries
from app.sync.enrolment import queries as enrolment_queries
from app.sync.enrolment.model import EnrolledHub, Enrolment, EnrolmentState, Introduction
from app.sync.model import Part
from pairing.session.states import Request, State
from tests.api.harness import NEVER, Api
from tests.api.households import join, new_home
from tests.api.things import bind
from tests.pairing.session.sessions import in_state

# Names nobody may read who may not see the home.
CANARY = "Canary"
LOOSE = Limits(
    anonymous_per_minute=1_000_000,
    requests_per_second=1_000_000,
    request_burst=1_000_000,
    login_attempts_per_account=1_000_000,
    login_attempts_per_address=1_000_000,
)
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
DAY_MINUTES = 24 * 60
HOUR_MS = 3_600_000

# Credentials that are none.
INVALID = ("nobody", "wrong", "revoked", "expired")
# Everybody else; each is told apart by what they are to the home.
VALID = (
    "owner",
    "admin",
    "member",
    "unnamed",  # a member without a login
    "guest",  # of one device and one group
    "off_guest",  # outside their hours
    "late_guest",  # past their end
    "ex_member",
    "outsider",  # owner of the other home
    "viewer",  # receives a share of the device, as the three below
    "controller",
    "late_viewer",  # past its end
    "ex_viewer",  # ended
    "group_controller",  # receives a share of the group the device is in
    "key_read",  # the owner's, as the three below
    "key_control",
    "key_home",  # everything, in this home
    "key_elsewhere",  # everything, in another home of the owner's
)
ACTORS = (*INVALID, *VALID)


class Ids(Struct):
    """What a path can name, in one home."""

    home_id: str = ""
    room_id: str = ""
    account_id: str = ""
    invitation_id: str = ""
    device_id: str = ""
    group_id: str = ""
    share_id: str = ""
    command_id: str = ""
    act_id: str = ""  # what was asked of the group
    session_id: str = ""  # of pairing
    network_id: str = ""
    change_id: str = ""  # of a home's move to another Wi-Fi
    service: str = ""
    user_id: str = ""  # of a device
    hub_id: str = ""  # enrolled by the home's owner
    enrolment_id: str = ""
    conflict_id: str = ""


class World:
    """The homes, and a token for each of ACTORS."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tokens: dict[str, str | None] = {"nobody": None, "wrong": "not-a-token"}
        self.here = Ids()
        self.there = Ids()
        self.letter = ""  # an invitation to ex_member
        self.reader = ""  # a phone of the owner's that secrets are sealed for
        self.offer = ""  # a share offered to ex_member
        self.other_device = ""  # in the home, but lent to nobody and not the guest's
        self.clients: dict[str, httpx2.AsyncClient] = {}

    def client(self, actor: str) -> httpx2.AsyncClient:
        """What `actor` asks with."""
        if actor not in self.clients:
            self.clients[actor] = self.api.client(self.tokens[actor])
        return self.clients[actor]

    def account(self, actor: str) -> str:
        """The account behind one of VALID."""
        return self.api.actor(self.tokens[actor] or "").account_id or ""

    def credential(self, actor: str) -> str:
        """The session or key behind one of VALID."""
        return self.api.actor(self.tokens[actor] or "").credential_id or ""


async def build(api: Api) -> World:
    """Everything and everybody, through the services where a person would do it."""
    world = World(api)
    await _people(world)
    await api.services.onboarding.open([])
    await _home(world, world.here, "owner", "Here")
    await _home(world, world.there, "outsider", "There")
    world.other_device = await bind(api, world.here.home_id, "d-other")
    world.here.service = "light"
    await _shares(world)
    await _members(world)
    await _letter(world)
    await _keys(world)
    await _broken(world)
    await _log(world, world.here, "owner")
    await _log(world, world.there, "outsider")
    return world


async def _people(world: World) -> None:
    for name in VALID:
        if not name.startswith("key_"):
            person = await world.api.person(f"{name}-{CANARY}", anonymous=name == "unnamed")
            world.tokens[name] = str(person.headers["authorization"]).removeprefix("Bearer ")
    accounts, owner = world.api.services.credentials.accounts, world.account("owner")

    def crown(tx: Tx) -> None:
        account = accounts.get(owner)
        assert account is not None
        tx.run("UPDATE accounts SET hub_owner=1 WHERE id=?", (owner,))
        accounts.put(tx, owner, msgspec.structs.replace(account, hub_owner=True))

    await world.api.store.write(crown)


async def _home(world: World, ids: Ids, owner: str, name: str) -> None:
    client = world.client(owner)
    path = await new_home(client, name=f"{CANARY} {name}", time_zone="UTC")
    ids.home_id = path.rpartition("/")[2]
    ids.room_id = await made(client, f"{path}/rooms", {"name": f"{CANARY} room"})
    ids.invitation_id = await made(client, f"{path}/invitations", {"role": "member"}, "invitation", "id")
    ids.device_id = await bind(world.api, ids.home_id, f"d-{name.lower()}", name="Porch lamp", room_id=ids.room_id)
    ids.group_id = await made(client, f"{path}/groups", {"name": f"{CANARY} group", "devices": [ids.device_id]})
    device = f"/api/devices/{ids.device_id}"
    ids.share_id = await made(client, f"{device}/shares", {}, "share", "id")
    ids.command_id = await made(client, f"{device}/commands", {"service": "light", "values": {"on": True}})
    ids.user_id = await made(client, f"{device}/users", {"nick_name": f"{CANARY} {name}", "sex": "female"})
    on = {"service": "light", "values": {"on": True}}
    ids.act_id = await made(client, f"/api/groups/{ids.group_id}/commands", on)
    ids.change_id = await made(client, f"{path}/wifi-change", {"ssid": f"{CANARY} {name}", "password": "canary bird"})
    ids.network_id = await made(client, f"{path}/networks", {"ssid": f"{CANARY} {name}", "password": "canary bird"})
    ids.session_id = await _pairing(world, ids.home_id, world.account(owner))
    await _hub(world, ids, world.account(owner), name)


async def _hub(world: World, ids: Ids, owner_id: str, name: str) -> None:
    """A hub that is enrolled, and one that has asked: as a cloud has them."""
    hubs, asks = world.api.services.enrolment.hubs, f"{CANARY} asks in {name}"
    ids.hub_id = f"h-{name.lower()}"

    def act(tx: Tx) -> None:
        hub = EnrolledHub(ids.hub_id, bytes(32), bytes(32), f"{CANARY} hub", owner_id, "n", 1, 1, tx.now, None, None)
        hubs.keep_in(tx, SYSTEM, "hub.enrolled", hub)
        hubs.attach_in(tx, hub.id, ids.home_id)
        asker = Introduction(f"h-new-{name.lower()}", asks, bytes(32), bytes(32), "n", 1, b"", b"", "123456", b"")
        ids.enrolment_id, ends = tx.new_id(), tx.now + 1000 * HOUR_MS
        asked = Enrolment(ids.enrolment_id, hash_token(asks), owner_id, EnrolmentState.ASKED, asker, tx.now, ends)
        enrolment_queries.insert_enrolment(tx, asked)
        enrolment_queries.update_enrolment(tx, asked)

    await world.api.store.write(act)


async def _log(world: World, ids: Ids, owner: str) -> None:
    """The home has a log, and in it what was lost."""
    sync, account_id = world.api.services.sync, world.account(owner)

    def act(tx: Tx) -> None:
        sync.attaching.found_in(tx, account_id, ids.home_id)
        room = sync_queries.entity(tx, ids.home_id, "room", ids.room_id)
        assert room is not None
        ids.conflict_id = tx.new_id()
        lost = {"kind": "room", "id": ids.room_id, "field": "name", "why": "newer", "lost": f"{CANARY} lost"}
        by = {"lost_by": room.stamp.actor, "lost_at": tx.now, "kept": f"{CANARY} room", "kept_by": "", "kept_at": 1}
        fields = {**lost, **by, "state": "open"}
        sync.authority.local_in(tx, ids.home_id, "", [Part("conflict", ids.conflict_id, "new", fields)])

    await world.api.store.write(act)


async def _pairing(world: World, home_id: str, account_id: str) -> str:
    """A pairing session that has ended: none can run without a radio or a network."""
    request = Request(home=home_id, account=account_id)
    state = in_state(State.CANCELLED)
    # Of now: what ended long ago is swept away while a slow machine is still at the tests.
    now = world.api.clock.now().ms
    mine = msgspec.structs.replace(state, id=f"pairing-{home_id}", request=request, created_at=now)

    def act(tx: Tx) -> None:
        onboarding_queries.insert(tx, mine)
        onboarding_queries.update(tx, mine)

    await world.api.store.write(act)
    return mine.id


async def _shares(world: World) -> None:
    """Each offered by the owner to a login and accepted; then an hour and more passes for the late one."""
    home = f"/api/homes/{world.here.home_id}/shares"
    until = to_time(world.api.clock.now().ms + HOUR_MS).isoformat()
    wanted = {"viewer": {"level": "view"}, "controller": {}, "late_viewer": {"until": until}, "ex_viewer": {}}
    wanted["group_controller"] = {}
    given = {}
    for name, fields in wanted.items():
        body = {"login": f"{name}-{CANARY}".lower(), **fields}
        lent = f"groups/{world.here.group_id}" if name.startswith("group") else f"devices/{world.here.device_id}"
        given[name] = await made(world.client("owner"), f"/api/{lent}/shares", body, "share", "id")
        accepted = await world.client(name).post(f"/api/me/shares/{given[name]}/accept")
        assert accepted.status_code == 200, accepted.text
    assert (await world.client("owner").delete(f"{home}/{given['ex_viewer']}")).status_code == 204
    world.here.share_id = given["viewer"]
    world.api.forward(2 * HOUR_MS)


async def made(client: httpx2.AsyncClient, path: str, body: dict[str, Any], *where: str) -> str:
    """Make something; returns its id, found at `where` in the answer."""
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    found = answer.json()
    for key in where or ("id",):
        found = found[key]
    return str(found)


async def _members(world: World) -> None:
    home, now = f"/api/homes/{world.here.home_id}", world.api.clock.now().ms
    limits: dict[str, dict[str, Any]] = {
        "guest": {"until": now + 1000 * HOUR_MS, "only": frozenset({world.here.device_id, world.here.group_id})},
        "off_guest": {"hours": (_not_now(now),)},
        "late_guest": {"until": now - 1},
    }
    for name in ("admin", "member", "unnamed", "guest", "off_guest", "late_guest", "ex_member"):
        role = "admin" if name == "admin" else "guest" if name.endswith("guest") else "member"
        await join(world.api, home, world.client(name), role, **limits.get(name, {}))
    left = await world.client("owner").delete(f"{home}/members/{world.account('ex_member')}")
    assert left.status_code == 204
    world.here.account_id = world.account("member")
    helper = await world.api.person("helper")
    await join(world.api, f"/api/homes/{world.there.home_id}", helper, "member")
    world.there.account_id = str(helper.headers["authorization"]).removeprefix("Bearer ")


async def _letter(world: World) -> None:
    owner, login = world.client("owner"), f"ex_member-{CANARY}".lower()
    invitations = f"/api/homes/{world.here.home_id}/invitations"
    world.letter = await made(owner, invitations, {"role": "member", "login": login}, "invitation", "id")
    world.offer = await made(owner, f"/api/devices/{world.here.device_id}/shares", {"login": login}, "share", "id")


def _not_now(now: int) -> Window:
    time = datetime.fromtimestamp(now / 1000, UTC)
    minute = time.hour * 60 + time.minute
    return Window(days=EVERY_DAY, start=(minute + 120) % DAY_MINUTES, end=(minute + 180) % DAY_MINUTES)


async def _keys(world: World) -> None:
    phone = {"name": "Phone", "seal_key": "09".ljust(64, "0")}
    world.reader = await made(world.client("owner"), "/api/me/readers", phone, "id")
    elsewhere = (await new_home(world.client("owner"), name="Elsewhere")).rpartition("/")[2]
    wanted: dict[str, tuple[frozenset[Scope], str | None]] = {
        "key_read": (frozenset({Scope.READ}), None),
        "key_control": (frozenset({Scope.READ, Scope.CONTROL}), None),
        "key_home": (frozenset(Scope), world.here.home_id),
        "key_elsewhere": (frozenset(Scope), elsewhere),
    }
    owner = world.account("owner")
    for name, (scopes, home_id) in wanted.items():
        world.tokens[name] = f"token of {name}"
        await world.api.store.write(_key(world.api, owner, name, scopes, home_id))


def _key(api: Api, owner: str, name: str, scopes: frozenset[Scope], home_id: str | None) -> Callable[[Tx], None]:
    def act(tx: Tx) -> None:
        secret = hash_token(f"token of {name}")
        key = Key(tx.new_id(), owner, home_id, name, "companion", scopes, secret, created_at=tx.now, expires_at=None)
        account_queries.insert_key(tx, key)
        api.services.credentials.keys.put(tx, key.id, key)

    return act


async def _broken(world: World) -> None:
    """Tokens of the owner's that were good once."""
    api, owner = world.api, world.account("owner")
    await api.store.write(lambda tx: api.phone_in(tx, owner, "revoked", "an old phone"))
    world.tokens["revoked"] = "revoked"
    assert (await world.client("revoked").post("/api/sign-out")).status_code == 204
    world.tokens["expired"] = "expired"

    def expired(tx: Tx) -> None:
        until, refresh = tx.now - 1, hash_token("refresh expired")
        session = Session(
            tx.new_id(), owner, "asleep", hash_token("expired"), until, refresh, NEVER, "127.0.0.1", tx.now, tx.now
        )
        account_queries.insert_session(tx, session)
        api.services.credentials.sessions.put(tx, session.id, session)

    await api.store.write(expired)
