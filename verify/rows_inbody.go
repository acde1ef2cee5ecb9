package verify

// rowsInBody are the schemes whose signature is in the body.
var rowsInBody = []Scheme{
	{
		Name:        "mailgun",
		Title:       "Mailgun",
		Source:      "mailgun/mailgun-go webhooks.go",
		Notes:       "Only a timestamp and a token are signed, not the event. Mailgun is said to retry for about eight hours with the same timestamp and token: if you see `stale_timestamp`, set `tolerance 12h 5m`. The token is then remembered for as long.",
		Signature:   Signature{In: "json", Name: "signature.signature"},
		Content:     "{timestamp}{id}",
		Timestamp:   Timestamp{In: "json", Name: "signature.timestamp"},
		ID:          Field{In: "json", Name: "signature.token"},
		EventType:   Field{In: "json", Name: "event-data.event"},
		Acknowledge: Acknowledge{Status: 200}, // https://help.mailgun.com/hc/en-us/articles/202236504-Webhooks
		UnboundBody: true,
	},
	{
		Name:        "dropbox-sign",
		Aliases:     []string{"hellosign"},
		Title:       "Dropbox Sign",
		Source:      "hellosign/dropbox-sign-node",
		Notes:       "The secret is the API key. Only the timestamp and the event type are signed, not the event. The timestamp is the event's, and stays the same while Dropbox Sign retries for about three days.",
		Signature:   Signature{In: "json", Name: "event.event_hash"},
		Content:     "{timestamp}{event_type}",
		Timestamp:   Timestamp{In: "json", Name: "event.event_time", Past: hours(80), Future: minutes(5)}, // https://developers.hellosign.com/api/manual-reference-pages/glossary/callbacks-events
		EventType:   Field{In: "json", Name: "event.event_type"},
		JSONField:   "json",
		Handshake:   "dropbox-sign",
		Acknowledge: Acknowledge{Status: 200, Body: dropboxSignReceived}, // https://developers.hellosign.com/docs/events/walkthrough
		UnboundBody: true,
	},
	{
		Name:      "adyen",
		Aliases:   []string{"adyen-payments"},
		Title:     "Adyen (payments)",
		Source:    "Adyen/adyen-go-api-library",
		Notes:     "Every item of a notification must be signed, each over eight of its fields. A merchant reference may contain colons, but the other fields may not.",
		Signature: Signature{In: "json", Each: "notificationItems", Name: "NotificationRequestItem.additionalData.hmacSignature", Encoding: "base64"},
		Key:       "hex",
		Content: "{json.NotificationRequestItem.pspReference?}:{json.NotificationRequestItem.originalReference?}:" +
			"{json.NotificationRequestItem.merchantAccountCode?}:{json.NotificationRequestItem.merchantReference?*}:" +
			"{json.NotificationRequestItem.amount.value?}:{json.NotificationRequestItem.amount.currency?}:" +
			"{json.NotificationRequestItem.eventCode?}:{json.NotificationRequestItem.success?}",
		ID:          Field{In: "json", Name: "notificationItems.0.NotificationRequestItem.pspReference"},
		EventType:   Field{In: "json", Name: "notificationItems.0.NotificationRequestItem.eventCode"},
		UnboundBody: true,
	},
	{
		Name:      "braintree",
		Title:     "Braintree",
		Source:    "braintree/braintree_python braintree/webhook_notification_gateway.py",
		Notes:     "The secret is the private key. The `verify_token`, for the challenge with which Braintree tests a URL, is the public key.",
		Signature: Signature{In: "form", Name: "bt_signature", Separator: "&", Tags: []string{"*"}, Assign: "|"},
		Algorithm: "sha1",
		Key:       "sha1",
		Content:   "{form.bt_payload}",
		Handshake: "braintree",
	},
}
