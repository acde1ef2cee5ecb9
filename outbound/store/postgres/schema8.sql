-- A subscription's own timeout and retry delays, in nanoseconds (0 or NULL for the
-- defaults); its owner's metadata, a JSON object; and the CEL expression for what
-- is sent instead of the payload, "" for the payload itself.
ALTER TABLE webhooks.subscription ADD COLUMN timeout bigint NOT NULL DEFAULT 0;
ALTER TABLE webhooks.subscription ADD COLUMN retry json;
ALTER TABLE webhooks.subscription ADD COLUMN metadata json;
ALTER TABLE webhooks.subscription ADD COLUMN transform text NOT NULL DEFAULT '';

CREATE OR REPLACE VIEW webhooks.subscriptions AS
SELECT id AS subscription_id,
	url,
	event_types,
	CASE WHEN deleted <> 0 THEN 'deleted' WHEN active THEN 'active' ELSE 'inactive' END AS state,
	reason,
	tenant,
	description,
	scheme,
	rate_limit,
	ordered,
	filter,
	webhooks.made(key) AS created_at,
	to_timestamp(updated / 1000.0) AS updated_at,
	metadata,
	transform
FROM webhooks.subscription;
