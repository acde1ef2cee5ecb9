-- The session that has to log a dead letter, NULL once it is logged.
ALTER TABLE webhooks.delivery ADD COLUMN unlogged bigint;
CREATE INDEX delivery_unlogged ON webhooks.delivery (unlogged, id) WHERE unlogged IS NOT NULL;
