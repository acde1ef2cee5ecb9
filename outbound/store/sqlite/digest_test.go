package sqlite_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestPayloadBitFlip changes a bit of one payload in an intact file. Only that event is
// found to be damaged.
func TestPayloadBitFlip(t *testing.T) {
	const events = 100
	path := filepath.Join(fastDir(t), "webhooks.db")
	sub := &store.Subscription{Key: 1, ID: "crm", URL: "https://crm.example.com", EventTypes: []string{"order.*"}, Active: true}
	fillStore(t, path, sub, events)
	b := must.Get(os.ReadFile(path))(t)
	at := len(b) / 2
	at += bytes.Index(b[at:], bytes.Repeat([]byte{'x'}, 100)) + 50
	b[at] ^= 1
	must.Do(t, os.WriteFile(path, b, 0o600))
	s := open(t, path)
	claimed := must.Get(s.Claim(t.Context(), time.Now().Add(time.Hour), 1<<30, []store.Want{{Subscription: sub.Key, Limit: events}}))(t)
	damaged := 0
	for _, h := range claimed[0].Deliveries {
		if h.Event.Damaged != (len(bytes.Trim(h.Event.Payload, "x")) > 0) {
			t.Errorf("%s: damaged: %t, want %t", h.Event.ID, h.Event.Damaged, !h.Event.Damaged)
		}
		if h.Event.Damaged {
			damaged++
		}
	}
	if len(claimed[0].Deliveries) != events || damaged != 1 || len(s.Salvages()) > 0 {
		t.Errorf("%d of %d events damaged, %d files set aside, want 1 and none", damaged, len(claimed[0].Deliveries), len(s.Salvages()))
	}
}
