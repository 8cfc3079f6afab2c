"""Which of a home's devices the platform has: what is still to be said, and what its answers change.

All of it is on disk before an answer counts as heard, so a hub that is killed goes on where it was. Asking twice is
harmless: a device is asked for under an id that is its own (`mapping.remote_id`).
"""

from collections.abc import Container, Iterable
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from app.devices import queries as device_queries
from app.devices.model import Device
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.fields import given
from app.policy import SYSTEM, Action
from app.store.tx import Change, Reader, Tx
from app.sync.iotda import mapping, queries
from app.sync.iotda.model import Stage, SubDevice

# What a platform says of a device that is not behind this gateway there, or not there at all (1.7.3).
NOT_THERE: Final = frozenset({"IOTDA.014041", "IOTDA.014000"})
LET_GO: Final = "The platform has deleted it."
NOT_ANSWERED: Final = "The platform's answer did not mention it."


class Effect(Struct, gc=False):
    """Devices that the platform has from now on, by our ids, with what it calls them; and those it has no more."""

    come: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


def reconcile_in(tx: Tx, home_id: str) -> Effect:
    """Hold the list against the home: who is new is to be added, who has left is to be deleted."""
    effect = Effect()
    here = {device.id: device for device in device_queries.devices_where(tx, "home_id", home_id)}
    listed: set[str] = set()
    for row in queries.devices(tx, home_id):
        device = here.get(row.device_id)
        if device is not None and row.stage is Stage.REMOVED and device.owner_epoch > row.owner_epoch:
            queries.drop_device(tx, home_id, row.remote_id)  # it was paired anew since
        elif device is not None and mapping.remote_id(device) == row.remote_id:
            listed.add(device.id)
        elif device is not None and row.stage in (Stage.THERE, Stage.REMOVED) and not _is_ours(row):
            listed.add(device.id)  # the platform gave it another id than it was asked for
        else:
            _leave_in(tx, home_id, row, effect)
    for device in here.values():
        if device.id not in listed and device.unbound_at is None:
            queries.put_device(tx, home_id, SubDevice(mapping.remote_id(device), device.id, Stage.WANTED))
    return effect


def _is_ours(row: SubDevice) -> bool:
    return row.remote_id.endswith(f"_{row.device_id}")


def _leave_in(tx: Tx, home_id: str, row: SubDevice, effect: Effect) -> None:
    """What was perhaps asked for may be there: it is deleted as what was answered."""
    if row.stage in (Stage.THERE, Stage.WANTED):
        queries.put_device(tx, home_id, replace(row, stage=Stage.LEAVING, why=""))
        effect.gone.add(row.device_id)
    elif row.stage is not Stage.LEAVING:
        queries.drop_device(tx, home_id, row.remote_id)


# what is to be said


def additions(reader: Reader, home_id: str, gateway: str) -> tuple[paras.NewChild, ...]:
    """The next devices to be added, as many as one request takes."""
    rows = queries.devices_at(reader, home_id, Stage.WANTED, paras.MAX_CHANGED)
    devices = (device_queries.device(reader, row.device_id) for row in rows)
    return tuple(mapping.newcomer(device, gateway) for device in devices if device is not None)


def deletions(reader: Reader, home_id: str) -> tuple[str, ...]:
    """The next devices to be deleted, as many as one request takes."""
    rows = queries.devices_at(reader, home_id, Stage.LEAVING, paras.MAX_CHANGED, refused_too=False)
    return tuple(row.remote_id for row in rows)


# what the platform says


def added_in(tx: Tx, home_id: str, answer: paras.AddedChildren) -> Effect:
    """2.8.7."""
    effect = Effect()
    for child in answer.successful_devices:
        _there_in(tx, home_id, child, effect)
    for reason in answer.failed_devices:
        _refused_in(tx, home_id, reason)
    return effect


def _there_in(tx: Tx, home_id: str, child: paras.Child, effect: Effect) -> None:
    row = queries.device_of_remote(tx, home_id, child.device_id)
    if row is None:
        row = _renamed_in(tx, home_id, child)
    if row is not None and row.stage in (Stage.WANTED, Stage.REFUSED):
        queries.put_device(tx, home_id, replace(row, stage=Stage.THERE, why=""))
        effect.come[row.device_id] = row.remote_id


def _renamed_in(tx: Tx, home_id: str, child: paras.Child) -> SubDevice | None:
    """The row of what the platform gave an id of its own choice; our id of it is its node id."""
    for row in queries.devices_of(tx, home_id, given(child.node_id, "")):
        if row.stage in (Stage.WANTED, Stage.REFUSED):
            queries.drop_device(tx, home_id, row.remote_id)
            return replace(row, remote_id=child.device_id)
    return None


