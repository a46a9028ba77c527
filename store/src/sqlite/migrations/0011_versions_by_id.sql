-- Lists the versions of a workflow in the order in which they were applied, and finds the newest one of a draft without
-- reading the others. Only applying a version pays for it.

CREATE INDEX workflow_versions_by_id ON workflow_versions (tenant, slug, id);
