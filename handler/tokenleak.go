package handler

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// hiddenHeaders are the request headers that Caddy's logs redact by default.
var hiddenHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// tokenLeaks returns a warning for each place where access logs show a secret of
// the scheme, with the log filter that hides it. No module can prevent that: Caddy
// records the request before any handler sees it.
func tokenLeaks(s verify.Scheme, handshake bool) []string {
	var leaks []string
	query := func(what, name string) {
		leaks = append(leaks, fmt.Sprintf("%s is in the URL, which access logs show; hide it with: log { format filter { request>uri query { delete %s } } }", what, name))
	}
	if s.Construction == "token" {
		for _, name := range append(slices.Clone(s.Signature.Names), s.Signature.Name) {
			switch header := http.CanonicalHeaderKey(name); {
			case name == "", s.Signature.In == "json", s.Signature.In == "form":
			case s.Signature.In == "query":
				query("the secret", name)
			case !slices.Contains(hiddenHeaders, header):
				leaks = append(leaks, fmt.Sprintf("the secret is in the header %s, which access logs show; hide it with: log { format filter { request>headers>%[1]s delete } }", header))
			}
		}
	}
	switch {
	case !handshake:
	case s.Handshake == "meta":
		query("the handshake's verify token", "hub.verify_token")
	case s.Handshake == "asana": // sent back in a header, which logs show as well
		for _, headers := range []string{"request>headers", "resp_headers"} {
			leaks = append(leaks, fmt.Sprintf("the handshake has the secret in the header X-Hook-Secret, which access logs show; hide it with: log { format filter { %s>X-Hook-Secret delete } }", headers))
		}
	}
	return leaks
}
