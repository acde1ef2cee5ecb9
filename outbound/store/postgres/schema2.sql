-- Whether the payload was removed before the event, see forget.go.
ALTER TABLE webhooks.event ADD COLUMN payload_removed boolean NOT NULL DEFAULT false;

CREATE OR REPLACE VIEW webhooks.events AS
SELECT coalesce(chosen, webhooks.public_id('evt_', id)) AS event_id,
	type AS event_type,
	tenant,
	webhooks.made(id) AS created_at,
	deliveries,
	content_type,
	headers,
	CASE WHEN NOT payload_removed THEN webhooks.readable(payload) END AS payload
FROM webhooks.event;
