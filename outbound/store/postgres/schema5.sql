-- How a token for the receiver is got, NULL where none is wanted.
ALTER TABLE webhooks.subscription ADD COLUMN oauth2 json;
