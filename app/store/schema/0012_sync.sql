-- Sync with a cloud: app/sync/PROTOCOL.md. `kind` and `id` name an entity of a home's log; blobs are MessagePack.

-- What is to be said to a cloud is in `sync_outbox`, as operations on entities; this one was never read.
DROP TABLE outbox;

-- A person may be known by several keys: the one made with the account, and those linked to it since.
CREATE TABLE account_keys (
  public_key BLOB PRIMARY KEY,             -- Ed25519
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  linked_at INTEGER NOT NULL,
  signs_in INTEGER NOT NULL DEFAULT 1      -- 0: the account was recovered since, and this key opens it no more
) WITHOUT ROWID;
CREATE INDEX account_keys_account ON account_keys(account_id);
INSERT INTO account_keys SELECT public_key, id, created_at, 1 FROM accounts;
-- Known from another node, by a key alone: nobody signs in to it here until they prove that key.
ALTER TABLE accounts ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0;

-- The hub that holds a device (NULL: this one; '': none), and the one that may take over from it without asking.
ALTER TABLE devices ADD COLUMN holder TEXT;
ALTER TABLE devices ADD COLUMN standby TEXT;

-- The logs this node has a copy of. The cloud that orders one is its authority.
CREATE TABLE sync_homes (
  home_id TEXT PRIMARY KEY,
  cloud_id TEXT,                           -- NULL: this node is the authority
  epoch TEXT NOT NULL,                     -- another after the authority was restored from a backup
  head INTEGER NOT NULL,                   -- the authority's last number; a replica has everything up to it
  floor INTEGER NOT NULL,                  -- tombstones up to it may be gone
  next_n INTEGER NOT NULL,                 -- of the next operation this node makes
  last_at INTEGER NOT NULL,                -- the last hybrid time given, ms * 65536 + counter
  state TEXT NOT NULL,                     -- authority: founding synced recovering; replica: restating snapshot synced
  snapshot_place BLOB,                     -- how far the snapshot under way has come
  contact_at INTEGER,                      -- when both last spoke
  offset_ms INTEGER NOT NULL DEFAULT 0,    -- the authority's clock less this one's, then
  kept INTEGER NOT NULL DEFAULT 0          -- at an authority that is back from a backup: the last number that was in it
) WITHOUT ROWID;

-- One row an entity: at the authority as it is, at a replica as the authority confirmed it.
CREATE TABLE sync_entities (
  home_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  dead_at INTEGER,                         -- ms; NULL: it is there
  round INTEGER NOT NULL DEFAULT 0,        -- of the snapshot that last had it
  body BLOB NOT NULL,
  PRIMARY KEY (home_id, kind, id)
);
CREATE INDEX sync_entities_seq ON sync_entities(home_id, seq);
CREATE INDEX sync_entities_dead ON sync_entities(home_id, dead_at) WHERE dead_at IS NOT NULL;

-- Operations the authority has not answered, in the order they were done here.
CREATE TABLE sync_outbox (
  place INTEGER PRIMARY KEY AUTOINCREMENT,
  home_id TEXT NOT NULL,
  node TEXT NOT NULL,                      -- whose: this node's, of an earlier life of it, or a phone's that it relays
  n INTEGER NOT NULL,
  answered_seq INTEGER,                    -- taken: it goes when `head` has come so far
  op BLOB NOT NULL,
  UNIQUE (home_id, node, n)
);
CREATE INDEX sync_outbox_home ON sync_outbox(home_id, place);

-- Which entities they are about.
CREATE TABLE sync_pending (
  home_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  place INTEGER NOT NULL REFERENCES sync_outbox(place) ON DELETE CASCADE,
  PRIMARY KEY (home_id, kind, id, place)
) WITHOUT ROWID;
CREATE INDEX sync_pending_place ON sync_pending(place);

