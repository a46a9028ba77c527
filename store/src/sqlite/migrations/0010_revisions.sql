-- Revision of the language that a version was applied in. What the language means today may differ; a version that is
-- stored keeps the meaning that it had. Versions from before this column are of the first revision.

ALTER TABLE workflow_versions ADD COLUMN language INTEGER NOT NULL DEFAULT 1;
