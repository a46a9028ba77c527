-- A digest of each record that never changes, for `verify` alone: no query searches for it, so it has no index. NULL: the record
-- is older than this column.

ALTER TABLE signals ADD COLUMN digest bigint;
ALTER TABLE directives ADD COLUMN digest bigint; -- of what was requested
