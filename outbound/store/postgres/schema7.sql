-- The greatest id that a delivery to a deleted subscription may have. NULL until
-- forget.go has set it.
ALTER TABLE webhooks.subscription ADD COLUMN last_delivery bigint;
