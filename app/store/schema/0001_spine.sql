-- Times are ms since the Unix epoch; `version` counts the changes of a row and is its ETag.
-- JSON columns hold what is never searched.

-- The one row of the node itself, made with the file.
CREATE TABLE hub (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  hub_id TEXT,                             -- from its identity key; NULL until the hub is founded
  name TEXT NOT NULL DEFAULT '',
  incarnation INTEGER NOT NULL DEFAULT 1,  -- counts restores
  node_id TEXT NOT NULL,                   -- what sync knows this incarnation by; never reused
  vault_check BLOB NOT NULL,               -- a known text, sealed: opens with the right vault key only
  claim_hash BLOB,                         -- of the code that claims the hub; NULL once claimed
  claimed_at INTEGER,
  time_floor INTEGER NOT NULL,             -- time never runs behind it, whatever the machine's clock says
  created_at INTEGER NOT NULL
);

CREATE TABLE secrets (row TEXT PRIMARY KEY, sealed BLOB NOT NULL);

-- accounts ------------------------------------------------------------------------------------------------------------

CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  login TEXT UNIQUE,                       -- NULL: anonymous
  name TEXT NOT NULL,
  verifier TEXT,                           -- argon2id; never leaves this node
  public_key BLOB NOT NULL,                -- links hub and cloud accounts; the private half is in the vault
  recovery_hash BLOB,
  hub_owner INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  expires_at INTEGER                       -- anonymous accounts end
);

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  access_hash BLOB NOT NULL UNIQUE,
  access_until INTEGER NOT NULL,
  refresh_hash BLOB NOT NULL UNIQUE,
  refresh_until INTEGER NOT NULL,
  address TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  answer BLOB                              -- sealed: what the last refresh was answered, for one whose answer was lost
);
CREATE INDEX sessions_account ON sessions(account_id);

-- Refresh tokens already traded in: one seen again means a copy exists, and its session ends.
CREATE TABLE spent_refresh (
  n INTEGER PRIMARY KEY AUTOINCREMENT,     -- the order they were traded in
  hash BLOB NOT NULL UNIQUE,
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  at INTEGER NOT NULL
);
CREATE INDEX spent_refresh_session ON spent_refresh(session_id);
CREATE INDEX spent_refresh_at ON spent_refresh(at);

CREATE TABLE keys (
  id TEXT PRIMARY KEY,                     -- the client id
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  home_id TEXT,                            -- NULL: every home of the account
  name TEXT NOT NULL,
  dialect TEXT NOT NULL,
  scopes TEXT NOT NULL,                    -- JSON array
  secret_hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER
);
CREATE INDEX keys_account ON keys(account_id);

-- Sign-in on a second screen: shown as a QR code there, approved by a phone.
CREATE TABLE screen_sign_ins (
  id TEXT PRIMARY KEY,
  code_hash BLOB NOT NULL UNIQUE,
  poll_hash BLOB NOT NULL,
  screen TEXT NOT NULL,
  address TEXT NOT NULL,                   -- where the screen is, for the person to compare
  account_id TEXT REFERENCES accounts(id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);

-- homes ---------------------------------------------------------------------------------------------------------------

CREATE TABLE homes (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  latitude REAL,
  longitude REAL,
  address TEXT NOT NULL DEFAULT '',
  epoch INTEGER NOT NULL DEFAULT 1,        -- counts every taking away of rights
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL
);

CREATE TABLE rooms (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  icon TEXT NOT NULL DEFAULT '',
  position INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX rooms_home ON rooms(home_id, position);

CREATE TABLE members (
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  remark TEXT NOT NULL DEFAULT '',
  until INTEGER,
  hours TEXT NOT NULL DEFAULT '[]',        -- JSON array of windows
  only TEXT,                               -- JSON array of device and group ids; NULL: all
  version INTEGER NOT NULL DEFAULT 1,
  joined_at INTEGER NOT NULL,
  PRIMARY KEY (home_id, account_id)
) WITHOUT ROWID;
CREATE INDEX members_account ON members(account_id);
CREATE UNIQUE INDEX one_owner ON members(home_id) WHERE role = 'owner';

CREATE TABLE invitations (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  code_hash BLOB UNIQUE,                   -- NULL: addressed to an account
  account_id TEXT REFERENCES accounts(id) ON DELETE CASCADE,
  login TEXT,                              -- as the inviter wrote it; with no account behind it nobody can take it up
  role TEXT NOT NULL,
  until INTEGER,
  hours TEXT NOT NULL DEFAULT '[]',
  only TEXT,
  anonymous INTEGER NOT NULL DEFAULT 0,    -- may be taken up without a login
  state TEXT NOT NULL,                     -- pending accepted refused revoked
  created_by TEXT NOT NULL,
  taken_by TEXT,
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);
CREATE INDEX invitations_home ON invitations(home_id, created_at);
CREATE INDEX invitations_account ON invitations(account_id) WHERE account_id IS NOT NULL;

-- devices -------------------------------------------------------------------------------------------------------------

CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id),
  room_id TEXT REFERENCES rooms(id) ON DELETE SET NULL,
  product_id TEXT NOT NULL,
  hardware_id TEXT NOT NULL UNIQUE,        -- the device's own, from its key; survives re-pairing
  gateway_id TEXT REFERENCES devices(id) ON DELETE CASCADE,
  link TEXT NOT NULL,                      -- how it is reached
  trust TEXT NOT NULL,
  name TEXT NOT NULL,
  icon TEXT NOT NULL DEFAULT '',
  position INTEGER NOT NULL DEFAULT 0,
  firmware TEXT NOT NULL DEFAULT '',
  serial TEXT NOT NULL DEFAULT '',
  owner_epoch INTEGER NOT NULL DEFAULT 1,
  version INTEGER NOT NULL DEFAULT 1,
  bound_at INTEGER NOT NULL,
  last_seen_at INTEGER
);
CREATE INDEX devices_home ON devices(home_id, id);
CREATE INDEX devices_room ON devices(room_id) WHERE room_id IS NOT NULL;
CREATE INDEX devices_gateway ON devices(gateway_id) WHERE gateway_id IS NOT NULL;

