-- Since when a device is kept out of every link and of all commands, by its home's owner or an admin; NULL: it is not.
ALTER TABLE devices ADD COLUMN frozen_at INTEGER;

-- What people call parts of a device: an outlet of a strip, a property of a sensor.
CREATE TABLE device_names (
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  service TEXT NOT NULL,
  property TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (device_id, service, property)
) WITHOUT ROWID;

-- The people a device tells apart: those who stand on a scale, those a lock lets in. They need no account.
CREATE TABLE device_users (
  id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  nick_name TEXT NOT NULL,
  sex INTEGER NOT NULL,                    -- 1 male, 2 female
  birthday INTEGER,
  height INTEGER,                          -- cm
  weight INTEGER,                          -- g
  contact TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX device_users_device ON device_users(device_id, id);

-- Seconds after which somebody is told that a device is gone; 0: never. NULL: of a device as its home has it, of a home
-- as the program has it.
ALTER TABLE homes ADD COLUMN offline_alert_after INTEGER;
ALTER TABLE devices ADD COLUMN offline_alert_after INTEGER;

-- The devices that were there once and are not now.
CREATE TABLE device_absences (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  since INTEGER NOT NULL,
  alerted_at INTEGER                       -- when somebody was told
) WITHOUT ROWID;
INSERT INTO device_absences(device_id, since)
  SELECT d.id, d.last_seen_at FROM devices d WHERE d.last_seen_at IS NOT NULL AND
    coalesce((SELECT max(seq) FROM journal WHERE device_id=d.id AND type='offline'), 0) >
    coalesce((SELECT max(seq) FROM journal WHERE device_id=d.id AND type='online'), 0);
