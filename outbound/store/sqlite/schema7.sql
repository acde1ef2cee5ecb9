-- 1 for a delivery that was created after its event, see replay.go. Its id is
-- greater than the event's last.
ALTER TABLE delivery ADD COLUMN replayed INTEGER;

CREATE INDEX delivery_replayed ON delivery (event) WHERE replayed = 1
