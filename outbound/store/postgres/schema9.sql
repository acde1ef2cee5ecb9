-- The origin for which a subscription asks its receiver's permission, "" if it
-- doesn't.
ALTER TABLE webhooks.subscription ADD COLUMN handshake text NOT NULL DEFAULT '';

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
	transform,
	handshake
FROM webhooks.subscription;
