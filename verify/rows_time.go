package verify

import "time"

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }

func minutes(n int) Duration { return 60 * seconds(n) }

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
		Name:   "hook0",
		Title:  "Hook0",
		Source: "hook0/hook0 clients/conformance/signature.json",
		Notes:  "v1 covers the headers that it names, v0 only the body; v0 counts where there is no v1.",
		Signature: Signature{
			Name:        "X-Hook0-Signature",
			Separator:   ",",
			Tags:        []string{"v1", "v0"},
			TagContents: map[string]string{"v0": "{timestamp}.{body}"},
		},
		Content:   "{timestamp}.{field.h}.{func.hook0_values}.{body}",
		Timestamp: Timestamp{In: "field", Name: "t", Past: minutes(5)},
		ID:        Field{In: "header", Name: "X-Event-Id"},
		EventType: Field{In: "header", Name: "X-Event-Type"},
	},
	{
		Name:      "twitch",
		Title:     "Twitch EventSub",
		Source:    "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
		Notes:     "The message's type stands in a header that is not signed.",
		Signature: Signature{Name: "Twitch-Eventsub-Message-Signature", Prefix: "sha256="},
		Content:   "{id}{timestamp}{body}",
		Timestamp: Timestamp{In: "header", Name: "Twitch-Eventsub-Message-Timestamp", Format: "rfc3339", Past: minutes(10)},
		ID:        Field{In: "header", Name: "Twitch-Eventsub-Message-Id"},
		EventType: Field{In: "header", Name: "Twitch-Eventsub-Subscription-Type"},
		Handshake: "twitch",
	},
	{
		Name:        "front",
		Title:       "Front",
		Source:      "https://dev.frontapp.com/docs/application-webhooks",
		Unconfirmed: true,
		Signature:   Signature{Name: "X-Front-Signature", Encoding: "base64"},
		Content:     "{timestamp}:{body}",
		Timestamp:   Timestamp{In: "header", Name: "X-Front-Request-Timestamp", Format: "unix_ms"},
		EventType:   Field{In: "json", Name: "type"},
		Handshake:   "front",
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
