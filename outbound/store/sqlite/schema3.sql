-- Since when the receiver has been failing, NULL while it works. From this format
-- on, the state of a delivery may also be 3: a dead letter that was deleted.
ALTER TABLE subscription ADD COLUMN failing_since INTEGER