-- How far each node that writes in a home has been heard, without gaps.
CREATE TABLE sync_nodes (
  home_id TEXT NOT NULL,
  node TEXT NOT NULL,
  hub_id TEXT,                             -- NULL: a phone's, or the authority's own
  account_key TEXT,                        -- of a phone's: whose
  last_n INTEGER NOT NULL,
  last_at INTEGER NOT NULL,                -- the last hybrid time taken from it
  cursor INTEGER NOT NULL DEFAULT 0,       -- what it has, as far as it has said
  heard_at INTEGER NOT NULL,
  PRIMARY KEY (home_id, node)
) WITHOUT ROWID;

-- What operations were answered that were not simply taken, for who asks again.
CREATE TABLE sync_results (
  home_id TEXT NOT NULL,
  node TEXT NOT NULL,
  n INTEGER NOT NULL,
  result BLOB NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (home_id, node, n)
) WITHOUT ROWID;

-- Entities whose row here waits for another's: a device for its room.
CREATE TABLE sync_dangling (
  home_id TEXT NOT NULL,
  on_kind TEXT NOT NULL,
  on_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (home_id, on_kind, on_id, kind, id)
) WITHOUT ROWID;
CREATE INDEX sync_dangling_of ON sync_dangling(home_id, kind, id);

-- At a cloud, over all homes: the newest binding of each piece of hardware.
CREATE TABLE sync_bindings (
  hardware_id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  owner_epoch INTEGER NOT NULL
) WITHOUT ROWID;

-- Hubs. At a cloud: those enrolled with it. At a hub: none.
CREATE TABLE hubs (
  id TEXT PRIMARY KEY,                     -- as it calls itself, from its identity key
  public_key BLOB NOT NULL,                -- Ed25519, made for this enrolment
  seal_key BLOB NOT NULL,                  -- X25519: what is sealed for it
  name TEXT NOT NULL,
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  node TEXT NOT NULL,                      -- its present life
  incarnation INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  enrolled_at INTEGER NOT NULL,
  heard_at INTEGER,
  revoked_at INTEGER
);
CREATE INDEX hubs_owner ON hubs(owner_id);

-- Which homes a hub serves.
CREATE TABLE hub_homes (
  hub_id TEXT NOT NULL REFERENCES hubs(id) ON DELETE CASCADE,
  home_id TEXT NOT NULL,
  since INTEGER NOT NULL,
  restated TEXT,                           -- the epoch of the log in which it has said what it had
  PRIMARY KEY (hub_id, home_id)
) WITHOUT ROWID;
CREATE INDEX hub_homes_home ON hub_homes(home_id);

-- Codes by which a hub enrols, until somebody has confirmed on both ends.
CREATE TABLE enrolments (
  id TEXT PRIMARY KEY,
  code_hash BLOB NOT NULL UNIQUE,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  state TEXT NOT NULL,                     -- offered asked confirmed refused
  hub BLOB,                                -- what the hub that took it up said of itself
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);

-- At a hub: the cloud it has enrolled with. Its private keys for it are in the vault (cloud/).
CREATE TABLE clouds (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  pin TEXT,                                -- of its certificate; NULL: verified as any web server's
  name TEXT NOT NULL,
  state TEXT NOT NULL,                     -- asked enrolled refused revoked superseded
  enrolment_id TEXT,                       -- while it is asked
  number TEXT NOT NULL,                    -- that both ends showed
  enrolled_at INTEGER NOT NULL
);

-- What devices said of themselves since the cloud was told: the newest values are read when they are sent.
CREATE TABLE sync_reports (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  service TEXT NOT NULL,
  n INTEGER NOT NULL,                      -- counts its changes
  PRIMARY KEY (device_id, service)
) WITHOUT ROWID;

-- What the hub that holds a device last said of a service: what is older is passed over.
CREATE TABLE sync_heard (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  service TEXT NOT NULL,
  node TEXT NOT NULL,                      -- the life of the hub that said it
  owner_epoch INTEGER NOT NULL,
  version INTEGER NOT NULL,                -- that hub's own
  desired TEXT NOT NULL,                   -- JSON; what is wanted of it there
  PRIMARY KEY (device_id, service)
) WITHOUT ROWID;

