package outbound

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Event types and ids of other systems may have other characters than ours: Shopify
// has "orders/create", GitLab "Push Hook", and some ids contain dots.

var noWord = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// AsEventType turns another system's event type into a valid one: words are joined
// by dots, other characters become underscores, and it is cut to the longest
// allowed. It can't be mistaken for one of the engine's own types. The result is ""
// if nothing is left.
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

// AsEventID returns an id unchanged if it is valid for an event, and otherwise a
// hash of it.
func AsEventID(s string) string {
	if s == "" || idForm.MatchString(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256_" + hex.EncodeToString(sum[:])
}
