-- Facts that a log here has and the tables do not show yet (app/sync/behind.py): many that came at once.
CREATE TABLE sync_behind (
  home_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (home_id, kind, id)
) WITHOUT ROWID;
