"""How a device joins: methods, wire formats, discovery, session."""
