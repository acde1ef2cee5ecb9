package handler

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// hiddenHeaders are the request headers that Caddy's logs redact by default.
var hiddenHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// tokenLeaks returns a warning for each place where logs show a secret of the scheme,
// with the log filter that hides it. No module can prevent that: Caddy records the
// request before any handler sees it.
//
// A handshake is only in access logs. Events are also in the default log if the app is
// down: Caddy logs there each request that it answers itself with 500 or above.
func tokenLeaks(s verify.Scheme, handshake bool) []string {
	const (
		event = "the secret is in %s, which access logs show, and the default log if the app is down; hide it with this, in the site and in the global options: log { format filter { %s } }"
		other = "%s is in %s, which access logs show; hide it with: log { format filter { %s } }"
	)
	var leaks []string
	if s.Construction == "token" {
		for _, name := range append(slices.Clone(s.Signature.Names), s.Signature.Name) {
			switch header := http.CanonicalHeaderKey(name); {
			case name == "", s.Signature.In == "json", s.Signature.In == "form":
			case s.Signature.In == "query":
				leaks = append(leaks, fmt.Sprintf(event, "the URL", "request>uri query { delete "+name+" }"))
			case !slices.Contains(hiddenHeaders, header):
				leaks = append(leaks, fmt.Sprintf(event, "the header "+header, "request>headers>"+header+" delete"))
			}
		}
	}
	switch {
	case !handshake:
	case s.Handshake == "meta":
		leaks = append(leaks, fmt.Sprintf(other, "the handshake's verify token", "the URL", "request>uri query { delete hub.verify_token }"))
	case s.Handshake == "asana": // sent back in a header, which logs show as well
		for _, headers := range []string{"request>headers", "resp_headers"} {
			leaks = append(leaks, fmt.Sprintf(other, "the handshake's secret", "the header X-Hook-Secret", headers+">X-Hook-Secret delete"))
		}
	}
	return leaks
}
