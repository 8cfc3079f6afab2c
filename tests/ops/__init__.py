"""What surrounds the service: settings, logs, TLS, the admin socket, the command."""
