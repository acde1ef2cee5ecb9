-- Since when the receiver has failed, NULL while it works. From this format on,
-- the state of a delivery may be 3 as well: a dead letter that was deleted.
ALTER TABLE subscription ADD COLUMN failing_since INTEGER
