-- Of facts that a log here has and the tables do not show yet (app/sync/behind.py) a row names many: a page that comes
-- is a few rows here, not a thousand. No id of a kind stands in two of a home's rows.
ALTER TABLE sync_behind RENAME TO behind_one_by_one;
CREATE TABLE sync_behind (
  home_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  first TEXT NOT NULL,                     -- of `ids`, and
  last TEXT NOT NULL,
  many INTEGER NOT NULL,                   -- how many they are
  ids TEXT NOT NULL,                       -- JSON
  PRIMARY KEY (home_id, kind, first)
) WITHOUT ROWID;
INSERT INTO sync_behind
  SELECT home_id, kind, min(id), max(id), count(*), json_group_array(id) FROM behind_one_by_one GROUP BY home_id, kind;
DROP TABLE behind_one_by_one;
