-- Dead letters are counted by their subscription.
DROP INDEX webhooks.delivery_dead;
CREATE INDEX delivery_dead ON webhooks.delivery (id) INCLUDE (subscription) WHERE state = 2;
