-- Everything that is kept, in the tables of the SQLite store. Each key begins with the tenant, so that rows can
-- be spread over machines by it, and each table lets a session see the rows of one tenant alone, unless it
-- speaks for the engine: `fleetprompt.tenant` holds the tenant's id, or `*`.
--
-- Times are microseconds since 1970. A record's id among other columns is its UUID; where it may be of any kind,
-- it is the text of its TypeID. Text that callers choose stands as `columns::text` writes it.

CREATE TABLE tenants (
  tenant_id  uuid PRIMARY KEY,
  slug       text NOT NULL,
  name       text NOT NULL,
  created_at bigint NOT NULL,
  partition  integer NOT NULL   -- by its slug
);

CREATE INDEX tenants_by_slug ON tenants (slug);

CREATE TABLE keys (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL,
  name       text NOT NULL,
  role       text NOT NULL,
  hash       bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  revoked_at bigint,
  performs   text,             -- what a worker's key takes and reports, as JSON
  PRIMARY KEY (tenant_id, id)
);

-- Whose secret it is that somebody sends.
CREATE INDEX keys_by_hash ON keys (hash);

CREATE TABLE workflows (
  tenant_id      uuid NOT NULL,
  slug           text NOT NULL,
  status         text NOT NULL,
  active_version text,
  updated_at     bigint NOT NULL,
  PRIMARY KEY (tenant_id, slug)
);

CREATE TABLE workflow_versions (
  tenant_id  uuid NOT NULL,
  slug       text NOT NULL,
  version    text NOT NULL,
  id         uuid NOT NULL,
  digest     text NOT NULL,
  created_at bigint NOT NULL,
  document   text NOT NULL,
  PRIMARY KEY (tenant_id, slug, version)
);

CREATE TABLE agents (
  tenant_id  uuid NOT NULL,
  slug       text NOT NULL,
  digest     text NOT NULL,
  updated_at bigint NOT NULL,
  document   text NOT NULL,
  PRIMARY KEY (tenant_id, slug)
);

