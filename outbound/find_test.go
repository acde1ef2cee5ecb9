package outbound_test

import (
	"fmt"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Find searches across batches, and continues where the last call ended.
func TestFindInManyBatches(t *testing.T) {
	h := open(t)
	const n = 200 // more than a batch, which has 64
	var oldest string
	for i := range n {
		if id := h.publish("a", fmt.Sprint(i)).EventID; i == 0 {
			oldest = id
		}
	}
	found, next, err := h.Find(t.Context(), outbound.Query{Limit: 2}, "payload == 0")
	for err == nil && next != 0 && len(found) == 0 { // a slow machine may need another call
		found, next, err = h.Find(t.Context(), outbound.Query{Limit: 2, Before: next}, "payload == 0")
	}
	if err != nil || len(found) != 1 || found[0].ID != oldest || next != 0 {
		t.Errorf("got %v, next %v, %v, want %s and no next", found, next, err, oldest)
	}
	var all int
	for next = store.ID(0); ; {
		found, last, err := h.Find(t.Context(), outbound.Query{Limit: 7, Before: next}, "payload % 10 == 3")
		if err != nil {
			t.Fatal(err)
		}
		all += len(found)
		if next = last; next == 0 {
			break
		}
	}
	if all != n/10 {
		t.Errorf("got %d events, want %d", all, n/10)
	}
}
