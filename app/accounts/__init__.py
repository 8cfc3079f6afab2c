"""People and programs that can sign in, their sessions and keys, and whose hub this is."""
