package postgres

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// FuzzHandle sends a node any message, since others may use the channel too. The keys in a
// message are the same after they were encoded and decoded again.
func FuzzHandle(f *testing.F) {
	key := store.Remembered{Key: [32]byte{1, 31: 2}, Until: time.UnixMilli(1_800_000_000_000)}
	for _, message := range []string{"", "1", "1 seen", "1 waits 5", "1 waits x", "1 changed", "1 else", "1 seen" + encodeSeen([]store.Remembered{key, key}), "1 seen x.1 .2 AAAA.3 AAAA"} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		s := &Store{}
		s.news.init()
		s.sessions.begin(7)
		s.Follow(keysPerMessage, func(seen []store.Remembered) {
			same := func(a, b store.Remembered) bool { return a.Key == b.Key && a.Until.Equal(b.Until) }
			if again := decodeSeen(strings.Fields(encodeSeen(seen))); !slices.EqualFunc(again, seen, same) {
				t.Errorf("got %v, want %v", again, seen)
			}
		})
		s.handle(message)
	})
}

// TestEncodeSeen checks that the keys fit in a notification.
func TestEncodeSeen(t *testing.T) {
	keys := make([]store.Remembered, keysPerMessage)
	for i := range keys {
		keys[i] = store.Remembered{Key: [32]byte{byte(i)}, Until: time.UnixMilli(99_999_999_999_999)}
	}
	message := "-9223372036854775808 " + newsSeen + encodeSeen(keys)
	if len(message) >= 8000 {
		t.Errorf("%d bytes, want at most 7,999", len(message))
	}
	if got := decodeSeen(strings.Fields(message)[2:]); len(got) != len(keys) || got[1].Key != keys[1].Key {
		t.Errorf("got %d keys, want %d", len(got), len(keys))
	}
}
