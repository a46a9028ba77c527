-- A dedupe key is unique for each name of a signal, and no longer for the whole tenant: the name becomes a part of the
-- key. What was recorded keeps its keys under the names of its signals. An old key begins with `key:` or `event:`, which
-- no name does, so no new key meets an old one while they are changed.

SET LOCAL fleetprompt.tenant = '*';
UPDATE dedupe_keys d SET key = s.name || ':' || d.key FROM signals s
  WHERE s.tenant_id = d.tenant_id AND s.id = d.signal_id;
