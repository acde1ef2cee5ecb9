-- The first version of the store. Ids are integers that grow with time (see
-- the store package): their first 42 bits are Unix milliseconds. All other
-- times of rows are Unix milliseconds too. The views at the end are for people.

-- The nodes that share the store. A number belongs to a node while it has a
-- session. Each start of a node begins a new session.
CREATE TABLE webhooks.node (
	number  smallint PRIMARY KEY,
	session bigint UNIQUE,
	until   timestamptz NOT NULL,      -- when the session may be ended by others
	host    text NOT NULL,
	bytes   bigint NOT NULL DEFAULT 0  -- what nodes with this number have stored, less what they have removed
);

-- Grows with each change of a subscription or an event type.
CREATE TABLE webhooks.revision (
	n bigint NOT NULL
);

INSERT INTO webhooks.revision (n) VALUES (0);

CREATE TABLE webhooks.event (
	id           bigint PRIMARY KEY,
	deliveries   integer NOT NULL,     -- how many it has
	type         text COLLATE "C" NOT NULL,
	tenant       text COLLATE "C",
	chosen       text COLLATE "C",     -- the publisher's own id
	content_type text,
	headers      json,
	trace_parent text,
	trace_state  text,
	payload      bytea NOT NULL
);

-- The ids that publishers chose. Other events are found by their key.
CREATE TABLE webhooks.chosen (
	id     text COLLATE "C" NOT NULL,
	tenant text COLLATE "C" NOT NULL,
	event  bigint NOT NULL,
	PRIMARY KEY (id, tenant)
);

CREATE TABLE webhooks.subscription (
	key           bigint PRIMARY KEY,
	id            text COLLATE "C" NOT NULL,
	tenant        text NOT NULL,
	url           text NOT NULL,
	description   text NOT NULL,
	event_types   json NOT NULL,
	headers       json,
	scheme        text NOT NULL,
	secrets       json,
	rate_limit    double precision NOT NULL,
	ordered       boolean NOT NULL,
	filter        text NOT NULL,
	from_config   boolean NOT NULL,
	active        boolean NOT NULL,
	reason        text NOT NULL,
	updated       bigint NOT NULL,
	failing_since bigint,
	deleted       bigint NOT NULL DEFAULT 0, -- its key; the row stays for its deliveries
	owner         bigint                     -- the session that alone may deliver, for ordered or rate-limited ones
);

-- An id is unique among the subscriptions that aren't deleted.
CREATE UNIQUE INDEX subscription_id ON webhooks.subscription (id, deleted);

