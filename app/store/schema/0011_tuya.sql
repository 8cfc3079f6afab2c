-- What the clients of a key hold: each token call makes a session of its own.
CREATE TABLE tuya_sessions(
  id TEXT PRIMARY KEY,
  key_id TEXT NOT NULL REFERENCES keys(id) ON DELETE CASCADE,
  access_hash BLOB NOT NULL UNIQUE,
  access_until INTEGER NOT NULL,
  refresh_hash BLOB NOT NULL UNIQUE,
  previous_hash BLOB,
  previous_until INTEGER NOT NULL DEFAULT 0,
  used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tuya_sessions_of_key ON tuya_sessions(key_id, used_at);

-- Pairing tokens that clients poll: the middle eight letters of the session's own token, by which it is found again.
CREATE TABLE tuya_pairings(
  token TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  account_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tuya_pairings_of_home ON tuya_pairings(home_id, created_at);

-- How far each subscription to messages has acknowledged them.
CREATE TABLE tuya_subscriptions(
  key_id TEXT NOT NULL REFERENCES keys(id) ON DELETE CASCADE,
  topic TEXT NOT NULL,
  incarnation INTEGER NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY(key_id, topic)
) WITHOUT ROWID;

-- For clients that send a digest of a password in its place: argon2id of each digest, made when its owner asks for it.
CREATE TABLE digest_logins(
  account_id TEXT PRIMARY KEY REFERENCES accounts(id) ON DELETE CASCADE,
  md5 TEXT NOT NULL,
  sha256 TEXT NOT NULL
) WITHOUT ROWID;
