-- A checksum of the parts of an event that are sent, see digest.go. Rows of
-- format 1 have none.
ALTER TABLE event ADD COLUMN digest INTEGER
