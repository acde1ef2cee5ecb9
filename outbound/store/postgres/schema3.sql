-- The index of dead letters now includes the subscription, to count by it.
DROP INDEX webhooks.delivery_dead;
CREATE INDEX delivery_dead ON webhooks.delivery (id) INCLUDE (subscription) WHERE state = 2;
