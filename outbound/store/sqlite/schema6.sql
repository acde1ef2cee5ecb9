-- 1 for a dead letter that still has to be logged, see unlogged.go.
ALTER TABLE delivery ADD COLUMN unlogged INTEGER;

CREATE INDEX delivery_unlogged ON delivery (id) WHERE unlogged = 1
