-- Sensors that only advertise. The key that deciphers one is in `secrets` ("sensors/" and the device's id).
CREATE TABLE sensors (
  device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
  counter INTEGER NOT NULL                 -- of the last advertisement taken; -1: none that has one
) WITHOUT ROWID;
