-- The session that is to log a dead letter, until it has.
ALTER TABLE webhooks.delivery ADD COLUMN unlogged bigint;
CREATE INDEX delivery_unlogged ON webhooks.delivery (unlogged, id) WHERE unlogged IS NOT NULL;
