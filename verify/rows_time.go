package verify

import "time"

func minutes(n int) Duration { return Duration(time.Duration(n) * time.Minute) }

// rowsTime are the schemes that sign a time with the body.
var rowsTime = []Scheme{
	{
		Name:      "stripe",
		Title:     "Stripe",
		Source:    "stripe/stripe-go webhook/client.go",
		Notes:     "The secret is used as it is shown, with its whsec_. v0 is not looked at.",
		Signature: Signature{Name: "Stripe-Signature", Separator: ",", Tags: []string{"v1"}},
		Content:   "{timestamp}.{body}",
		Timestamp: Timestamp{In: "field", Name: "t", Past: minutes(5)},
		ID:        Field{In: "json", Name: "id"},
		EventType: Field{In: "json", Name: "type"},
	},
	{
		Name:      "paddle",
		Title:     "Paddle",
		Source:    "PaddleHQ/paddle-go-sdk webhook_verifier.go",
		Notes:     "Paddle's own libraries allow 5 s; 5 minutes leave room for slow networks.",
		Signature: Signature{Name: "Paddle-Signature", Separator: ";", Tags: []string{"h1"}},
		Content:   "{timestamp}:{body}",
		Timestamp: Timestamp{In: "field", Name: "ts"},
		ID:        Field{In: "json", Name: "event_id"},
		EventType: Field{In: "json", Name: "event_type"},
	},
	{
		Name:      "slack",
		Title:     "Slack",
		Source:    "https://docs.slack.dev/authentication/verifying-requests-from-slack",
		Notes:     "Delayed events, which Slack sends hourly after failures, carry their first time and fall out of the tolerance.",
		Signature: Signature{Name: "X-Slack-Signature", Prefix: "v0="},
		Content:   "v0:{timestamp}:{body}",
		Timestamp: Timestamp{In: "header", Name: "X-Slack-Request-Timestamp", Past: minutes(5)},
		ID:        Field{In: "json", Name: "event_id"},
		EventType: Field{In: "json", Name: "event.type"},
		Handshake: "slack",
	},
	{
		Name:      "zoom",
		Title:     "Zoom",
		Source:    "https://developers.zoom.us/docs/api/webhooks/",
		Signature: Signature{Name: "x-zm-signature", Prefix: "v0="},
		Content:   "v0:{timestamp}:{body}",
		Timestamp: Timestamp{In: "header", Name: "x-zm-request-timestamp", Past: minutes(5)},
		EventType: Field{In: "json", Name: "event"},
		Handshake: "zoom",
	},
}
