-- Workers: functions that tenants registered, keys that are made for workers, and which attempts were
-- under way, those of workers among them. Who has taken an attempt is not kept: it is handed out again
-- when nobody says that they are at it.

CREATE TABLE functions (
  tenant     INTEGER NOT NULL,
  name       TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  document   TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT;

ALTER TABLE keys ADD COLUMN performs TEXT; -- what a worker's key takes and reports, as JSON

-- What an engine delivers again when it starts.
DROP INDEX directives_in_flight;
CREATE INDEX directives_in_flight ON directives (tenant, id)
  WHERE status = 'running' AND handler <> 'manual' AND wake_at IS NULL;
