-- How a device proves itself that has a secret or a certificate; its secrets are in the vault.
CREATE TABLE device_credentials (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,                      -- secret certificate
  fingerprint TEXT,                        -- lower-case hex; NULL: the first one seen is adopted
  second_fingerprint TEXT,
  version INTEGER NOT NULL                 -- a token given for an older one is none
) WITHOUT ROWID;

-- What IoTDA's protocol knows of a device and no other does.
CREATE TABLE iotda_devices (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  node_id TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  extension TEXT NOT NULL DEFAULT 'null',  -- JSON
  sw_version TEXT NOT NULL DEFAULT '',
  sdk_version TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Who is, and was, behind a gateway: one row each, with the version of the gateway's list since when it is so.
CREATE TABLE iotda_children (
  gateway_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  child_id TEXT NOT NULL,                  -- as the protocol calls it
  node_id TEXT NOT NULL,
  gone INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (gateway_id, child_id)
) WITHOUT ROWID;
CREATE INDEX iotda_children_version ON iotda_children(gateway_id, version);

-- Firmware and software in the data folder, by their hash.
CREATE TABLE iotda_packages (
  id TEXT PRIMARY KEY,
  product_id TEXT NOT NULL,
  kind TEXT NOT NULL,                      -- firmware software
  version TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  custom_info TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
);

-- The newest upgrade of a device, of each kind.
CREATE TABLE iotda_upgrades (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  package_id TEXT NOT NULL REFERENCES iotda_packages(id) ON DELETE CASCADE,
  state TEXT NOT NULL,                     -- offered running succeeded failed
  progress INTEGER NOT NULL DEFAULT 0,
  result_code INTEGER,
  description TEXT NOT NULL DEFAULT '',
  offered_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (device_id, kind)
) WITHOUT ROWID;

-- The newest remote configuration of a device, sent again until it is answered or over.
CREATE TABLE iotda_configs (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  content TEXT NOT NULL,                   -- JSON
  until INTEGER NOT NULL,
  sent_at INTEGER,
  result_code INTEGER,
  description TEXT NOT NULL DEFAULT '',
  answered_at INTEGER
) WITHOUT ROWID;

-- Whose log the hub wants, and until when.
CREATE TABLE iotda_logging (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  until INTEGER NOT NULL
) WITHOUT ROWID;

-- What devices have uploaded; the octets are in the data folder.
CREATE TABLE iotda_files (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  stored TEXT NOT NULL,                    -- the file's own name there
  size INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (device_id, name)
) WITHOUT ROWID;
