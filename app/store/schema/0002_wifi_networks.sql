-- The Wi-Fi networks a home's devices were told, to be offered at the next pairing. Passwords are in the vault.
CREATE TABLE wifi_networks (
  id TEXT PRIMARY KEY,
  home_id TEXT NOT NULL REFERENCES homes(id) ON DELETE CASCADE,
  ssid TEXT NOT NULL,
  bssid TEXT NOT NULL DEFAULT '',          -- '': any radio of it
  secured INTEGER NOT NULL,                -- whether there is a password
  created_at INTEGER NOT NULL,
  used_at INTEGER,                         -- when a device last joined with it
  UNIQUE (home_id, ssid)
);
