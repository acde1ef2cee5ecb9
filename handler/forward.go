package handler

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// contentEncoding is always forwarded: without it, nobody can read the body.
const contentEncoding = "Content-Encoding"

// forwarded returns the headers that match the patterns, and Content-Encoding, without
// those that events can't have. Headers over the limits of an event are omitted and
// their names returned, since the webhook matters more than they do.
func forwarded(h http.Header, patterns []string) (out map[string]string, omitted []string) {
	if len(patterns) == 0 && h[contentEncoding] == nil {
		return nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name != contentEncoding && !matchesAny(name, patterns) || egress.CheckHeader(name, "") != nil {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = strings.Join(h[name], ", ")
		if egress.CheckHeaders(out) != nil {
			delete(out, name)
			omitted = append(omitted, name)
		}
	}
	return out, omitted
}

// matchesAny reports whether a header's name matches one of the patterns: a name,
// or a prefix followed by an asterisk. Prefixes don't match credentials.
func matchesAny(name string, patterns []string) bool {
	for _, p := range patterns {
		if strings.EqualFold(name, p) {
			return true
		}
		prefix, ok := strings.CutSuffix(p, "*")
		if ok && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) && !isCredential(name) {
			return true
		}
	}
	return false
}

// credentialWords are the words in the names of headers that contain secrets. A
// prefix isn't meant to match these: they would be stored, shown to everyone who
// can read events, and sent to every subscription.
var credentialWords = []string{"apikey", "auth", "authorization", "clientid", "cookie", "credential", "credentials", "jwt", "key", "password", "secret", "session", "token"}

func isCredential(name string) bool {
	for word := range strings.SplitSeq(strings.ToLower(name), "-") {
		if slices.Contains(credentialWords, word) {
			return true
		}
	}
	return false
}
