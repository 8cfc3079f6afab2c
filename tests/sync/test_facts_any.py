"""Whatever a home can be, it comes to be on another node as it is; and from there whatever else it can be."""

import hashlib
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.clock import LAST_MS
from tests.api.harness import Api
from tests.api.things import bind
from tests.sync.sides import Facts, events_since, facts_of, last_event, memory_is_disk, put, rows_of

HOME: Final = "01900000-0000-7000-8000-000000000001"
GROUP: Final = "01900000-0000-7000-8000-000000000002"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


KEYS: Final = [_hash(f"person {n}") for n in range(6)]

letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x7f")
labels = st.text(letters, min_size=1, max_size=80)
names = labels.filter(lambda text: not text.isspace())
times = st.integers(0, LAST_MS)
windows = st.fixed_dictionaries(
    {
        "days": st.lists(st.integers(0, 6), min_size=1, max_size=7),
        "start": st.integers(0, 1439),
        "end": st.integers(0, 1440),
    }
)
hours = st.lists(windows, min_size=1, max_size=3)
only = st.frozensets(st.text(letters, min_size=1, max_size=20), max_size=3).map(sorted)
keys = st.sampled_from(KEYS)
limits = {"until": times, "hours": hours, "only": only}

homes = st.fixed_dictionaries(
    {"name": names, "time_zone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"])},
    optional={
        "latitude": st.floats(-90, 90),
        "longitude": st.floats(-180, 180),
        "address": labels,
        "offline_alert_after": st.integers(0, 2_592_000),
    },
)
rooms = st.fixed_dictionaries({"name": names}, optional={"icon": labels, "position": st.integers(1, 2**31)})
members = st.fixed_dictionaries(
    {"role": st.sampled_from(["owner", "admin", "member", "guest"]), "joined_at": times, "name": names},
    optional={"remark": labels, "anonymous": st.just(True), **limits},
)
invitations = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["admin", "member", "guest"]),
        "state": st.sampled_from(["pending", "accepted", "refused", "revoked"]),
        "created_at": times,
        "expires_at": times,
    },
    optional={"anonymous": st.just(True), "created_by": keys, "taken_by": keys, **limits},
)
shares = st.fixed_dictionaries(
    {
        "level": st.sampled_from(["view", "control"]),
        "state": st.sampled_from(["pending", "accepted", "refused", "ended"]),
        "giver": keys,
        "created_at": times,
        "expires_at": times,
    },
    optional={
        "receiver": keys,
        "accepted_at": times,
        "ended_at": times,
        "until": times,
        "hours": hours,
        "remark": labels,
    },
)


def _some(of: st.SearchStrategy[dict[str, Any]], name: str) -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    return st.dictionaries(st.sampled_from([f"{name}-{n}" for n in range(4)]), of, max_size=4)


@st.composite
def everything(draw: st.DrawFn) -> Facts:
    """A home, as it can be: one owner at most, codes nobody else has, and what is lent is there."""
    people = draw(st.dictionaries(keys, members, max_size=5))
    owners = [key for key, fields in people.items() if fields["role"] == "owner"]
    for key in owners[1:]:
        people[key]["role"] = "admin"
    lent = draw(_some(shares, "share"))
    for share_id, fields in lent.items():
        fields["kind"] = draw(st.sampled_from(["device", "group"]))
        if fields["state"] == "accepted":
            fields.setdefault("receiver", KEYS[0])
            fields.setdefault("accepted_at", 1)
        if "accepted_at" not in fields or draw(st.booleans()):
            fields["code_hash"] = _hash(share_id)
    invited = draw(_some(invitations, "invitation"))
    for invitation_id, fields in invited.items():
        fields["code_hash"] = _hash(invitation_id)
    return {
        "home": {HOME: draw(homes)},
        "member": people,
        "room": draw(_some(rooms, "room")),
        "invitation": invited,
        "share": lent,
    }


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(wanted=everything())
async def test_any_home_comes_to_be_from_any_other(cloud: Api, wanted: Facts) -> None:
    things = await _things(cloud)
    for fields in wanted["share"].values():
        fields["thing_id"] = things[fields["kind"]]
    there = await facts_of(cloud, HOME)
    gone = {name: dict.fromkeys(of_kind.keys() - wanted[name].keys()) for name, of_kind in there.items()}
    await put(cloud, HOME, {name: {**gone[name], **wanted[name]} for name in wanted})
    assert await facts_of(cloud, HOME) == wanted
    await memory_is_disk(cloud)
    before, place = await rows_of(cloud), await last_event(cloud)
    await put(cloud, HOME, wanted)
    assert await rows_of(cloud) == before
    assert await events_since(cloud, place) == []


async def _things(cloud: Api) -> dict[str, str]:
    """A device and a group in that home; made once."""
    found = await cloud.store.read(lambda r: r.all("SELECT id FROM devices"))
    if found:
        return {"device": found[0][0], "group": GROUP}
    await put(cloud, HOME, {"home": {HOME: {"name": "Lindenweg", "time_zone": "UTC"}}})
    sql = "INSERT INTO groups(id,home_id,name,least,created_at) VALUES(?,?,'Ceiling','guest',1)"
    await cloud.store.write(lambda tx: tx.run(sql, (GROUP, HOME)))
    return {"device": await bind(cloud, HOME), "group": GROUP}
