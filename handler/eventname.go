package handler

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// What providers send as an event type or an id isn't always one of ours:
// Shopify has "orders/create", GitLab "Push Hook", some ids have dots.

// eventType makes words of A-Z a-z 0-9 _ - joined by dots, which don't begin as
// those of the engine's own events do, and no more of them than an event type has.
func eventType(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '/' })
	for i, w := range words {
		words[i] = strings.Map(func(r rune) rune {
			if isWord(r) {
				return r
			}
			return '_'
		}, w)
	}
	name := strings.Join(words, ".")
	name = strings.TrimRight(name[:min(len(name), 128)], ".")
	if store.Operational(name) {
		return strings.Replace(name, ".", "_", 1)
	}
	return name
}

// eventID keeps an id that can be one of ours, and makes a hash of another.
func eventID(s string) string {
	if s == "" || len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool { return !isWord(r) }) < 0 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256_" + hex.EncodeToString(sum[:])
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}
