package outbound

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// What others call an event type or an id isn't always one of ours: Shopify has
// "orders/create", GitLab "Push Hook", some ids have dots.

var noWord = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// AsEventType makes an event type of what somebody else calls one: its words are
// joined by dots, there are no more of them than may be, and they don't begin as
// those of the engine's own events do. It is empty where nothing is left.
func AsEventType(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '/' })
	for i, w := range words {
		words[i] = noWord.ReplaceAllLiteralString(w, "_")
	}
	name := strings.Join(words, ".")
	name = strings.TrimRight(name[:min(len(name), maxTypeLength)], ".")
	if store.Operational(name) {
		return strings.Replace(name, ".", "_", 1)
	}
	return name
}

// AsEventID keeps an id that an event may have, and makes a hash of another.
func AsEventID(s string) string {
	if s == "" || idForm.MatchString(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256_" + hex.EncodeToString(sum[:])
}
