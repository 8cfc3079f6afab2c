"""How a home's copy here stands to its cloud's: for the API, events, metrics and the command."""

from typing import Literal

from msgspec import Struct

from app.clock import Time, to_time
from app.store.tx import Reader
from app.sync import behind_queries, outbox_queries, queries
from app.sync.catching_up import Talk
from app.sync.replica import Replica

State = Literal["alone", "authority", "joining", "snapshot", "synced", "offline", "refused"]


class SyncView(Struct, frozen=True):
    """A home and its cloud. `alone`: it has none; `authority`: this node is it; `offline`: level when they last spoke.

    `to_push` operations wait for the cloud's answer, `to_pull` facts of its log are not here, or not shown yet, as
    far as is known. `conflicts` that nobody has settled. `progress` of a first sync, 0 to 1; null when there is none.
    `problem` says why the cloud is not reached. `hubs` of the home are connected now, at a cloud.
    """

    home_id: str
    state: State
    cloud: str | None
    epoch: str | None
    head: int
    to_push: int
    to_pull: int
    conflicts: int
    last_contact_at: Time | None
    progress: float | None
    problem: str
    hubs: int = 0


def view_in(
    reader: Reader, home_id: str, replica: Replica, *, talk: Talk | None, remote: int, cloud_name: str | None
) -> SyncView:
    """As it is now."""
    shared = queries.shared(reader, home_id)
    if shared is None:
        return SyncView(home_id, "alone", None, None, 0, 0, 0, 0, None, None, "")
    conflicts = outbox_queries.count_open_conflicts(reader, home_id)
    unshown = behind_queries.count(reader, home_id)
    if shared.cloud_id is None:
        contact = None if shared.contact_at is None else to_time(shared.contact_at)
        return SyncView(home_id, "authority", None, shared.epoch, shared.head, 0, unshown, conflicts, contact, None, "")
    state, progress = state_in(reader, shared, replica, talk)
    contact_at = talk.contact_at if talk is not None and talk.contact_at is not None else shared.contact_at
    return SyncView(
        home_id,
        state,
        cloud_name,
        shared.epoch,
        shared.head,
        outbox_queries.waiting_count(reader, home_id),
        max(0, remote - shared.head) + unshown,
        conflicts,
        None if contact_at is None else to_time(contact_at),
        progress,
        "" if talk is None or talk.connected else talk.why,
    )


def state_in(reader: Reader, shared: queries.Shared, replica: Replica, talk: Talk | None) -> tuple[State, float | None]:
    """How a copy of a log stands, and how far a first sync is, 0 to 1."""
    if shared.state == "restating":
        return "joining", 0.0
    if shared.state == "snapshot":
        under_way = replica.snapshot_state(reader, shared.home_id)
        total = 0 if under_way is None else under_way.total
        return "snapshot", 0.0 if under_way is None or not total else min(1.0, under_way.done / total)
    if talk is not None and talk.refused:
        return "refused", None
    return ("synced" if talk is not None and talk.connected else "offline"), None
