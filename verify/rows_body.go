package verify

// rowsBody are the schemes that sign the whole body and no time.
var rowsBody = []Scheme{
	{
		Name:      "github",
		Title:     "GitHub",
		Source:    "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
		Notes:     "The SHA-1 header that GitHub sends beside it is not looked at. A redelivery repeats id and body.",
		Signature: Signature{Name: "X-Hub-Signature-256", Prefix: "sha256="},
		ID:        Field{In: "header", Name: "X-GitHub-Delivery"},
		EventType: Field{In: "header", Name: "X-GitHub-Event"},
	},
	{
		Name:      "shopify",
		Title:     "Shopify",
		Source:    "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
		Notes:     "The secret is the app's client secret; webhooks made in the admin have a key of their own. X-Shopify-Triggered-At is not signed.",
		Signature: Signature{Name: "X-Shopify-Hmac-SHA256", Encoding: "base64"},
		ID:        Field{In: "header", Name: "X-Shopify-Webhook-Id"},
		EventType: Field{In: "header", Name: "X-Shopify-Topic"},
	},
	{
		Name:      "linear",
		Title:     "Linear",
		Source:    "linear/linear packages/sdk/src/webhooks/client.ts",
		Notes:     "The time is the body's; the Linear-Timestamp header is not signed.",
		Signature: Signature{Name: "Linear-Signature"},
		Timestamp: Timestamp{In: "json", Name: "webhookTimestamp", Format: "unix_ms", Past: minutes(1), Optional: true},
		ID:        Field{In: "header", Name: "Linear-Delivery"},
		EventType: Field{In: "header", Name: "Linear-Event"},
	},
}
