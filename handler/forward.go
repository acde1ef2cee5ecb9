package handler

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// forwarded picks headers by name or prefix, and tells what it has left out since
// it is too much: the webhook is worth more. What no event may have, a pattern
// isn't meant for.
func forwarded(h http.Header, patterns []string) (out map[string]string, left []string) {
	if len(patterns) == 0 {
		return nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !matchesAny(name, patterns) || egress.CheckHeader(name, "") != nil {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = strings.Join(h[name], ", ")
		if egress.CheckHeaders(out) != nil {
			delete(out, name)
			left = append(left, name)
		}
	}
	return out, left
}

func matchesAny(name string, patterns []string) bool {
	for _, p := range patterns {
		prefix, open := strings.CutSuffix(p, "*")
		if open && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) && !isCredential(name) || strings.EqualFold(name, p) {
			return true
		}
	}
	return false
}

// credentialWords are what headers that hold a secret have in their names.
// Whoever writes a pattern doesn't mean to hand these on: they would be stored,
// shown to those who may read events, and sent to every subscription.
var credentialWords = []string{"apikey", "auth", "authorization", "clientid", "cookie", "credential", "credentials", "jwt", "key", "password", "secret", "session", "token"}

func isCredential(name string) bool {
	for word := range strings.SplitSeq(strings.ToLower(name), "-") {
		if slices.Contains(credentialWords, word) {
			return true
		}
	}
	return false
}
