// Package docs tests the pages. providers.md is generated from the schemes of package
// verify, by
//
//	go test ./docs -run TestProviders -update
//
// and every Caddyfile in the pages is loaded.
package docs

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/handler/cli"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

var update = flag.Bool("update", false, "write providers.md anew")

const page = "providers.md"

// TestProviders checks that providers.md is up to date.
func TestProviders(t *testing.T) {
	want := providers(t)
	if *update {
		must.Do(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got := must.Get(os.ReadFile(page))(t)
	if string(got) == want {
		return
	}
	old, lines := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	at := 0
	for at < min(len(old), len(lines))-1 && old[at] == lines[at] {
		at++
	}
	t.Errorf("docs/%s is older than the schemes of package verify; update it with\n\n\tgo test ./docs -run TestProviders -update\n\nThe first difference is in line %d:\n%s\nwant:\n%s", page, at+1, old[at], lines[at])
}

// providers returns the page.
func providers(t *testing.T) string {
	t.Helper()
	head := must.Get(os.ReadFile("testdata/providers_head.md"))(t)
	tail := must.Get(os.ReadFile("testdata/providers_tail.md"))(t)
	rows := slices.DeleteFunc(verify.Schemes(), func(s verify.Scheme) bool { return s.Name == "hmac" })
	slices.SortFunc(rows, func(a, b verify.Scheme) int {
		return strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title))
	})
	var b strings.Builder
	fmt.Fprintf(&b, strings.TrimSuffix(string(head), "\n")+"\n\n", len(rows))
	b.WriteString("| provider | name in the Caddyfile | algorithm | encoding | what is signed | time bound | replay bound | body bound | handshake | source |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range rows {
		b.WriteString(line(row))
	}
	b.WriteString("\n## Each provider\n")
	for _, row := range rows {
		b.WriteString(section(t, row))
	}
	b.WriteString("\n" + string(tail))
	return b.String()
}

// line returns a provider's line of the table.
func line(row verify.Scheme) string {
	f := cli.FactsOf(row)
	var names []string
	for _, name := range append([]string{row.Name}, row.Aliases...) {
		names = append(names, code(name))
	}
	handshake := "no"
	if f.Handshake != "" {
		handshake = "yes"
	}
	return fmt.Sprintf("| [%s](#%s) | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
		row.Title, anchor(row.Title), strings.Join(names, ", "), f.Algorithm, f.Encoding,
		strings.ReplaceAll(signed(f.Signed, 72), "|", `\|`), f.Time, f.Replay, f.Body, handshake, source(row))
}

// section returns the section about a provider.
func section(t *testing.T, row verify.Scheme) string {
	t.Helper()
	f := cli.FactsOf(row)
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n```caddyfile\n%s```\n\n", row.Title, caddyfile(row))
	if row.Notes != "" {
		fmt.Fprintf(&b, "%s\n\n", row.Notes)
	}
	item := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }

	item("Signature: %s", signature(row))
	if f.Key != "" {
		item("Key: %s", f.Key)
	}
	item("Signed: %s%s", signed(f.Signed, 1000), formContent(row))
	for _, tag := range slices.Sorted(maps.Keys(row.Signature.TagContents)) {
		item("Signed by %s: %s", code(tag), signed(row.Signature.TagContents[tag], 1000))
	}
	item("Timestamp: %s", timestamp(row, f))
	if row.ID.In != "" {
		item("Delivery id: %s", place(row.ID.In, row.ID.Name))
	}
	if row.EventType.In != "" {
		item("Event type: %s", place(row.EventType.In, row.EventType.Name))
	}
	if len(row.ContentTypes) > 0 {
		item("Content types: %s", code(strings.Join(row.ContentTypes, ", ")))
	}
	if row.StatusCode != 0 {
		item("Refused requests get %d instead of 401.", row.StatusCode)
	}
	if a := row.Acknowledge; a.Body != "" {
		item("Events must be answered with %d and the text %s. `webhook_publish` does that; if your app answers, it has to do the same.", a.Status, code(a.Body))
	} else if a.Status != 0 {
		item("Events must be answered with %d; no other 2xx counts as success. `webhook_publish` does that; if your app answers, it has to do the same.", a.Status)
	}
	if f.Handshake != "" {
		words, ok := handshakes[f.Handshake]
		if !ok {
			t.Errorf("docs/providers_test.go doesn't describe the handshake %q", f.Handshake)
		}
		item("Handshake: %s", words)
	}
	switch {
	case f.Body == "no" && row.Construction == "token":
		item("**Nothing is signed**: anyone who has seen the token can send any body. Use TLS, and [keep the token out of logs](verify.md#tokens-and-logs).")
	case f.Body == "no":
		item("**The body is not bound**: the parts that the signature doesn't cover can be changed on the way. Fetch the object from the provider's API instead of trusting them.")
	}
	if urls(row) {
		item("The URL is signed: set `public_url` to the scheme and host configured at the provider. You can omit it if requests arrive with the same ones.")
	}
	item("Source: %s", source(row))
	return b.String()
}

