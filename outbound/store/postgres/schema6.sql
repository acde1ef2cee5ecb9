-- The URL of an attempt, NULL for those made before this format.
ALTER TABLE webhooks.delivery ADD COLUMN url text;
ALTER TABLE webhooks.attempt ADD COLUMN url text;

CREATE OR REPLACE VIEW webhooks.attempts AS
SELECT webhooks.public_id('att_', id) AS attempt_id,
	webhooks.public_id('dlv_', delivery) AS delivery_id,
	number,
	to_timestamp(at / 1000.0) AS at,
	latency / 1000.0 AS latency_ms,
	status,
	class,
	error AS error_message,
	webhooks.readable(response_body) AS response_body,
	response_headers,
	trace_id,
	url
FROM (
	SELECT id, id AS delivery, 1 AS number, at, latency, status, class, error, response_body, response_headers, trace_id, url
	FROM webhooks.delivery WHERE at IS NOT NULL
	UNION ALL
	SELECT id, delivery, number, at, latency, status, class, error, response_body, response_headers, trace_id, url
	FROM webhooks.attempt
) a;