-- The binding of each piece of hardware, and after its end what tells it so: its key, and the epoch that fences out what
-- an older binding still says. Its credential is in the vault.
CREATE TABLE bindings (
  hardware_id TEXT PRIMARY KEY,
  owner_epoch INTEGER NOT NULL,
  public_key BLOB,                         -- NULL: reached through a gateway
  unbound_at INTEGER,
  reset_at INTEGER                         -- it said, within its link, that it was reset by hand
) WITHOUT ROWID;

CREATE TABLE shadow (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  service TEXT NOT NULL,
  property TEXT NOT NULL,
  reported TEXT,                           -- JSON; NULL: never reported
  reported_at INTEGER,
  desired TEXT,
  desired_at INTEGER,
  PRIMARY KEY (device_id, service, property)
) WITHOUT ROWID;

CREATE TABLE shadow_versions (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  service TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (device_id, service)
) WITHOUT ROWID;

CREATE TABLE groups (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  icon TEXT NOT NULL DEFAULT '',
  least TEXT NOT NULL,                     -- the least role that controls it
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL
);
CREATE INDEX groups_home ON groups(home_id, created_at);

CREATE TABLE group_devices (
  group_id TEXT NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  PRIMARY KEY (group_id, device_id)
) WITHOUT ROWID;
CREATE INDEX group_devices_device ON group_devices(device_id);

CREATE TABLE commands (
  n INTEGER PRIMARY KEY AUTOINCREMENT,     -- the order of delivery
  id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL,                 -- no reference: its index would cost the hottest write a page
  home_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,                      -- JSON
  state TEXT NOT NULL,
  result TEXT,                             -- JSON
  account_id TEXT,
  group_id TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  sent_at INTEGER,
  ended_at INTEGER
);
-- An open command touches no page of its device: it is found in memory, and enters this index when it ends.
CREATE INDEX commands_device ON commands(device_id, n) WHERE ended_at IS NOT NULL;
CREATE INDEX commands_open ON commands(n) WHERE ended_at IS NULL;

-- sharing -------------------------------------------------------------------------------------------------------------

CREATE TABLE shares (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,                      -- device group
  thing_id TEXT NOT NULL,
  giver_id TEXT NOT NULL,
  receiver_id TEXT REFERENCES accounts(id) ON DELETE CASCADE,
  login TEXT,                              -- as the giver wrote it
  code_hash BLOB UNIQUE,                   -- a share can be taken up by code as well
  level TEXT NOT NULL,
  until INTEGER,
  hours TEXT NOT NULL DEFAULT '[]',
  state TEXT NOT NULL,                     -- pending accepted refused ended
  remark TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,             -- of the offer
  accepted_at INTEGER,
  ended_at INTEGER
);
CREATE INDEX shares_home ON shares(home_id, created_at);
CREATE INDEX shares_receiver ON shares(receiver_id, state);
CREATE INDEX shares_thing ON shares(thing_id, state);

-- onboarding ----------------------------------------------------------------------------------------------------------

CREATE TABLE pairing_sessions (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  method TEXT NOT NULL,
  state TEXT NOT NULL,                     -- JSON of the reducer's state, steps included
  ended INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);
CREATE INDEX pairing_sessions_home ON pairing_sessions(home_id, created_at);
CREATE INDEX pairing_sessions_open ON pairing_sessions(expires_at) WHERE ended = 0;

-- Which device an attempt brought in: what makes joining again after a crash find the first one.
CREATE TABLE pairing_joins (
  session_id TEXT NOT NULL REFERENCES pairing_sessions(id) ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  device_id TEXT NOT NULL,
  PRIMARY KEY (session_id, attempt)
) WITHOUT ROWID;

-- what happened -------------------------------------------------------------------------------------------------------

CREATE TABLE journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id TEXT NOT NULL,
  home_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  code TEXT NOT NULL DEFAULT '',
  value TEXT NOT NULL DEFAULT 'null',      -- JSON
  source TEXT NOT NULL
);
CREATE INDEX journal_device ON journal(device_id, seq);
CREATE INDEX journal_type ON journal(device_id, type, seq);

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  account_id TEXT,
  credential_id TEXT,
  type TEXT NOT NULL,
  kind TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  home_id TEXT,
  data TEXT NOT NULL
);
CREATE INDEX audit_home ON audit(home_id, seq);

CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,   -- never reused: a listener's place survives pruning
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  kind TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  home_id TEXT,
  account_id TEXT,
  device_id TEXT,
  sees TEXT NOT NULL,
  data TEXT NOT NULL
);

CREATE TABLE outbox (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  account_id TEXT,
  credential_id TEXT,
  type TEXT NOT NULL,
  kind TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  home_id TEXT NOT NULL,
  data TEXT NOT NULL
);

CREATE TABLE idempotency (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  result BLOB NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_at ON idempotency(at);
