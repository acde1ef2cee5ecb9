-- The view now distinguishes deleted dead letters from the others.
DROP VIEW IF EXISTS deliveries;

CREATE VIEW deliveries AS
SELECT printf('dlv_%016x', d.id) AS delivery_id,
	coalesce(e.chosen, printf('evt_%016x', e.id)) AS event_id,
	e.type AS event_type,
	e.tenant,
	s.id AS subscription_id,
	s.url,
	CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'delivered' WHEN 2 THEN 'dead' ELSE 'discarded' END AS state,
	d.attempts,
	d.reason,
	strftime('%Y-%m-%dT%H:%M:%fZ', (d.id >> 21) / 1000.0, 'unixepoch') AS created_at,
	strftime('%Y-%m-%dT%H:%M:%fZ', d.due / 1000.0, 'unixepoch') AS due_at
FROM delivery d
JOIN event e ON e.id = d.event
LEFT JOIN subscription s ON s.key = d.subscription
