-- How much a tenant gets beside others, when all of them want more than there is.

ALTER TABLE tenants ADD COLUMN weight integer NOT NULL DEFAULT 100;