-- A delivery with its first attempt, so that one that succeeds at once is one
-- row. That attempt's id is the delivery's. Old row versions are vacuumed soon,
-- because claims would have to go through those of pending deliveries.
CREATE TABLE webhooks.delivery (
	id               bigint PRIMARY KEY,
	event            bigint NOT NULL,
	subscription     bigint NOT NULL,
	state            smallint NOT NULL, -- 0 pending, 1 delivered, 2 dead, 3 discarded
	due              bigint,            -- of the next attempt, while pending
	attempts         integer NOT NULL,
	round            integer NOT NULL,
	holder           bigint,            -- the session that has taken it
	again            bigint,            -- when it is due once more after the holder's attempt, if it was requeued meanwhile
	reason           text,
	at               bigint,
	latency          bigint,            -- microseconds
	status           integer,
	class            text,
	error            text,
	response_body    bytea,
	response_headers json,
	trace_id         text
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Pending deliveries that nobody holds, by subscription and due time; deliveries
-- that are held; dead letters. Those that were delivered are in none of them.
CREATE INDEX delivery_waits ON webhooks.delivery (subscription, due, id) WHERE state = 0 AND holder IS NULL;
CREATE INDEX delivery_held ON webhooks.delivery (subscription, holder) WHERE holder IS NOT NULL;
CREATE INDEX delivery_dead ON webhooks.delivery (id) WHERE state = 2;
CREATE INDEX delivery_event ON webhooks.delivery (event);

-- Attempts after the first.
CREATE TABLE webhooks.attempt (
	id               bigint PRIMARY KEY,
	delivery         bigint NOT NULL,
	number           integer NOT NULL,
	at               bigint NOT NULL,
	latency          bigint NOT NULL,
	status           integer,
	class            text,
	error            text,
	response_body    bytea,
	response_headers json,
	trace_id         text
);

CREATE UNIQUE INDEX attempt_delivery ON webhooks.attempt (delivery, number);

CREATE TABLE webhooks.event_type (
	name        text COLLATE "C" PRIMARY KEY,
	description text NOT NULL,
	schema      bytea,
	from_config boolean NOT NULL
);

-- Inbound messages that were accepted, so that none is accepted again.
CREATE TABLE webhooks.seen (
	key   bytea PRIMARY KEY,
	until bigint NOT NULL
);

CREATE INDEX seen_until ON webhooks.seen (until);

-- When an id was made.
CREATE FUNCTION webhooks.made(id bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
	'SELECT to_timestamp((id >> 21) / 1000.0)';

-- Bytes for people: ASCII as text, other bytes escaped.
CREATE FUNCTION webhooks.readable(bytes bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
	'SELECT encode(bytes, ''escape'')';

CREATE FUNCTION webhooks.public_id(prefix text, id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
	'SELECT prefix || lpad(to_hex(id), 16, ''0'')';

CREATE VIEW webhooks.events AS
SELECT coalesce(chosen, webhooks.public_id('evt_', id)) AS event_id,
	type AS event_type,
	tenant,
	webhooks.made(id) AS created_at,
	deliveries,
	content_type,
	headers,
	webhooks.readable(payload) AS payload
FROM webhooks.event;

CREATE VIEW webhooks.subscriptions AS
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
	to_timestamp(updated / 1000.0) AS updated_at
FROM webhooks.subscription;

CREATE VIEW webhooks.deliveries AS
SELECT webhooks.public_id('dlv_', d.id) AS delivery_id,
	coalesce(e.chosen, webhooks.public_id('evt_', e.id)) AS event_id,
	e.type AS event_type,
	e.tenant,
	s.id AS subscription_id,
	s.url,
	CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'delivered' WHEN 2 THEN 'dead' ELSE 'discarded' END AS state,
	d.attempts,
	d.reason,
	webhooks.made(d.id) AS created_at,
	to_timestamp(d.due / 1000.0) AS due_at,
	n.host AS held_by
FROM webhooks.delivery d
JOIN webhooks.event e ON e.id = d.event
LEFT JOIN webhooks.subscription s ON s.key = d.subscription
LEFT JOIN webhooks.node n ON n.session = d.holder;

CREATE VIEW webhooks.attempts AS
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
	trace_id
FROM (
	SELECT id, id AS delivery, 1 AS number, at, latency, status, class, error, response_body, response_headers, trace_id
	FROM webhooks.delivery WHERE at IS NOT NULL
	UNION ALL
	SELECT id, delivery, number, at, latency, status, class, error, response_body, response_headers, trace_id
	FROM webhooks.attempt
) a;

-- What failed, where and why.
CREATE VIEW webhooks.dead_letters AS
SELECT webhooks.public_id('dlv_', d.id) AS delivery_id,
	coalesce(e.chosen, webhooks.public_id('evt_', e.id)) AS event_id,
	e.type AS event_type,
	e.tenant,
	s.id AS subscription_id,
	s.url,
	d.reason,
	d.attempts,
	CASE WHEN d.at IS NOT NULL THEN webhooks.public_id('att_', coalesce(a.id, d.id)) END AS attempt_id,
	to_timestamp(coalesce(a.at, d.at) / 1000.0) AS failed_at,
	CASE WHEN a.id IS NULL THEN d.status ELSE a.status END AS status,
	CASE WHEN a.id IS NULL THEN d.class ELSE a.class END AS class,
	CASE WHEN a.id IS NULL THEN d.error ELSE a.error END AS error_message,
	webhooks.readable(CASE WHEN a.id IS NULL THEN d.response_body ELSE a.response_body END) AS response_body,
	webhooks.made(d.id) AS created_at,
	e.content_type,
	webhooks.readable(e.payload) AS payload
FROM webhooks.delivery d
JOIN webhooks.event e ON e.id = d.event
LEFT JOIN webhooks.subscription s ON s.key = d.subscription
LEFT JOIN webhooks.attempt a ON a.delivery = d.id AND a.number = d.attempts
WHERE d.state = 2
ORDER BY d.id DESC;

CREATE VIEW webhooks.nodes AS
SELECT host, number, until AS lease_until, until < clock_timestamp() AS lapsed
FROM webhooks.node WHERE session IS NOT NULL;