-- How far the journal of a home was told; at a cloud, how far each hub's was heard.
CREATE TABLE sync_journals (
  home_id TEXT NOT NULL,
  node TEXT NOT NULL,                      -- whose journal; at a hub ''
  seq INTEGER NOT NULL,
  lost INTEGER NOT NULL DEFAULT 0,         -- entries that made room before they could be told
  epoch TEXT NOT NULL DEFAULT '',          -- at a hub: the life of the cloud's log that was told everything from its beginning
  PRIMARY KEY (home_id, node)
) WITHOUT ROWID;

-- At a hub: entries of a device's journal that made room before the cloud was told of them.
CREATE TABLE sync_gaps (
  home_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  last INTEGER NOT NULL,                   -- the place of the newest of them
  lost INTEGER NOT NULL,
  at INTEGER NOT NULL,                     -- when the newest made room
  PRIMARY KEY (home_id, device_id)
) WITHOUT ROWID;

-- Commands that came from another node, or went to one: so that each is done once and its end is told.
CREATE TABLE sync_commands (
  command_id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL,
  giver TEXT,                              -- the node it came from; NULL: it was given here
  holder TEXT,                             -- the node it went to; NULL: none yet
  outcome BLOB,                            -- ended, and not yet acknowledged by the giver
  at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sync_commands_ended ON sync_commands(giver) WHERE outcome IS NOT NULL;

-- Phones of owners that secrets are sealed for.
CREATE TABLE readers (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  seal_key BLOB NOT NULL,                  -- X25519
  created_at INTEGER NOT NULL
);
CREATE INDEX readers_account ON readers(account_id);

-- Platforms that speak IoTDA to which a home's devices are shown, this hub being their gateway there.
CREATE TABLE iotda_upstreams (
  home_id TEXT PRIMARY KEY REFERENCES homes(id) ON DELETE CASCADE,
  url TEXT NOT NULL,                       -- mqtt://host:port, mqtts://host:port
  device_id TEXT NOT NULL,                 -- the gateway's there; its secret is in the vault
  ca TEXT,                                 -- PEM; NULL: verified as any server's
  account_id TEXT NOT NULL,                -- who attached it: in their name the platform's commands are given
  list_version INTEGER NOT NULL DEFAULT 0, -- of the platform's list of sub-devices, as last heard
  attached_at INTEGER NOT NULL,
  contact_at INTEGER                       -- when the platform was last heard
) WITHOUT ROWID;

CREATE TABLE iotda_upstream_devices (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  remote_id TEXT NOT NULL,                 -- as the platform calls it, or is asked to
  device_id TEXT NOT NULL,                 -- ours; named, not referred to: it outlives the device until it is deleted there
  state TEXT NOT NULL,                     -- wanted there refused leaving removed
  why TEXT NOT NULL DEFAULT '',            -- the platform would not, in its words
  owner_epoch INTEGER NOT NULL DEFAULT 0,  -- of the device when it was removed there: paired anew, it is another
  wishes TEXT NOT NULL DEFAULT '{}',       -- by service: which of the platform's desired values were taken over last
  PRIMARY KEY (home_id, remote_id)
) WITHOUT ROWID;
CREATE INDEX iotda_upstream_devices_device ON iotda_upstream_devices(home_id, device_id);

-- What platforms asked of devices: each is done once, and its answer goes back whatever happens in between.
CREATE TABLE iotda_upstream_requests (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  request_id TEXT NOT NULL,
  kind TEXT NOT NULL,                      -- command set get
  device_id TEXT NOT NULL,                 -- ours; '' where it meant none
  asked TEXT NOT NULL,                     -- JSON: our commands by service, or why there are none
  at INTEGER NOT NULL,
  answered_at INTEGER,
  PRIMARY KEY (home_id, request_id)
) WITHOUT ROWID;
