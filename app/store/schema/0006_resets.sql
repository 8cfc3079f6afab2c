-- A device that was reset stays in its home, unbound, until it is paired again.
ALTER TABLE devices ADD COLUMN unbound_at INTEGER;
ALTER TABLE devices ADD COLUMN updated_at INTEGER; -- of its entry; NULL: not since this column is there

-- SHA-256 of the token of a device that calls home.
ALTER TABLE device_credentials ADD COLUMN token_hash BLOB;

-- Hardware that is to forget its home, or has: one row for each, of its newest reset. It outlives the device's record.
-- What the device proved itself with until then is here, and its secrets in the vault, while the reset is open.
CREATE TABLE resets (
  hardware_id TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL,
  home_id TEXT NOT NULL,
  account_id TEXT,                         -- who asked; NULL: it was done by hand, or the hub did it
  record TEXT NOT NULL,                    -- keep remove
  state TEXT NOT NULL,                     -- queued delivered confirmed superseded expired
  asked_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  delivered_at INTEGER,
  ended_at INTEGER,
  kind TEXT,                               -- of the old credential; NULL: its binding, or none
  fingerprint TEXT,
  second_fingerprint TEXT,
  token_hash BLOB
) WITHOUT ROWID;
CREATE INDEX resets_device ON resets(device_id);
CREATE INDEX resets_home ON resets(home_id, asked_at);
CREATE INDEX resets_open ON resets(expires_at) WHERE ended_at IS NULL;

-- The newest heartbeat of a device that calls home.
CREATE TABLE heartbeats (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  every_s INTEGER NOT NULL,                -- the interval it keeps
  battery_percent INTEGER,
  storage_used_mb INTEGER,
  storage_total_mb INTEGER,
  signal_strength_dbm INTEGER
) WITHOUT ROWID;