CREATE TABLE directive_types (
  tenant_id  uuid NOT NULL,
  name       text NOT NULL,
  updated_at bigint NOT NULL,
  document   text NOT NULL,
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE functions (
  tenant_id  uuid NOT NULL,
  name       text NOT NULL,
  updated_at bigint NOT NULL,
  document   text NOT NULL,
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE modules (
  tenant_id  uuid NOT NULL,
  digest     text NOT NULL,
  size       bigint NOT NULL,
  created_at bigint NOT NULL,
  bytes      bytea NOT NULL,
  PRIMARY KEY (tenant_id, digest)
);

-- The document changes when somebody applies it, and where the schedule stands with every fire.
CREATE TABLE schedules (
  tenant_id uuid NOT NULL,
  slug      text NOT NULL,
  digest    text NOT NULL,
  document  text NOT NULL,
  PRIMARY KEY (tenant_id, slug)
);

CREATE TABLE schedule_states (
  tenant_id   uuid NOT NULL,
  slug        text NOT NULL,
  status      text NOT NULL,
  anchor_at   bigint NOT NULL,
  next_at     bigint,
  last_at     bigint,
  last_signal uuid,
  queued_at   bigint,
  reason      text,
  updated_at  bigint NOT NULL,
  PRIMARY KEY (tenant_id, slug)
);

CREATE TABLE signals (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  name            text NOT NULL,
  run_id          uuid,
  directive_id    uuid,
  correlation_id  text NOT NULL,
  causation_id    text,
  depth           bigint NOT NULL,
  subject_type    text,
  subject_id      text,
  actor_type      text,
  actor_id        text,
  source          text,
  source_event_id text,
  dedupe_key      text,
  recorded_at     bigint NOT NULL,
  occurred_at     bigint,        -- NULL: when it was recorded
  payload         text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE INDEX signals_by_name ON signals (tenant_id, name, id);
CREATE INDEX signals_by_run ON signals (tenant_id, run_id, id) WHERE run_id IS NOT NULL;
-- What a run recorded has the run's correlation, and is found through it.
CREATE INDEX signals_by_correlation ON signals (tenant_id, correlation_id, id) WHERE run_id IS NULL;

CREATE TABLE dedupe_keys (
  tenant_id uuid NOT NULL,
  key       text NOT NULL,
  signal_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, key)
);

-- Also how the runs of a signal are found.
CREATE TABLE dispositions (
  tenant_id uuid NOT NULL,
  signal_id uuid NOT NULL,
  workflow  text NOT NULL,
  waiter    uuid NOT NULL,     -- the run that took it; all zeros: it was offered to the workflow's trigger
  kind      text NOT NULL,
  run_id    uuid,
  at        bigint NOT NULL,
  reason    text,
  PRIMARY KEY (tenant_id, signal_id, workflow, waiter)
);

-- The output or failure of a settled directive is in the payload of the signal `settled_by`.
CREATE TABLE directives (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  name             text NOT NULL,
  status           text NOT NULL,
  handler          text NOT NULL,
  attempt          bigint NOT NULL,
  wake_at          bigint,
  cancel_requested boolean NOT NULL,
  settled_at       bigint,
  settled_by       uuid,
  requested_at     bigint NOT NULL,
  started_at       bigint,       -- NULL: when it was requested, if there was an attempt
  run_id           uuid,         -- with `step` and `part`: where it was asked for
  step             bigint,
  part             bigint,
  correlation_id   text NOT NULL,
  causation_id     text,
  depth            bigint NOT NULL,
  actor_type       text NOT NULL,
  actor_id         text NOT NULL,
  idempotency_key  text NOT NULL,
  policy           text,         -- NULL: the default retry, and no timeout of its own
  payload          text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE UNIQUE INDEX directives_by_key ON directives (tenant_id, idempotency_key);
CREATE INDEX directives_by_name ON directives (tenant_id, name, id);
CREATE INDEX directives_by_run ON directives (tenant_id, run_id, id) WHERE run_id IS NOT NULL;
CREATE INDEX directives_by_status ON directives (tenant_id, status, id) WHERE status <> 'succeeded';
-- At start: what is due, and whose outcome is not on record.
CREATE INDEX directives_due ON directives (tenant_id, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX directives_in_flight ON directives (tenant_id, id)
  WHERE status = 'running' AND handler <> 'manual' AND wake_at IS NULL;

-- The output or failure of a run that has ended is in the payload of the signal `status_by`.
CREATE TABLE runs (
  tenant_id      uuid NOT NULL,
  id             uuid NOT NULL,
  workflow       text NOT NULL,
  version        text NOT NULL,
  status         text NOT NULL,
  steps          bigint NOT NULL, -- how many; those that are as they began have no row
  signal_id      uuid,            -- what caused it, or else its directive did
  directive_id   uuid NOT NULL,
  started_at     bigint NOT NULL,
  begun_at       bigint,          -- NULL: it has not begun
  deadline       bigint,
  wake_at        bigint,
  ended_at       bigint,
  status_by      uuid,
  correlation_id text NOT NULL,
  depth          bigint NOT NULL,
  input          text,
  parent         uuid,            -- with `parent_step` and `parent_part`: where it was started
  parent_step    bigint,
  parent_part    bigint,
  parent_waits   boolean,
  source         uuid,
  keys           text,            -- of flow control, as JSON
  throttled      boolean NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE INDEX runs_by_workflow ON runs (tenant_id, workflow, id);
CREATE INDEX runs_by_correlation ON runs (tenant_id, correlation_id, id);
CREATE INDEX runs_by_status ON runs (tenant_id, status, id) WHERE status <> 'completed';
-- Lists: what a run started, and what did it again.
CREATE INDEX runs_by_parent ON runs (tenant_id, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX runs_by_source ON runs (tenant_id, source, id) WHERE source IS NOT NULL;
-- How many runs of which version are under way.
CREATE INDEX runs_open ON runs (tenant_id, workflow, version, status) WHERE ended_at IS NULL;
-- At start: what is due, and whom flow control counts.
CREATE INDEX runs_due ON runs (tenant_id, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_counted ON runs (tenant_id, id) WHERE ended_at IS NULL AND keys IS NOT NULL;
-- Which throttled runs began lately, whether they have ended or not.
CREATE INDEX runs_throttled ON runs (tenant_id, workflow, begun_at, id) WHERE throttled AND begun_at IS NOT NULL;

-- What stands at a place of a run: `part` 0 is the step, n + 1 its item n, and below zero what undoes them. What
-- it waits for is in the payload of `signal_id`; its output there or in that of `output_by`.
CREATE TABLE places (
  tenant_id    uuid NOT NULL,
  run_id       uuid NOT NULL,
  step         bigint NOT NULL,
  part         bigint NOT NULL,
  status       text NOT NULL,
  attempt      bigint NOT NULL,
  iteration    bigint NOT NULL,
  issue        bigint NOT NULL,
  items        bigint,          -- NULL: it goes over nothing
  due_at       bigint,
  directive_id uuid,
  awaits       text,            -- a word, while it waits
  lock         text,
  started_at   bigint,
  ended_at     bigint,
  signal_id    uuid,
  output_by    uuid,            -- NULL: `signal_id`, if there is an output
  PRIMARY KEY (tenant_id, run_id, step, part)
);

-- At start: agents and workers whose answer is not on record.
CREATE INDEX places_in_flight ON places (tenant_id, run_id)
  WHERE status = 'running' AND directive_id IS NULL AND items IS NULL;
-- Lists of tasks, in the order in which they came; at start, the waits for signals.
CREATE INDEX places_waiting ON places (tenant_id, awaits, signal_id) WHERE awaits IS NOT NULL;
-- At start: who holds a lock, and who waits for it.
CREATE INDEX places_locked ON places (tenant_id, signal_id) WHERE lock IS NOT NULL;

-- Processes that are at work, or were until lately.
CREATE TABLE nodes (
  id          uuid PRIMARY KEY,
  name        text NOT NULL,
  version     text NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at  timestamptz NOT NULL, -- it lives until then, unless it says so again
  is_draining boolean NOT NULL DEFAULT false
);

-- Tenants are parted among them, and one node at a time writes for each part. A commit says under which epoch of the
-- partition it was made, and as which one of it: a node that was taken for dead, and the transaction of a
-- connection that was lost, can write nothing any more.
CREATE TABLE partitions (
  number  integer PRIMARY KEY,
  epoch   bigint NOT NULL DEFAULT 0,
  commits bigint NOT NULL DEFAULT 0,
  node    uuid,
  claim   uuid                   -- of whoever took it last: a node may take it twice
) WITH (fillfactor = 10);

CREATE FUNCTION fence(of_partition integer, of_epoch bigint, commit_number bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE partitions SET commits = commit_number WHERE number = of_partition AND epoch = of_epoch;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'epoch % of partition % is over: another node has taken over', of_epoch, of_partition
      USING ERRCODE = 'FP001';
  END IF;
END $$;

-- What one node asks another, and what is answered. Nothing here is kept: whoever hears nothing asks again.
CREATE UNLOGGED TABLE requests (
  id        uuid PRIMARY KEY,
  partition integer NOT NULL,    -- for whoever decides for it
  asker     uuid NOT NULL,
  sent_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  message   bytea NOT NULL
);

CREATE INDEX requests_by_partition ON requests (partition, id);

CREATE UNLOGGED TABLE answers (
  asker   uuid NOT NULL,
  request uuid NOT NULL,
  part    integer NOT NULL,
  sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  message bytea NOT NULL,
  PRIMARY KEY (asker, request, part)
);

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tenants', 'keys', 'workflows', 'workflow_versions', 'agents', 'directive_types',
    'functions', 'modules', 'schedules', 'schedule_states', 'signals', 'dedupe_keys', 'dispositions', 'directives',
    'runs', 'places']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY of_tenant ON %I
      USING (current_setting(''fleetprompt.tenant'', true) IN (''*'', tenant_id::text))', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['requests', 'answers'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY of_nodes ON %I
      USING (current_setting(''fleetprompt.tenant'', true) = ''*'')', name);
  END LOOP;
END $$;
