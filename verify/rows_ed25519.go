package verify

// rowsEd25519 are the schemes with a key pair: the secret is the provider's
// public key, which is no secret at all.
var rowsEd25519 = []Scheme{
	standard("webhook-", Scheme{
		Name:         "standard-webhooks-ed25519",
		Aliases:      []string{"standard-ed25519"},
		Title:        "Standard Webhooks (v1a)",
		Source:       "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
		Notes:        "The receiver needs the public key only, whpk_…; the sender signs with whsk_….",
		Construction: "ed25519",
		Key:          "ed25519",
		Signature:    Signature{Tags: []string{"v1a"}},
	}),
	{
		Name:         "discord",
		Title:        "Discord",
		Source:       "https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers",
		Notes:        "The secret is the application's public key. Its PING is answered here.",
		Signature:    Signature{Name: "X-Signature-Ed25519"},
		Construction: "ed25519",
		Key:          "hex",
		Content:      "{timestamp}{body}",
		Timestamp:    Timestamp{In: "header", Name: "X-Signature-Timestamp"},
		ID:           Field{In: "json", Name: "id"},
		EventType:    Field{In: "json", Name: "event.type"},
		Handshake:    "discord",
	},
	{
		Name:         "telnyx",
		Title:        "Telnyx",
		Source:       "team-telnyx/telnyx-node lib/Webhooks.js",
		Notes:        "The secret is the account's public key.",
		Signature:    Signature{Name: "telnyx-signature-ed25519", Encoding: "base64"},
		Construction: "ed25519",
		Key:          "base64",
		Content:      "{timestamp}|{body}",
		Timestamp:    Timestamp{In: "header", Name: "telnyx-timestamp", Past: minutes(5)},
		ID:           Field{In: "json", Name: "data.id"},
		EventType:    Field{In: "json", Name: "data.event_type"},
	},
}