def _refused_in(tx: Tx, home_id: str, reason: paras.Reason) -> None:
    for row in queries.devices_of(tx, home_id, given(reason.node_id, "")):
        if row.stage is Stage.WANTED:
            queries.put_device(tx, home_id, replace(row, stage=Stage.REFUSED, why=_why(reason)))


def deleted_in(tx: Tx, home_id: str, answer: paras.DeletedChildren) -> None:
    """2.8.9. What is not (any more) the gateway's is deleted as well; all else is asked for at the next connection."""
    done = set(answer.successful_devices)
    done |= {given(reason.device_id, "") for reason in answer.failed_devices if reason.error_code in NOT_THERE}
    why = {given(reason.device_id, ""): _why(reason) for reason in answer.failed_devices}
    for remote_id in {*done, *why}:
        row = queries.device_of_remote(tx, home_id, remote_id)
        if row is None or row.stage is not Stage.LEAVING:
            continue
        if remote_id in done:
            queries.drop_device(tx, home_id, remote_id)
        else:
            queries.put_device(tx, home_id, replace(row, why=why[remote_id]))


def unmentioned_in(tx: Tx, home_id: str, asked: Iterable[str]) -> None:
    """What it was asked to add or delete, by the ids asked for, and did not mention in its answer counts as refused."""
    for remote_id in asked:
        row = queries.device_of_remote(tx, home_id, remote_id)
        if row is not None and row.stage in (Stage.WANTED, Stage.LEAVING):
            stage = Stage.REFUSED if row.stage is Stage.WANTED else Stage.LEAVING
            queries.put_device(tx, home_id, replace(row, stage=stage, why=NOT_ANSWERED))


def listed_in(tx: Tx, home_id: str, told: paras.ChildrenAdded) -> Effect:
    """2.8.1: the platform has these. What is no device of the home is somebody else's business."""
    effect = Effect()
    for child in told.devices:
        _there_in(tx, home_id, child, effect)
    queries.set_list_version(tx, home_id, _checked(told.version))
    return effect


def let_go_in(tx: Tx, home_id: str, told: paras.ChildrenDeleted) -> Effect:
    """2.8.2: the platform has deleted these; they are not added again until they are paired anew.

    What is not newer than the list as it is known was told before, and may have been undone since.
    """
    effect = Effect()
    upstream = queries.upstream(tx, home_id)
    if upstream is None or _checked(told.version) <= upstream.list_version:
        return effect
    queries.set_list_version(tx, home_id, told.version)
    for child in told.devices:
        row = queries.device_of_remote(tx, home_id, child.device_id)
        if row is not None and row.stage is Stage.LEAVING:
            queries.drop_device(tx, home_id, row.remote_id)
        if row is None or row.stage is not Stage.THERE:
            continue  # what is (still, or again) to be added is
        device = device_queries.device(tx, row.device_id)
        epoch = 0 if device is None else device.owner_epoch
        queries.put_device(tx, home_id, replace(row, stage=Stage.REMOVED, why=LET_GO, owner_epoch=epoch))
        effect.gone.add(row.device_id)
        data = {"device_id": row.device_id, "remote_id": row.remote_id}
        tx.record(SYSTEM, Change("upstream.device_removed", "home", home_id, home_id, Action.UPSTREAM_MANAGE, data))
    return effect


def missing_in(tx: Tx, home_id: str, answer: paras.StatusesUpdated, again: Container[str] = ()) -> Effect:
    """2.8.5: what the platform took for ours, and is not behind this gateway there, is to be added anew.

    One of `again` was: the platform may have its reasons.
    """
    effect = Effect()
    for reason in answer.failed_devices:
        row = queries.device_of_remote(tx, home_id, given(reason.device_id, ""))
        if row is None or row.stage is not Stage.THERE or reason.error_code not in NOT_THERE:
            continue
        stage, why = (Stage.REFUSED, _why(reason)) if row.remote_id in again else (Stage.WANTED, "")
        queries.put_device(tx, home_id, replace(row, stage=stage, why=why))
        effect.gone.add(row.device_id)
    return effect


def device_of(reader: Reader, home_id: str, remote_id: str) -> Device | None:
    """Our device that the platform calls so, while it is on its list."""
    row = queries.device_of_remote(reader, home_id, remote_id)
    device = None if row is None or row.stage is not Stage.THERE else device_queries.device(reader, row.device_id)
    return device if device is not None and device.home_id == home_id else None


def there(reader: Reader, home_id: str) -> dict[str, str]:
    """All that the platform has: our id of each, and what it calls it."""
    return {row.device_id: row.remote_id for row in queries.devices_at(reader, home_id, Stage.THERE, -1)}


def _checked(version: int) -> int:
    """Raises MalformedError for one that is no Long."""
    if not 0 <= version < 1 << 63:
        raise MalformedError("version: no number of a list")
    return version


def _why(reason: paras.Reason) -> str:
    return f"{reason.error_code} {reason.error_msg}"[:200]
