-- 1 where a dead letter is to be logged and isn't yet, see unlogged.go.
ALTER TABLE delivery ADD COLUMN unlogged INTEGER;

CREATE INDEX delivery_unlogged ON delivery (id) WHERE unlogged = 1
