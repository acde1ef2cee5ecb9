-- The first version of the store. Ids are integers that grow with time (see
-- the store package): their first 42 bits are Unix milliseconds. All other
-- times are Unix milliseconds too. The views at the end are for people.

CREATE TABLE event (
	id           INTEGER PRIMARY KEY,
	last         INTEGER NOT NULL, -- its deliveries have ids in (id, last]
	deliveries   INTEGER NOT NULL, -- how many those are
	type         TEXT NOT NULL,
	tenant       TEXT,
	chosen       TEXT,             -- the publisher's own id
	content_type TEXT,
	headers      TEXT,             -- JSON object
	trace_parent TEXT,
	trace_state  TEXT,
	payload      BLOB NOT NULL     -- TEXT where it is UTF-8
);

-- The ids that publishers chose. Other events are found by their key.
CREATE TABLE chosen (
	id     TEXT NOT NULL,
	tenant TEXT NOT NULL,
	event  INTEGER NOT NULL,
	PRIMARY KEY (id, tenant)
) WITHOUT ROWID;

CREATE TABLE subscription (
	key         INTEGER PRIMARY KEY,
	id          TEXT NOT NULL,
	tenant      TEXT NOT NULL,
	url         TEXT NOT NULL,
	description TEXT NOT NULL,
	event_types TEXT NOT NULL,     -- JSON array
	headers     TEXT,              -- JSON object
	scheme      TEXT NOT NULL,
	secrets     TEXT,              -- JSON array
	rate_limit  REAL NOT NULL,
	ordered     INTEGER NOT NULL,
	filter      TEXT NOT NULL,
	from_config INTEGER NOT NULL,
	active      INTEGER NOT NULL,
	reason      TEXT NOT NULL,
	updated     INTEGER NOT NULL,
	deleted     INTEGER NOT NULL DEFAULT 0 -- its key; the row stays for its deliveries
);

-- An id is unique among the subscriptions that aren't deleted.
CREATE UNIQUE INDEX subscription_id ON subscription (id, deleted);

-- A delivery with its first attempt, so that one that succeeds at once is one
-- row. That attempt's id is the delivery's.
CREATE TABLE delivery (
	id               INTEGER PRIMARY KEY,
	event            INTEGER NOT NULL,
	subscription     INTEGER NOT NULL,
	state            INTEGER NOT NULL, -- 0 pending, 1 delivered, 2 dead
	due              INTEGER,          -- of the next attempt, while pending
	attempts         INTEGER NOT NULL,
	round            INTEGER NOT NULL,
	reason           TEXT,
	at               INTEGER,
	latency          INTEGER,          -- microseconds
	status           INTEGER,
	class            TEXT,
	error            TEXT,
	response_body    BLOB,             -- TEXT where it is UTF-8
	response_headers TEXT,             -- JSON object
	trace_id         TEXT
);

-- Pending deliveries by subscription and due time (and by id, with which every
-- index ends). Settled deliveries aren't in it.
CREATE INDEX delivery_pending ON delivery (subscription, due) WHERE state = 0;
CREATE INDEX delivery_dead ON delivery (id, subscription) WHERE state = 2;

-- Attempts after the first.
CREATE TABLE attempt (
	id               INTEGER PRIMARY KEY,
	delivery         INTEGER NOT NULL,
	number           INTEGER NOT NULL,
	at               INTEGER NOT NULL,
	latency          INTEGER NOT NULL,
	status           INTEGER,
	class            TEXT,
	error            TEXT,
	response_body    BLOB,
	response_headers TEXT,
	trace_id         TEXT
);

CREATE UNIQUE INDEX attempt_delivery ON attempt (delivery, number);

CREATE TABLE event_type (
	name        TEXT PRIMARY KEY,
	description TEXT NOT NULL,
	schema      BLOB,
	from_config INTEGER NOT NULL
) WITHOUT ROWID;

-- Inbound messages that were accepted, so that none is accepted again.
CREATE TABLE seen (
	key   BLOB PRIMARY KEY,
	until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE VIEW events AS
SELECT coalesce(chosen, printf('evt_%016x', id)) AS event_id,
	type AS event_type,
	tenant,
	strftime('%Y-%m-%dT%H:%M:%fZ', (id >> 21) / 1000.0, 'unixepoch') AS created_at,
	deliveries,
	content_type,
	headers,
	payload
FROM event;

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
	strftime('%Y-%m-%dT%H:%M:%fZ', updated / 1000.0, 'unixepoch') AS updated_at
FROM subscription;

CREATE VIEW deliveries AS
SELECT printf('dlv_%016x', d.id) AS delivery_id,
	coalesce(e.chosen, printf('evt_%016x', e.id)) AS event_id,
	e.type AS event_type,
	e.tenant,
	s.id AS subscription_id,
	s.url,
	CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'delivered' ELSE 'dead' END AS state,
	d.attempts,
	d.reason,
	strftime('%Y-%m-%dT%H:%M:%fZ', (d.id >> 21) / 1000.0, 'unixepoch') AS created_at,
	strftime('%Y-%m-%dT%H:%M:%fZ', d.due / 1000.0, 'unixepoch') AS due_at
FROM delivery d
JOIN event e ON e.id = d.event
LEFT JOIN subscription s ON s.key = d.subscription;

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
	trace_id
FROM (
	SELECT id, id AS delivery, 1 AS number, at, latency, status, class, error, response_body, response_headers, trace_id
	FROM delivery WHERE at IS NOT NULL
	UNION ALL
	SELECT id, delivery, number, at, latency, status, class, error, response_body, response_headers, trace_id
	FROM attempt
);

-- What failed, where and why.
CREATE VIEW dead_letters AS
SELECT printf('dlv_%016x', d.id) AS delivery_id,
	coalesce(e.chosen, printf('evt_%016x', e.id)) AS event_id,
	e.type AS event_type,
	e.tenant,
	s.id AS subscription_id,
	s.url,
	d.reason,
	d.attempts,
	CASE WHEN d.at IS NOT NULL THEN printf('att_%016x', coalesce(a.id, d.id)) END AS attempt_id,
	strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(a.at, d.at) / 1000.0, 'unixepoch') AS failed_at,
	CASE WHEN a.id IS NULL THEN d.status ELSE a.status END AS status,
	CASE WHEN a.id IS NULL THEN d.class ELSE a.class END AS class,
	CASE WHEN a.id IS NULL THEN d.error ELSE a.error END AS error_message,
	CASE WHEN a.id IS NULL THEN d.response_body ELSE a.response_body END AS response_body,
	strftime('%Y-%m-%dT%H:%M:%fZ', (d.id >> 21) / 1000.0, 'unixepoch') AS created_at,
	e.content_type,
	e.payload
FROM delivery d INDEXED BY delivery_dead
JOIN event e ON e.id = d.event
LEFT JOIN subscription s ON s.key = d.subscription
LEFT JOIN attempt a ON a.delivery = d.id AND a.number = d.attempts
WHERE d.state = 2
ORDER BY d.id DESC;
