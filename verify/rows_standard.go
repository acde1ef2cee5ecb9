package verify

// standard returns a row of the Standard Webhooks family: headers with a common prefix, a
// signed id and timestamp, and several signatures side by side.
func standard(prefix string, row Scheme) Scheme {
	var prefixes []string
	if prefix == "svix-" {
		prefixes = []string{prefix, "webhook-"} // Svix's libraries accept both
	}
	return Scheme{
		Signature: Signature{Name: prefix + "signature", Separator: " ", Tags: []string{"v1"}, Assign: ",", Encoding: "base64"},
		Key:       "whsec",
		Content:   "{id}.{timestamp}.{body}",
		Timestamp: Timestamp{In: "header", Name: prefix + "timestamp", Past: minutes(5)},
		ID:        Field{In: "header", Name: prefix + "id"},
		EventType: Field{In: "json", Name: "type"},

		HeaderPrefixes: prefixes,
	}.Merge(row)
}

// rowsStandard are the schemes of the Standard Webhooks family.
var rowsStandard = []Scheme{
	standard("webhook-", Scheme{
		Name:    "standard-webhooks",
		Aliases: []string{"standard"},
		Title:   "Standard Webhooks",
		Source:  "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
	}),
	standard("svix-", Scheme{
		Name:   "svix",
		Title:  "Svix",
		Source: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
	}),
	standard("webhook-", Scheme{
		Name:      "gitlab",
		Aliases:   []string{"gitlab-signing-token"},
		Title:     "GitLab (signing token)",
		Source:    "https://docs.gitlab.com/user/project/integrations/webhooks/",
		Notes:     "For webhooks with a signing token, `whsec_…`. The classic `X-Gitlab-Token` is a shared token, which proves nothing about the body.",
		EventType: Field{In: "header", Name: "X-Gitlab-Event"},
	}),
	standard("webhook-", Scheme{
		Name:   "openai",
		Title:  "OpenAI",
		Source: "https://platform.openai.com/docs/guides/webhooks",
		Notes:  "The secret starts with `whsec_`.",
	}),
	standard("webhook-", Scheme{
		Name:      "anthropic",
		Aliases:   []string{"anthropic-managed-agents", "claude"},
		Title:     "Anthropic",
		Source:    "anthropics/anthropic-sdk-python src/anthropic/resources/beta/webhooks.py",
		Notes:     "The secret starts with `whsec_`.",
		EventType: Field{In: "json", Name: "data.type"},
	}),
	standard("webhook-", Scheme{
		Name:    "gemini",
		Aliases: []string{"gemini-api", "google-gemini"},
		Title:   "Gemini API (static webhooks)",
		Source:  "https://ai.google.dev/gemini-api/docs/webhooks",
		Notes:   "Only static webhooks have a secret. Dynamic webhooks carry a JWT with Google's key, which isn't verified here.",
	}),
	standard("webhook-", Scheme{
		Name:   "replicate",
		Title:  "Replicate",
		Source: "https://replicate.com/docs/topics/webhooks/verify-webhook",
		Notes:  "The secret starts with `whsec_`, and Replicate's API returns it. The body is the prediction, which has no event type.",
	}),
	standard("webhook-", Scheme{
		Name:   "render",
		Title:  "Render",
		Source: "https://render.com/docs/webhooks",
		Notes:  "The secret starts with `whsec_`.",
	}),
	standard("webhook-", Scheme{
		Name:      "supabase",
		Aliases:   []string{"supabase-auth-hooks", "supabase-auth"},
		Title:     "Supabase (auth hooks)",
		Source:    "supabase/auth internal/hooks/v0hooks/v0http/v0http.go",
		Notes:     "The secret is shown as `v1,whsec_…`, and you can configure it like that. Unlike other senders of Standard Webhooks, Supabase separates several signatures with a comma and a space; a space alone is accepted too. Database webhooks are not signed.",
		Signature: Signature{Groups: ", "},
	}),
	standard("webhook-", Scheme{
		Name:      "brex",
		Title:     "Brex",
		Source:    "https://developer.brex.com/docs/webhooks/",
		Notes:     "The secret is base64 without `whsec_`.",
		EventType: Field{In: "json", Name: "event_type"},
	}),
	standard("webhook-", Scheme{
		Name:      "incident-io",
		Aliases:   []string{"incidentio"},
		Title:     "incident.io",
		Source:    "https://docs.incident.io/api-reference/webhooks",
		Notes:     "The secret starts with `whsec_`.",
		EventType: Field{In: "json", Name: "event_type"},
	}),
	standard("webhook-", Scheme{
		Name:      "etsy",
		Title:     "Etsy",
		Source:    "https://developers.etsy.com/documentation/essentials/webhooks/",
		Notes:     "The secret starts with `whsec_`.",
		EventType: Field{In: "json", Name: "event_type"},
	}),
	standard("webhook-", Scheme{
		Name:      "loops",
		Title:     "Loops",
		Source:    "https://loops.so/docs/webhooks",
		Notes:     "The secret starts with `whsec_`.",
		EventType: Field{In: "json", Name: "eventName"},
	}),
	standard("webhook-", Scheme{
		Name:      "increase",
		Title:     "Increase",
		Source:    "Increase/increase-ruby lib/increase/resources/events.rb",
		Notes:     "In Increase's libraries, the key is the text of the whole secret; in Standard Webhooks, which Increase refers to, the secret is decoded. Either is accepted. The older signature, `Increase-Webhook-Signature`, is ignored.",
		Key:       "text_or_whsec",
		EventType: Field{In: "json", Name: "category"},
	}),
	standard("webhook-", Scheme{
		Name:      "recall-ai",
		Aliases:   []string{"recall"},
		Title:     "Recall.ai",
		Source:    "https://docs.recall.ai/docs/authenticating-requests-from-recallai",
		Notes:     "The secret starts with `whsec_`. Accounts created before 15 December 2025 get some webhooks with `svix-` headers and other secrets: use `svix` for those.",
		EventType: Field{In: "json", Name: "event"},
	}),
	standard("webhook-", Scheme{
		Name:   "polar",
		Title:  "Polar",
		Source: "polarsource/polar-js src/webhooks.ts",
		Notes:  "The key is the text of the secret, including `polar_whs_`.",
		Key:    "text",
	}),
	standard("webhook-", Scheme{
		Name:      "bigcommerce",
		Title:     "BigCommerce",
		Source:    "bigcommerce/docs docs/integrations/webhooks/https-webhook-overview.mdx",
		Notes:     "The key is the text of the app's client secret.",
		Key:       "text",
		EventType: Field{In: "json", Name: "scope"},
	}),
	standard("svix-", Scheme{
		Name:   "clerk",
		Title:  "Clerk",
		Source: "https://clerk.com/docs/guides/development/webhooks/overview",
		Notes:  "The secret starts with `whsec_`.",
	}),
	standard("svix-", Scheme{
		Name:   "resend",
		Title:  "Resend",
		Source: "https://resend.com/docs/dashboard/webhooks/introduction",
		Notes:  "The secret starts with `whsec_`.",
	}),
	standard("svix-", Scheme{
		Name:      "stytch",
		Title:     "Stytch",
		Source:    "https://stytch.com/docs/b2b/guides/webhooks",
		Notes:     "The secret starts with `whsec_`. Stytch names its events by `source`, `object_type` and `action` together; the event type is `object_type`.",
		EventType: Field{In: "json", Name: "object_type"},
	}),
	standard("svix-", Scheme{
		Name:   "vanta",
		Title:  "Vanta",
		Source: "https://developer.vanta.com/docs/webhooks",
		Notes:  "The secret starts with `whsec_`.",
	}),
	standard("Finch-", Scheme{
		Name:      "finch",
		Title:     "Finch",
		Source:    "Finch-API/finch-api-python src/finch/resources/webhooks.py",
		Notes:     "The secret is base64 without `whsec_`.",
		ID:        Field{In: "header", Name: "Finch-Event-Id"},
		EventType: Field{In: "json", Name: "event_type"},
	}),
	{
		Name:      "port",
		Aliases:   []string{"port-io"},
		Title:     "Port",
		Source:    "port-labs/port-docs docs/actions-and-automations/setup-backend/webhook/signature-verification.md",
		Notes:     "Like Standard Webhooks, but without an id. The key is the text of the organization's client secret.",
		Signature: Signature{Name: "X-Port-Signature", Separator: " ", Single: true, Tags: []string{"v1"}, Assign: ",", Encoding: "base64"},
		Content:   "{timestamp}.{body}",
		Timestamp: Timestamp{In: "header", Name: "X-Port-Timestamp"},
	},
	standard("webhook-", Scheme{
		Name:      "lithic",
		Title:     "Lithic",
		Source:    "lithic-com/lithic-node src/resources/webhooks.ts",
		EventType: Field{In: "json", Name: "event_type"},
	}),
	standard("webhook-", Scheme{
		Name:   "liveblocks",
		Title:  "Liveblocks",
		Source: "liveblocks/liveblocks packages/liveblocks-node/src/webhooks.ts",
		Notes:  "The secret starts with `whsec_`.",
	}),
	standard("webhook-", Scheme{
		Name:   "quo",
		Title:  "Quo",
		Source: "https://www.quo.com/docs/2026-03-30/webhooks-signature-validation.md",
		Notes:  "The secret is the webhook's key, which starts with `whsec_`. Legacy webhooks have the header `openphone-signature`: use `openphone`.",
	}),
	standard("webhook-", Scheme{
		Name:    "dodo-payments",
		Aliases: []string{"dodo"},
		Title:   "Dodo Payments",
		Source:  "dodopayments/dodopayments-typescript src/resources/webhooks/webhooks.ts",
	}),
	standard("webhook-", Scheme{
		Name:      "make",
		Aliases:   []string{"make-com"},
		Title:     "Make (event subscriptions)",
		Source:    "https://developers.make.com/event-subscription/implementation/verify-signatures",
		Notes:     "The secret starts with `whsec_`.",
		EventType: Field{In: "header", Name: "Webhook-Topic"},
	}),
}
