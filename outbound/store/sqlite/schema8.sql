-- How a token for the receiver is got, a JSON object, NULL where none is wanted.
ALTER TABLE subscription ADD COLUMN oauth2 TEXT
