"""The command as a person runs it: processes, sockets, signals."""
