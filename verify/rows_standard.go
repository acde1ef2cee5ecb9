package verify

// standard makes a row of the Standard Webhooks family: headers with a common
// prefix, a signed id and time, several signatures side by side.
func standard(prefix string, row Scheme) Scheme {
	return Scheme{
		Signature: Signature{Name: prefix + "signature", Separator: " ", Tags: []string{"v1"}, Assign: ",", Encoding: "base64"},
		Key:       "whsec",
		Content:   "{id}.{timestamp}.{body}",
		Timestamp: Timestamp{In: "header", Name: prefix + "timestamp", Past: minutes(5)},
		ID:        Field{In: "header", Name: prefix + "id"},
		EventType: Field{In: "json", Name: "type"},
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
		Title:     "GitLab (signing token)",
		Source:    "https://docs.gitlab.com/user/project/integrations/webhooks/",
		Notes:     "For webhooks with a signing token. The classic X-Gitlab-Token is a shared token, which proves nothing about the body.",
		EventType: Field{In: "header", Name: "X-Gitlab-Event"},
	}),
}
