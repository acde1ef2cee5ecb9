-- A checksum of what is sent of an event, see digest.go. Rows of format 1 have
-- none.
ALTER TABLE event ADD COLUMN digest INTEGER
