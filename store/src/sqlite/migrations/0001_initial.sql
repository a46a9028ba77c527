-- Everything that is kept. Rows and indexes are what a commit costs, so each index here answers a
-- question that somebody asks, and what two tables would both say is said by one.
--
-- Records are clustered by (tenant, id): an id is a UUIDv7, so that is also the order of the log.
-- Tenants, names, slugs and versions are written once and stand in rows as small numbers. Times are
-- microseconds since 1970. A record's id among other columns is its 16 bytes; where it may be of any
-- kind, one byte before them says which: 's'ignal, 'd'irective or 'r'un.

CREATE TABLE names (
  no   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE tenants (
  no         INTEGER PRIMARY KEY,
  id         BLOB NOT NULL UNIQUE,
  slug       TEXT NOT NULL,
  name       TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
  id         BLOB PRIMARY KEY,
  tenant     INTEGER NOT NULL,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  hash       BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE workflows (
  tenant         INTEGER NOT NULL,
  slug           TEXT NOT NULL,
  status         TEXT NOT NULL,
  active_version TEXT,
  updated_at     INTEGER NOT NULL,
  PRIMARY KEY (tenant, slug)
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow_versions (
  tenant     INTEGER NOT NULL,
  slug       TEXT NOT NULL,
  version    TEXT NOT NULL,
  id         BLOB NOT NULL,
  digest     TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  document   TEXT NOT NULL,
  PRIMARY KEY (tenant, slug, version)
) STRICT;

CREATE TABLE agents (
  tenant     INTEGER NOT NULL,
  slug       TEXT NOT NULL,
  digest     TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  document   TEXT NOT NULL,
  PRIMARY KEY (tenant, slug)
) STRICT;

CREATE TABLE directive_types (
  tenant     INTEGER NOT NULL,
  name       TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  document   TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT;

CREATE TABLE signals (
  tenant          INTEGER NOT NULL,
  id              BLOB NOT NULL,
  name            INTEGER NOT NULL,
  run_id          BLOB,
  directive_id    BLOB,
  correlation_id  ANY NOT NULL,   -- a record's id as kind and bytes, or else the caller's text
  causation_id    BLOB,           -- kind and bytes
  depth           INTEGER NOT NULL,
  subject_type    TEXT,
  subject_id      TEXT,
  actor_type      TEXT,
  actor_id        TEXT,
  source          TEXT,
  source_event_id TEXT,
  dedupe_key      TEXT,
  recorded_at     INTEGER NOT NULL,
  occurred_at     INTEGER,        -- NULL: when it was recorded
  payload         TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX signals_by_name ON signals (tenant, name, id);
CREATE INDEX signals_by_run ON signals (tenant, run_id, id) WHERE run_id IS NOT NULL;
-- What a run recorded has the run's correlation, and is found through it.
CREATE INDEX signals_by_correlation ON signals (tenant, correlation_id, id) WHERE run_id IS NULL;

CREATE TABLE dedupe_keys (
  tenant    INTEGER NOT NULL,
  key       TEXT NOT NULL,
  signal_id BLOB NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

-- Also how the runs of a signal are found.
CREATE TABLE dispositions (
  tenant    INTEGER NOT NULL,
  signal_id BLOB NOT NULL,
  workflow  INTEGER NOT NULL,
  kind      TEXT NOT NULL,
  run_id    BLOB,
  at        INTEGER NOT NULL,
  reason    TEXT,
  PRIMARY KEY (tenant, signal_id, workflow)
) STRICT, WITHOUT ROWID;

-- The output or failure of a settled directive is in the payload of the signal `settled_by`.
CREATE TABLE directives (
  tenant           INTEGER NOT NULL,
  id               BLOB NOT NULL,
  name             INTEGER NOT NULL,
  status           TEXT NOT NULL,
  handler          TEXT NOT NULL,
  attempt          INTEGER NOT NULL,
  wake_at          INTEGER,
  cancel_requested INTEGER NOT NULL,
  settled_at       INTEGER,
  settled_by       BLOB,
  requested_at     INTEGER NOT NULL,
  run_id           BLOB,          -- with `step`: where it was asked for
  step             INTEGER,
  correlation_id   ANY NOT NULL,
  causation_id     BLOB,
  depth            INTEGER NOT NULL,
  actor_type       TEXT NOT NULL,
  actor_id         TEXT NOT NULL,
  idempotency_key  TEXT NOT NULL,
  policy           TEXT,          -- NULL: the default retry, and no timeout of its own
  payload          TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX directives_by_key ON directives (tenant, idempotency_key);
CREATE INDEX directives_by_name ON directives (tenant, name, id);
CREATE INDEX directives_by_run ON directives (tenant, run_id, id) WHERE run_id IS NOT NULL;
CREATE INDEX directives_by_status ON directives (tenant, status, id) WHERE status <> 'succeeded';
CREATE INDEX directives_due ON directives (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX directives_in_flight ON directives (tenant, id)
  WHERE status = 'running' AND handler = 'http' AND wake_at IS NULL;

-- The output or failure of a run that has ended is in the payload of the signal `ended_by`.
CREATE TABLE runs (
  tenant         INTEGER NOT NULL,
  id             BLOB NOT NULL,
  workflow       INTEGER NOT NULL,
  version        INTEGER NOT NULL,
  status         TEXT NOT NULL,
  steps          INTEGER NOT NULL, -- how many; those that are as they began have no row
  signal_id      BLOB,             -- what caused it, or else its directive did
  directive_id   BLOB NOT NULL,
  started_at     INTEGER NOT NULL,
  deadline       INTEGER,
  wake_at        INTEGER,
  ended_at       INTEGER,
  ended_by       BLOB,
  correlation_id ANY NOT NULL,
  depth          INTEGER NOT NULL,
  input          TEXT,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_workflow ON runs (tenant, workflow, id);
CREATE INDEX runs_by_correlation ON runs (tenant, correlation_id, id);
CREATE INDEX runs_by_status ON runs (tenant, status, id) WHERE status <> 'completed';
CREATE INDEX runs_due ON runs (wake_at) WHERE wake_at IS NOT NULL;

-- The output or failure of a step is in the payload of the signal `signal_id`.
CREATE TABLE steps (
  tenant       INTEGER NOT NULL,
  run_id       BLOB NOT NULL,
  step         INTEGER NOT NULL,
  status       TEXT NOT NULL,
  attempt      INTEGER NOT NULL,
  due_at       INTEGER,
  directive_id BLOB,
  started_at   INTEGER,
  ended_at     INTEGER,
  signal_id    BLOB,
  PRIMARY KEY (tenant, run_id, step)
) STRICT, WITHOUT ROWID;

CREATE INDEX steps_in_flight ON steps (tenant, run_id) WHERE status = 'running' AND directive_id IS NULL;
