-- Since when the receiver has failed, NULL while it works.
ALTER TABLE subscription ADD COLUMN failing_since INTEGER
