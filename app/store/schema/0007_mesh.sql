-- Bluetooth mesh: a home's own network. Its keys, and those of its nodes, are in the vault.
CREATE TABLE mesh_networks (
  home_id TEXT PRIMARY KEY REFERENCES homes(id) ON DELETE CASCADE,
  network_id TEXT NOT NULL,                -- its UUID, by which other provisioners know it
  address INTEGER NOT NULL,                -- the hub's in it
  elements INTEGER NOT NULL,
  iv_index INTEGER NOT NULL,
  iv_updating INTEGER NOT NULL,
  iv_since REAL,                           -- seconds since 1970
  iv_recovered REAL,
  numbers_iv INTEGER NOT NULL,             -- under this IV index every sequence number below `numbers_upto` is used
  numbers_upto INTEGER NOT NULL,
  numbers_floor INTEGER NOT NULL,
  numbers_floor_iv INTEGER NOT NULL,
  numbered_at INTEGER,                     -- when that was written; NULL: by a clock that nobody had set
  incarnation INTEGER NOT NULL             -- the hub's, when that was written
) WITHOUT ROWID;

CREATE TABLE mesh_keys (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,                      -- net app
  key_index INTEGER NOT NULL,
  net_index INTEGER NOT NULL,
  phase INTEGER NOT NULL,                  -- of a key refresh
  PRIMARY KEY (home_id, kind, key_index)
) WITHOUT ROWID;

CREATE TABLE mesh_nodes (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  address INTEGER NOT NULL,                -- of its first element
  uuid BLOB NOT NULL,
  elements INTEGER NOT NULL,
  name TEXT NOT NULL,
  net_keys TEXT NOT NULL,                  -- JSON: indexes
  app_keys TEXT NOT NULL,
  composition BLOB NOT NULL,
  leaving_at INTEGER,                      -- since when it is to be reset
  PRIMARY KEY (home_id, address)
) WITHOUT ROWID;
CREATE INDEX mesh_nodes_uuid ON mesh_nodes(home_id, uuid);

-- Addresses not to be given away again: the network still remembers what was said from them.
CREATE TABLE mesh_retired (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  address INTEGER NOT NULL,
  elements INTEGER NOT NULL,
  PRIMARY KEY (home_id, address, elements)
) WITHOUT ROWID;

-- The newest message of each source; only ever raised.
CREATE TABLE mesh_replay (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  source INTEGER NOT NULL,
  mark INTEGER NOT NULL,
  PRIMARY KEY (home_id, source)
) WITHOUT ROWID;

-- The address of each group that has devices of a mesh; kept until its nodes know that it is gone.
CREATE TABLE mesh_groups (
  group_id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  address INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX mesh_groups_address ON mesh_groups(home_id, address);

-- Which models listen to which group, as their nodes have acknowledged.
CREATE TABLE mesh_subscriptions (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  element INTEGER NOT NULL,
  model TEXT NOT NULL,                     -- hex, as the configuration database writes it
  address INTEGER NOT NULL,
  PRIMARY KEY (home_id, element, model, address)
) WITHOUT ROWID;
