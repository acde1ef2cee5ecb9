-- The URL of an attempt, NULL for those made before this format.
ALTER TABLE delivery ADD COLUMN url TEXT;
ALTER TABLE attempt ADD COLUMN url TEXT;

DROP VIEW IF EXISTS attempts;

CREATE VIEW attempts AS
SELECT printf('att_%016x', id) AS attempt_id,
	printf('dlv_%016x', delivery) AS delivery_id,
	number,
	strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at,
	latency / 1000.0 AS latency_ms,
	status,
	class,
	error AS error_message,
	response_body,
	response_headers,
	trace_id,
	url
FROM (
	SELECT id, id AS delivery, 1 AS number, at, latency, status, class, error, response_body, response_headers, trace_id, url
	FROM delivery WHERE at IS NOT NULL
	UNION ALL
	SELECT id, delivery, number, at, latency, status, class, error, response_body, response_headers, trace_id, url
	FROM attempt
)
