package store_test

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Ids tell their time, and grow though the clock is set back, for a node that begins
// with what another one has stored as well.
func TestIDsGrow(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_000)
	now := at
	clock := func() time.Time { return now }
	ids := store.NewIDs(3, 0, clock)
	last := ids.Next()
	if !last.Time().Equal(at) || last < store.IDAt(at) || last >= store.IDAt(at.Add(time.Millisecond)) {
		t.Errorf("%v is of %v, made at %v", last, last.Time(), at)
	}
	now = at.Add(-time.Hour)
	for range 3 {
		for range 2 {
			id := ids.Next()
			if id <= last {
				t.Errorf("%v comes after %v", id, last)
			}
			last = id
		}
		ids = store.NewIDs(0, last, clock)
	}
}

func TestParseID(t *testing.T) {
	const prefix = store.EventPrefix
	for _, id := range []store.ID{1, 0x0199d3c2a4e00001, 1<<63 - 1} {
		if got, ok := store.ParseID(prefix, id.With(prefix)); !ok || got != id {
			t.Errorf("%s is read as %v, %t", id.With(prefix), got, ok)
		}
	}
	for _, text := range []string{
		"", "evt_", "evt_1", "dlv_0199d3c2a4e00001", "0199d3c2a4e00001", "evt_0199D3C2A4E00001", "evt_0000000000000000",
		"evt_0199d3c2a4e0000x", "evt_+199d3c2a4e00001", "evt_0199d3c2a4e000011", "evt_ffffffffffffffff", "evt_order-17",
	} {
		if id, ok := store.ParseID(prefix, text); ok {
			t.Errorf("%q is read as %v", text, id)
		}
	}
}
