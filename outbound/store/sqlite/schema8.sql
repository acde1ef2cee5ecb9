-- How to get an access token for the receiver, a JSON object, NULL for none.
ALTER TABLE subscription ADD COLUMN oauth2 TEXT
