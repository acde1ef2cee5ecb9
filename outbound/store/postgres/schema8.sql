-- What a subscription has in the place of the settings, in nanoseconds (0 or NULL
-- where it goes by them); what its owner has noted, a JSON object; and in CEL what
-- is sent in the place of payloads, "" for themselves.
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
