-- A home's devices move to another Wi-Fi network: one order for all of them, and what has become of each.
-- The password is in the vault, for as long as the order is open.
CREATE TABLE wifi_changes (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  account_id TEXT NOT NULL,
  ssid TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER
);
CREATE INDEX wifi_changes_home ON wifi_changes(home_id, created_at);
CREATE UNIQUE INDEX wifi_changes_open ON wifi_changes(home_id) WHERE ended_at IS NULL;

CREATE TABLE wifi_change_devices (
  change_id TEXT NOT NULL REFERENCES wifi_changes(id) ON DELETE CASCADE,
  device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  state TEXT NOT NULL,
  was TEXT,                                -- the network it was on, once it has said so
  error TEXT NOT NULL DEFAULT '',          -- what it refused the order with
  PRIMARY KEY (change_id, device_id)
) WITHOUT ROWID;
CREATE INDEX wifi_change_devices_device ON wifi_change_devices(device_id);
