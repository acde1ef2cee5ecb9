-- The greatest id that a delivery to it may have, once it is deleted and forget.go
-- has seen that.
ALTER TABLE webhooks.subscription ADD COLUMN last_delivery bigint;
