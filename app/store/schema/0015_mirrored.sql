-- What the hub that holds a device says of it goes on to the home's other hubs, in the order it came to the cloud
-- (app/sync/mirrors.py).
ALTER TABLE sync_heard ADD COLUMN home_id TEXT NOT NULL DEFAULT '';  -- where the device was then
ALTER TABLE sync_heard ADD COLUMN place INTEGER NOT NULL DEFAULT 0;  -- at a cloud: in the order of that home
UPDATE sync_heard SET home_id=h.home_id, place=h.place FROM (
  SELECT s.device_id, s.service, d.home_id, row_number() OVER (PARTITION BY d.home_id ORDER BY s.device_id, s.service) place
    FROM sync_heard s JOIN devices d ON d.id=s.device_id
) h WHERE h.device_id=sync_heard.device_id AND h.service=sync_heard.service;
CREATE INDEX sync_heard_place ON sync_heard(home_id, place);

CREATE TABLE sync_mirrors (
  home_id TEXT PRIMARY KEY,
  epoch TEXT NOT NULL DEFAULT '',          -- at a hub: the life of the cloud's log to which `place` belongs
  place INTEGER NOT NULL                   -- at a cloud the last that was given; at a hub how far it has heard
) WITHOUT ROWID;
INSERT INTO sync_mirrors(home_id, place) SELECT home_id, max(place) FROM sync_heard WHERE home_id<>'' GROUP BY home_id;
