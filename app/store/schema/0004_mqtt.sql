-- What an MQTT client is owed beyond its connection. Devices are named, not referred to: a broker's are not all here.

CREATE TABLE mqtt_sessions (
  id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  name TEXT NOT NULL,                      -- the client id, or what admission knows the client by
  life INTEGER NOT NULL,                   -- s, after its connection has ended
  ends_at INTEGER,                         -- NULL: connected, or was when the hub ended
  subscriptions BLOB NOT NULL,             -- JSON: options by filter
  UNIQUE (device_id, name)
);

-- QoS 2 from the client: taken, and not yet released.
CREATE TABLE mqtt_received (
  session_id INTEGER NOT NULL REFERENCES mqtt_sessions(id) ON DELETE CASCADE,
  packet_id INTEGER NOT NULL,
  PRIMARY KEY (session_id, packet_id)
) WITHOUT ROWID;

-- QoS 1 and 2 to the client: not yet acknowledged.
CREATE TABLE mqtt_owed (
  seq INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES mqtt_sessions(id) ON DELETE CASCADE,
  packet_id INTEGER NOT NULL,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL,
  released INTEGER NOT NULL DEFAULT 0,     -- QoS 2: the client has it
  expires_at INTEGER,
  more BLOB                                -- JSON: properties of MQTT 5
);
CREATE INDEX mqtt_owed_session ON mqtt_owed(session_id, seq);

CREATE TABLE mqtt_retained (
  device_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL,
  qos INTEGER NOT NULL,
  expires_at INTEGER,
  more BLOB,
  PRIMARY KEY (device_id, topic)
);
