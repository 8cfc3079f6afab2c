"""How long and how much every table keeps: one table of numbers, each with its reason.

`keep_days`, `keep_rows`, `keep_each` (rows per value of `per`) and `keep_octets` are held by the store's own sweeps,
oldest first. `most` (rows per value of `per`) is held
by the service that inserts, with `demand_room`. What neither bounds goes with what it belongs to. A test holds that no
table is missing here.
"""

from typing import Final

from msgspec import Struct

from app.errors import TooMany
from app.store.tx import Tx

DAY_MS: Final = 24 * 3600 * 1000


class Keep(Struct, frozen=True):
    """The bounds of one table, and why they are what they are."""

    why: str
    keep_days: int | None = None
    keep_rows: int | None = None
    keep_octets: int | None = None
    keep_each: int | None = None
    most: int | None = None
    per: str | None = None


KEEP: Final[dict[str, Keep]] = {
    # The store's own.
    "hub": Keep("one row, by its key"),
    "secrets": Keep("one for each device, account or setting that has one; forgotten with it"),
    "idempotency": Keep(
        "a client that has not repeated within a day has given up; rows so that a flood cannot fill the disk",
        keep_days=1,
        keep_rows=200_000,
    ),
    "events": Keep("the replay promised to listeners: an older place gets a reset", keep_days=7, keep_rows=100_000),
    "audit": Keep("who did what, for a year; 200,000 rows are about 60 MB", keep_days=365, keep_rows=200_000),
    "journal": Keep(
        "a month of what devices did. A report is about 250 octets with its part of the indexes: 500,000 are 125 MB. "
        "What is said at length (messages of 1,000 characters would be 600 MB) is held to 256 MB, a thirtieth of a "
        "card of 8 GB. One device has a tenth of the rows: more than an entry a minute for all of the month",
        keep_days=30,
        keep_rows=500_000,
        keep_octets=256 * 1024 * 1024,
        keep_each=50_000,
        per="device_id",
    ),
    "commands": Keep("ended ones, as history; open ones end by their expiry", keep_days=30, keep_rows=200_000),
    "group_acts": Keep("as the commands they gave rise to", keep_days=30, keep_rows=20_000),
    "spent_refresh": Keep(
        "a stolen refresh token is seen again within its own life, at most 60 days: 5,760 of a phone that refreshes "
        "when it must; one that never stops refreshing loses its own oldest",
        keep_days=60,
        most=10_000,
        per="session_id",
    ),
    # Bounded where they are inserted.
    "accounts": Keep("a household, its guests and receivers of shares", most=1_000),
    "sessions": Keep("phones and browsers of one person; the oldest gives way", most=50, per="account_id"),
    "keys": Keep("programs of one person", most=100, per="account_id"),
    "digest_logins": Keep("at most one for each account; goes with it"),
    "tuya_sessions": Keep(
        "clients of one key that run at once; the one unused longest gives way", most=256, per="key_id"
    ),
    "tuya_pairings": Keep("tokens of a day; each is of a session, which are bounded", most=1_000, per="home_id"),
    "tuya_subscriptions": Keep("two for each key, and go with it"),
    "screen_sign_ins": Keep("made by screens nobody has signed in on: capped hard, and short-lived", most=100),
    "homes": Keep("on one hub; each also counts against its owner's memberships", most=1_000),
    "rooms": Keep("large houses have fewer than 100", most=200, per="home_id"),
    "members": Keep("the sharing model's order of magnitude (specs/tuya)", most=200, per="home_id"),
    "invitations": Keep("open and ended ones together; ended ones make room", most=500, per="home_id"),
    "devices": Keep("what the benchmark holds in memory, with room to spare", most=50_000, per="home_id"),
    "bindings": Keep("one for each piece of hardware ever bound; 100 B each", most=500_000),
    "device_credentials": Keep("at most one for each device; goes with it"),
    "resets": Keep(
        "one for each piece of hardware that was reset; ended ones are history for 90 days and make room",
        most=5_000,
        per="home_id",
    ),
    "heartbeats": Keep("the newest of each device; goes with it"),
    "iotda_devices": Keep("at most one for each device; goes with it"),
    "iotda_children": Keep(
        "one for each device ever behind a gateway; the oldest that is gone gives way", most=2_000, per="gateway_id"
    ),
    "iotda_packages": Keep("each may be 256 MiB: a household's devices, and some history", most=100),
    "iotda_upgrades": Keep("two for each device; goes with it"),
    "iotda_configs": Keep("at most one for each device; goes with it"),
    "iotda_logging": Keep("at most one for each device; goes with it"),
    "iotda_files": Keep("what a device may upload: the oldest gives way", most=100, per="device_id"),
    "shadow": Keep("one for each property of the product model of a device; goes with the device"),
    "shadow_versions": Keep("one for each service of the product model of a device; goes with the device"),
    "device_names": Keep("at most one for each property of the product model of a device; goes with the device"),
    "device_users": Keep("who stands on one scale, or opens one door", most=100, per="device_id"),
    "device_absences": Keep("at most one for each device; goes with it"),
    "sensors": Keep("at most one for each device; goes with it"),
    "groups": Keep("as rooms", most=500, per="home_id"),
    "group_devices": Keep("a group of everything in a large home", most=1_000, per="group_id"),
    "shares": Keep("open and ended ones together; ended ones make room", most=5_000, per="home_id"),
    "pairing_sessions": Keep("open and ended ones together; ended ones make room", most=1_000, per="home_id"),
    "wifi_networks": Keep("a house, its guests and an old router; what joins makes room", most=32, per="home_id"),
    "wifi_changes": Keep("nobody has so many routers; the oldest ended one gives way", most=20, per="home_id"),
    "wifi_change_devices": Keep("one for each device of the home that has a link; goes with the move or the device"),
    "pairing_joins": Keep("one for each device a session brought in; goes with the session"),
    "mesh_networks": Keep("one for each home that has mesh devices; goes with it"),
    "mesh_keys": Keep("a network key and an application key, or what an imported network has; goes with the network"),
    "mesh_nodes": Keep("one for each device of a mesh that was let in; unicast addresses are 32,767"),
    "mesh_retired": Keep("one for each node that ever left: bounded by the addresses there are"),
    "mesh_replay": Keep(
        "one for each source; a full list hears no new ones (ble.mesh.replay)", most=4_096, per="home_id"
    ),
    "mesh_groups": Keep("one for each group that has mesh devices"),
    "mesh_subscriptions": Keep("the models of a node that listen to a group; 16 each at most; goes with the node"),
    # Sync: facts of a home are bounded where they are made, and are never dropped for want of room.
    "account_keys": Keep("one for each account, and a few linked to it", most=8, per="account_id"),
    "sync_homes": Keep("at most one for each home"),
    "sync_entities": Keep("one for each fact of a home, and tombstones for 90 days (app.sync.authority)"),
    "sync_outbox": Keep("what people did here that the cloud has not heard: never dropped"),
    "sync_pending": Keep("what those are about; goes with them"),
    "sync_nodes": Keep("hubs, their earlier lives, and phones that write offline", most=500, per="home_id"),
    "sync_results": Keep("refusals; for 90 days, after which no node asks again"),
    "sync_dangling": Keep("at most a few for each fact"),
    "sync_behind": Keep("each fact in at most one, until its tables show it"),
    "sync_bindings": Keep("one for each piece of hardware of all homes", most=5_000_000),
    "hubs": Keep("of one owner at a cloud", most=50, per="owner_id"),
    "hub_homes": Keep("homes of a hub", most=200, per="hub_id"),
    "enrolments": Keep("codes of one person; short-lived", most=10, per="account_id"),
    "clouds": Keep("one: the hub's", most=1),
    "sync_reports": Keep("one for each service of a device; goes once it is told, or with the device"),
    "sync_heard": Keep("one for each service of the product model of a device; goes with the device"),
    "sync_mirrors": Keep("at most one for each home"),
    "sync_gaps": Keep("at most one for each device, until the cloud is told"),
    "sync_journals": Keep("one for each home, and at a cloud one for each life of its hubs"),
    "sync_commands": Keep("commands that go through here, until they have ended and that was told", keep_days=30),
    "readers": Keep("phones of one owner", most=20, per="account_id"),
    "iotda_upstreams": Keep("at most one for each home; goes with it"),
    "iotda_upstream_devices": Keep("one for each device of the home; goes once the platform has let it go"),
    "iotda_upstream_requests": Keep(
        "as many as a platform may have open, and those answered of late, by which a repeat is recognised: the oldest "
        "of them gives way",
        most=1_000,
        per="home_id",
    ),
    # Bounded by the MQTT link, in memory (app.links.mqtt.limits).
    "mqtt_sessions": Keep("a device has one; the one that would end first gives way", most=8, per="device_id"),
    "mqtt_received": Keep(
        "QoS 2 messages a client has not released; over it it is hung up on", most=1_024, per="session_id"
    ),
    "mqtt_owed": Keep(
        "what waits for a sleeping client; 1 MB each besides; goes with the session", most=256, per="session_id"
    ),
    "mqtt_retained": Keep("1 MB of a device besides; goes with it", most=64, per="device_id"),
}


def demand_room(tx: Tx, table: str, key: str | None = None) -> None:
    """Raise TooMany when `table` holds its most (for `key`, the value of its `per` column) already."""
    keep = KEEP[table]
    if keep.most is None or (keep.per is None) != (key is None):
        raise LookupError(f"{table} is bounded per {keep.per}")
    where, args = (f" WHERE {keep.per}=?", (key,)) if keep.per else ("", ())
    row = tx.one(f"SELECT count(*) FROM (SELECT 1 FROM {table}{where} LIMIT {keep.most})", args)  # noqa: S608 - our own names
    if row is not None and row[0] >= keep.most:
        raise TooMany(f"There can be at most {keep.most} {table.replace('_', ' ')} here.", most=keep.most)
