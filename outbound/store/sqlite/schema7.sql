-- 1 where a delivery was made after its event, see replay.go. Its id is beyond
-- that one's last.
ALTER TABLE delivery ADD COLUMN replayed INTEGER;

CREATE INDEX delivery_replayed ON delivery (event) WHERE replayed = 1
