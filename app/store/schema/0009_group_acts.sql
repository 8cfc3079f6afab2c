-- What was asked of whole groups; the commands themselves are each device's own.
CREATE TABLE group_acts (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  group_id TEXT NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  account_id TEXT,
  asked TEXT NOT NULL,                     -- JSON: each member with its command
  unable TEXT NOT NULL                     -- JSON: each other member, and why
);
CREATE INDEX group_acts_group ON group_acts(group_id);
