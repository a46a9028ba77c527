-- What a decision about a run left to the next one, because its budget was spent; NULL for nearly all runs. `wake_at`
-- says that the run must be looked at, so no index is needed.

ALTER TABLE runs ADD COLUMN continuation text;
