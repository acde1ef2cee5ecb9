package postgres

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// FuzzHeard has a node hear anything: others may use the channel too. What it
// learns can be told on and is the same then.
func FuzzHeard(f *testing.F) {
	key := store.Remembered{Key: [32]byte{1, 31: 2}, Until: time.UnixMilli(1_800_000_000_000)}
	for _, said := range []string{"", "1", "1 seen", "1 waits 5", "1 waits x", "1 changed", "1 else", "1 seen" + spell([]store.Remembered{key, key}), "1 seen x.1 .2 AAAA.3 AAAA"} {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, said string) {
		s := &Store{}
		s.news.init()
		s.sessions.begin(7)
		s.Follow(keysTold, func(seen []store.Remembered) {
			same := func(a, b store.Remembered) bool { return a.Key == b.Key && a.Until.Equal(b.Until) }
			if again := unspell(strings.Fields(spell(seen))); !slices.EqualFunc(again, seen, same) {
				t.Errorf("%v is told as %v", seen, again)
			}
		})
		s.heard(said)
	})
}

// TestSpell: a notification holds as many keys as it is given.
func TestSpell(t *testing.T) {
	keys := make([]store.Remembered, keysTold)
	for i := range keys {
		keys[i] = store.Remembered{Key: [32]byte{byte(i)}, Until: time.UnixMilli(99_999_999_999_999)}
	}
	said := "-9223372036854775808 " + newsSeen + spell(keys)
	if len(said) >= 8000 {
		t.Errorf("%d bytes, of which Postgres takes 7,999", len(said))
	}
	if got := unspell(strings.Fields(said)[2:]); len(got) != len(keys) || got[1].Key != keys[1].Key {
		t.Errorf("%d keys, want %d", len(got), len(keys))
	}
}
