package verify

// rowsToken are shared tokens: the secret itself is sent and nothing is signed.
// They are here for their handshakes.
var rowsToken = []Scheme{
	{
		Name:         "okta",
		Title:        "Okta event hooks",
		Source:       "https://developer.okta.com/docs/concepts/event-hooks/",
		Notes:        "A shared token in the header that is set at Okta, Authorization by default; nothing is signed.",
		Signature:    Signature{Name: "Authorization"},
		Construction: "token",
		EventType:    Field{In: "json", Name: "data.events.0.eventType"},
		Handshake:    "okta",
		UnboundBody:  true,
	},
	{
		Name:         "microsoft-graph",
		Title:        "Microsoft Graph",
		Source:       "https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks",
		Notes:        "A shared token, the subscription's clientState, in every notification of the body; nothing is signed.",
		Signature:    Signature{In: "json", Each: "value", Name: "clientState"},
		Construction: "token",
		EventType:    Field{In: "json", Name: "value.0.changeType"},
		Handshake:    "microsoft-graph",
		UnboundBody:  true,
	},
}
