-- A dedupe key is unique for each name of a signal, and no longer for the whole tenant: the name becomes a part of the
-- key. What was recorded keeps its keys under the names of its signals.

CREATE TABLE dedupe_keys_by_name (
  tenant    INTEGER NOT NULL,
  key       TEXT NOT NULL,    -- begins with the signal's name and a colon
  signal_id BLOB NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

INSERT INTO dedupe_keys_by_name (tenant, key, signal_id)
  SELECT d.tenant, n.name || ':' || d.key, d.signal_id FROM dedupe_keys d
    CROSS JOIN signals s ON s.tenant = d.tenant AND s.id = d.signal_id
    CROSS JOIN names n ON n.no = s.name
    ORDER BY 1, 2;
DROP TABLE dedupe_keys;
ALTER TABLE dedupe_keys_by_name RENAME TO dedupe_keys;
