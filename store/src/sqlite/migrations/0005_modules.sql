-- Modules of WebAssembly that tenants uploaded for their functions. What is under a digest never changes.

CREATE TABLE modules (
  tenant     INTEGER NOT NULL,
  digest     TEXT NOT NULL,
  size       INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  bytes      BLOB NOT NULL, -- last: what lists modules does not read them
  PRIMARY KEY (tenant, digest)
) STRICT;
