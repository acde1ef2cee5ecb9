-- How to get an access token for the receiver, NULL for none.
ALTER TABLE webhooks.subscription ADD COLUMN oauth2 json;
