-- Limits of what one root may lead to. Rows of runs that a root started itself have NULL in both columns, so
-- neither the rows nor the indexes of ordinary runs grow.

ALTER TABLE runs ADD COLUMN root BLOB;    -- kind and bytes of the record that the chain of causes began with
ALTER TABLE runs ADD COLUMN descent TEXT; -- position among the descendants of that root, as JSON

-- After a restart: the first and the last descendant of a root within the window.
CREATE INDEX runs_by_root ON runs (tenant, root, started_at, id) WHERE root IS NOT NULL;
-- After a restart: how many descendants of a root are open.
CREATE INDEX runs_open_by_root ON runs (tenant, root, ended_at) WHERE root IS NOT NULL AND ended_at IS NULL;

-- The last signals that a workflow refused.
CREATE INDEX dispositions_refused ON dispositions (tenant, workflow, signal_id) WHERE kind = 'refused';
