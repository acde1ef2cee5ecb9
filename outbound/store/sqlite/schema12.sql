-- The origin for which a subscription asks its receiver's permission, "" or NULL if
-- it doesn't.
ALTER TABLE subscription ADD COLUMN handshake TEXT;

DROP VIEW IF EXISTS subscriptions;

CREATE VIEW subscriptions AS
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
	strftime('%Y-%m-%dT%H:%M:%fZ', (key >> 21) / 1000.0, 'unixepoch') AS created_at,
	strftime('%Y-%m-%dT%H:%M:%fZ', updated / 1000.0, 'unixepoch') AS updated_at,
	metadata,
	transform,
	handshake
FROM subscription
