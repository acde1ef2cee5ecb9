-- A subscription's own timeout and retry delays, in nanoseconds (0 or NULL for the
-- defaults); its owner's metadata, a JSON object; and the CEL expression for what
-- is sent instead of the payload, "" or NULL for the payload itself.
ALTER TABLE subscription ADD COLUMN timeout INTEGER;
ALTER TABLE subscription ADD COLUMN retry TEXT;
ALTER TABLE subscription ADD COLUMN metadata TEXT;
ALTER TABLE subscription ADD COLUMN transform TEXT;

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
	transform
FROM subscription