// caddyfile returns a block that can be copied.
func caddyfile(row verify.Scheme) string {
	variable := strings.ToUpper(strings.ReplaceAll(row.Name, "-", "_"))
	if public(row) {
		variable += "_PUBLIC_KEY"
	} else {
		variable += "_SECRET"
	}
	block := []string{fmt.Sprintf("secret {env.%s}", variable)}
	if tokens[row.Handshake] {
		block = append(block, fmt.Sprintf("verify_token {env.%s_VERIFY_TOKEN}", strings.TrimSuffix(variable, "_SECRET")))
	}
	if urls(row) {
		block = append(block, "public_url https://hooks.example.com")
	}
	directive := fmt.Sprintf("webhook_verify %s {env.%s}", row.Name, variable)
	if len(block) > 1 {
		directive = fmt.Sprintf("webhook_verify %s {\n\t\t%s\n\t}", row.Name, strings.Join(block, "\n\t\t"))
	}
	return fmt.Sprintf("handle /%s {\n\t%s\n\treverse_proxy app:3000\n}\n", row.Name, directive)
}

// tokens has the handshakes that use a verify_token.
var tokens = map[string]bool{"meta": true, "braintree": true, "ebay": true}

// handshakes describes what the provider sends and what the reply is.
var handshakes = map[string]string{
	"slack":              "a signed `url_verification` is answered with its challenge.",
	"twitch":             "a signed `webhook_callback_verification` is answered with its challenge.",
	"zoom":               "a signed `endpoint.url_validation` is answered with its token and that token's HMAC. A token that could pass for a signed event is refused.",
	"nylas":              "a GET with `challenge` is answered with that challenge.",
	"woocommerce":        "the unsigned form `webhook_id=…`, which is posted when a webhook is saved, is answered with 200.",
	"xero":               "a signed, empty list of events is answered with 200, and a wrong signature with 401.",
	"line":               "a signed, empty list of events is answered with 200.",
	"front":              "a signed request with `X-Front-Challenge` is answered with that challenge.",
	"discord":            "a signed PING is answered.",
	"meta":               "a GET with `hub.challenge` is answered with that challenge if its `hub.verify_token` is the `verify_token`, and with 403 otherwise.",
	"x":                  "a GET with `crc_token` is answered with the token's HMAC. A token that could pass for a signed event is refused.",
	"linkedin":           "a GET with `challengeCode` is answered with the code and its HMAC. A code that could pass for a signed event is refused.",
	"braintree":          "a GET with `bt_challenge` is answered with the public key, which is the `verify_token`, and the challenge's HMAC. A challenge that could pass for a signed event is refused.",
	"dropbox-sign":       "a signed `callback_test` is answered with `Hello API Event Received`.",
	"ebay":               "a GET with `challenge_code` is answered with the SHA-256 of the code, the `verify_token` and the URL.",
	"adobe-io":           "a GET with `challenge` is answered with that challenge.",
	"adobe-acrobat-sign": "a GET with `X-AdobeSign-ClientId` is answered with the same header if it contains the secret, and with 403 otherwise.",
	"monday":             "a POST with nothing but a `challenge` is answered with the same JSON.",
	"notion":             "an unsigned POST with nothing but a `verification_token` is answered with 200 and not passed on.",
	"lark":               "an unsigned POST with a `challenge` that is encrypted with the secret is answered with that challenge.",
	"azure-event-grid":   "a POST with a single `SubscriptionValidation` event is answered with its code, and an OPTIONS request with `WebHook-Request-Origin` with that origin.",
	"dropbox":            "a GET with `challenge` is answered with that challenge.",
	"onfleet":            "a GET with `check` is answered with that value.",
	"microsoft-graph":    "a POST with `validationToken` in the URL is answered with that token.",
	"asana":              "a POST with `X-Hook-Secret` is answered with the same header.",
	"smartsheet":         "a POST with `Smartsheet-Hook-Challenge` is answered with that challenge.",
	"statsig":            "a POST with a `verification_code`, signed or not, is answered with that code.",
	"okta":               "a GET with the token and `X-Okta-Verification-Challenge` is answered with that challenge.",
	"head":               "a HEAD request is answered with 200.",
}

