-- Runs that wait, repeat, go over lists, are undone, and stand in line.

-- What stands at a place of a run: `part` 0 is the step, n + 1 its item n, and below zero what undoes
-- them. What it waits for is in the payload of `signal_id`; its output there or in that of `output_by`.
CREATE TABLE places (
  tenant       INTEGER NOT NULL,
  run_id       BLOB NOT NULL,
  step         INTEGER NOT NULL,
  part         INTEGER NOT NULL,
  status       TEXT NOT NULL,
  attempt      INTEGER NOT NULL,
  iteration    INTEGER,         -- NULL: 0
  issue        INTEGER,         -- NULL: 0
  items        INTEGER,         -- NULL: it goes over nothing
  due_at       INTEGER,
  directive_id BLOB,
  awaits       TEXT,            -- a word, while it waits
  lock         TEXT,
  started_at   INTEGER,
  ended_at     INTEGER,
  signal_id    BLOB,
  output_by    BLOB,            -- NULL: `signal_id`, if there is an output
  PRIMARY KEY (tenant, run_id, step, part)
) STRICT, WITHOUT ROWID;

-- Before, every step that ended had its output in that signal.
INSERT INTO places (tenant, run_id, step, part, status, attempt, due_at, directive_id, started_at, ended_at, signal_id)
  SELECT tenant, run_id, step, 0, status, attempt, due_at, directive_id, started_at, ended_at, signal_id FROM steps;
DROP TABLE steps;

-- At start: agents whose answer is not on record.
CREATE INDEX places_in_flight ON places (tenant, run_id)
  WHERE status = 'running' AND directive_id IS NULL AND items IS NULL;
-- Lists of tasks, in the order in which they came; at start, the waits for signals.
CREATE INDEX places_waiting ON places (tenant, awaits, signal_id) WHERE awaits IS NOT NULL;
-- At start: who holds a lock, and who waits for it.
CREATE INDEX places_locked ON places (tenant, signal_id) WHERE lock IS NOT NULL;

ALTER TABLE runs RENAME COLUMN ended_by TO status_by;
ALTER TABLE runs ADD COLUMN begun_at INTEGER;    -- NULL: when it was asked for; 0: it has not
ALTER TABLE runs ADD COLUMN parent BLOB;         -- with `parent_step` and `parent_part`: where it was started
ALTER TABLE runs ADD COLUMN parent_step INTEGER;
ALTER TABLE runs ADD COLUMN parent_part INTEGER;
ALTER TABLE runs ADD COLUMN parent_waits INTEGER;
ALTER TABLE runs ADD COLUMN source BLOB;
ALTER TABLE runs ADD COLUMN keys TEXT;           -- of flow control, as JSON

-- Lists: what a run started, and what did it again.
CREATE INDEX runs_by_parent ON runs (tenant, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX runs_by_source ON runs (tenant, source, id) WHERE source IS NOT NULL;
-- How many runs of which version are under way.
CREATE INDEX runs_open ON runs (tenant, workflow, version, status, ended_at) WHERE ended_at IS NULL;
-- At start: whom flow control counts.
CREATE INDEX runs_counted ON runs (tenant, id) WHERE ended_at IS NULL AND keys IS NOT NULL;
-- At start: which throttled runs began lately, whether they have ended or not.
CREATE INDEX runs_throttled ON runs (tenant, workflow, coalesce(begun_at, started_at), id)
  WHERE keys ->> 'throttle' IS NOT NULL;

ALTER TABLE directives ADD COLUMN part INTEGER;       -- NULL: 0
ALTER TABLE directives ADD COLUMN started_at INTEGER; -- NULL: when it was requested, if there was an attempt

-- Until now only the log said when what did not begin at once began.
UPDATE directives SET started_at = began.at FROM (
  SELECT s.tenant, s.directive_id, min(s.recorded_at) AS at FROM names n
    CROSS JOIN tenants t CROSS JOIN signals s INDEXED BY signals_by_name ON s.tenant = t.no AND s.name = n.no
    WHERE n.name = 'directive.started' GROUP BY s.tenant, s.directive_id
) AS began
  WHERE directives.tenant = began.tenant AND directives.id = began.directive_id
    AND directives.requested_at <> began.at;

-- A signal may be what many runs of a workflow waited for.
CREATE TABLE dispositions_by_waiter (
  tenant    INTEGER NOT NULL,
  signal_id BLOB NOT NULL,
  workflow  INTEGER NOT NULL,
  waiter    BLOB NOT NULL,    -- the run that took it; empty: it was offered to the workflow's trigger
  kind      TEXT NOT NULL,
  run_id    BLOB,
  at        INTEGER NOT NULL,
  reason    TEXT,
  PRIMARY KEY (tenant, signal_id, workflow, waiter)
) STRICT, WITHOUT ROWID;

INSERT INTO dispositions_by_waiter (tenant, signal_id, workflow, waiter, kind, run_id, at, reason)
  SELECT tenant, signal_id, workflow, X'', kind, run_id, at, reason FROM dispositions;
DROP TABLE dispositions;
ALTER TABLE dispositions_by_waiter RENAME TO dispositions;
