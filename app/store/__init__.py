"""Where everything acknowledged is on disk: one SQLite file, one writer, many readers."""
