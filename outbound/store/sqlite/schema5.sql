-- 1 if the payload was removed before the event, see forget.go.
ALTER TABLE event ADD COLUMN payload_removed INTEGER;

DROP VIEW IF EXISTS events;

CREATE VIEW events AS
SELECT coalesce(chosen, printf('evt_%016x', id)) AS event_id,
	type AS event_type,
	tenant,
	strftime('%Y-%m-%dT%H:%M:%fZ', (id >> 21) / 1000.0, 'unixepoch') AS created_at,
	deliveries,
	content_type,
	headers,
	CASE WHEN payload_removed IS NULL THEN payload END AS payload
FROM event
