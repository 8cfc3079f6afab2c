"""MQTT: devices connect to the hub's own endpoint, or to a broker whose client the hub is (DESIGN 9b)."""
