-- Schedules: the document, which changes when somebody applies it, and apart from it where the
-- schedule stands, which changes with every fire. Both are read once, when the engine starts; it
-- sets its timers from `next_at`, so no index is needed.

CREATE TABLE schedules (
  tenant   INTEGER NOT NULL,
  slug     TEXT NOT NULL,
  digest   TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (tenant, slug)
) STRICT;

CREATE TABLE schedule_states (
  tenant      INTEGER NOT NULL,
  slug        TEXT NOT NULL,
  status      TEXT NOT NULL,
  anchor_at   INTEGER NOT NULL,
  next_at     INTEGER,
  last_at     INTEGER,
  last_signal BLOB,
  queued_at   INTEGER,
  reason      TEXT,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant, slug)
) STRICT, WITHOUT ROWID;