// urls reports whether the signature depends on the host that the provider calls.
func urls(row verify.Scheme) bool {
	return slices.ContainsFunc([]string{"{url", "{host", "{func.hubspot_url}", "{func.plivo_v3}"}, func(word string) bool {
		return strings.Contains(row.Content+row.FormContent, word)
	})
}

func signature(row verify.Scheme) string {
	s := row.Signature
	names := slices.Clone(s.Names)
	if len(names) == 0 {
		names = []string{s.Name}
	}
	if s.Numbered {
		names = []string{s.Name + "1", s.Name + "2", "…"}
	}
	for i, name := range names {
		if name != "…" {
			names[i] = code(name)
		}
	}
	text := "the header " + strings.Join(names, " or ")
	switch s.In {
	case "query":
		text = "the query parameter " + names[0]
	case "json":
		text = names[0] + " in the JSON body"
		if s.Each != "" {
			text = names[0] + " in each element of " + code(s.Each) + " in the JSON body"
		}
	case "form":
		text = "the form field " + names[0]
	}
	if row.Construction == "token" {
		return text + ", which contains the secret itself" + prefix(s)
	}
	f := cli.FactsOf(row)
	text += ", " + f.Algorithm + " in " + f.Encoding
	if s.Separator == "" {
		return text + prefix(s)
	}
	if len(s.Tags) > 0 && s.Tags[0] != "*" {
		text += " after " + code(s.Tags[0]+assign(s))
	}
	text += ", in a list "
	if s.Prefix != "" {
		text += "that starts with " + code(s.Prefix) + " and is "
	}
	return text + "separated by " + separator(s.Separator)
}

func prefix(s verify.Signature) string {
	if s.Prefix == "" {
		return ""
	}
	return " after " + code(s.Prefix)
}

func assign(s verify.Signature) string {
	if s.Assign == "" {
		return "="
	}
	return s.Assign
}

func separator(s string) string {
	switch strings.TrimSpace(s) {
	case "":
		return "spaces"
	case ",":
		return "commas"
	case ";":
		return "semicolons"
	}
	return code(s)
}

// public reports whether the secret is a public key.
func public(row verify.Scheme) bool {
	return slices.Contains([]string{"ed25519", "ecdsa", "rsa"}, row.Construction)
}

func formContent(row verify.Scheme) string {
	text := ""
	if row.FormContent != "" {
		text = "; for a form, " + code(row.FormContent)
	}
	if row.BodyDigest != "" {
		text += fmt.Sprintf("; other bodies through their SHA-256 in the query parameter %s", code(row.BodyDigest))
	}
	return text
}

func timestamp(row verify.Scheme, f cli.Facts) string {
	switch {
	case f.Time == "no" && f.Replay == "no":
		return "none is signed, and two messages can have the same signature, so only your app can recognize replays"
	case f.Time == "no":
		return "none is signed, so [replays](verify.md#replays) are passed on unless you set `replay ack 24h`"
	}
	return fmt.Sprintf("%s, with a tolerance of %s", place(row.Timestamp.In, row.Timestamp.Name), f.Time)
}

// place describes where a value is.
func place(in, name string) string {
	switch in {
	case "header":
		return "the header " + code(name)
	case "query":
		return "the query parameter " + code(name)
	case "json":
		return code(name) + " in the JSON body"
	case "form":
		return "the form field " + code(name)
	case "field":
		return code(name) + " next to the signature"
	}
	return "before the signature"
}

// signed returns a template as code, or "".
func signed(template string, most int) string {
	if template == "nothing" {
		return template
	}
	if len(template) > most {
		template = template[:most-1] + "…"
	}
	return code(template)
}

// code returns text as code.
func code(text string) string { return "`" + text + "`" }

// source returns links to the pages, and to the repositories with the file's name.
func source(row verify.Scheme) string {
	sources := strings.Split(row.Source, "; ")
	for i, source := range sources {
		switch repository, path, _ := strings.Cut(source, " "); {
		case strings.HasPrefix(source, "https://"):
			sources[i] = fmt.Sprintf("[%s](%s)", strings.SplitN(source, "/", 4)[2], source)
		case strings.Count(repository, "/") == 1:
			sources[i] = fmt.Sprintf("[%s](https://github.com/%[1]s)", repository)
			if path != "" {
				sources[i] += " " + code(path)
			}
		}
	}
	text := strings.Join(sources, "; ")
	if row.Unconfirmed {
		text += ", unconfirmed"
	}
	return text
}

// anchor returns the anchor of a heading, as GitHub makes it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, heading)
}
