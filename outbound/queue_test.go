package outbound

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// publishMany lines up events of a tenant, and returns how many found room.
func (q *queue) publishMany(tenant string, n, size int) (lined int) {
	for range n {
		u := unit{publication: &store.Publication{Event: &store.Event{Tenant: tenant, Payload: make([]byte, size)}}}
		if err := q.addPublication(u); err == nil {
			lined++
		} else if !errors.Is(err, ErrUnavailable) {
			panic(err)
		}
	}
	return lined
}

// next takes a batch and counts its events by tenant; "outcomes" counts those.
func (q *queue) next() map[string]int {
	var g commitBatch
	q.take(&g)
	n := map[string]int{}
	for _, u := range g.units {
		if u.publication == nil {
			n["outcomes"]++
			continue
		}
		n[u.publication.Event.Tenant]++
		q.release(u.publication.Event)
	}
	return n
}

func TestTenantsTakeTurns(t *testing.T) {
	q := newQueue()
	q.publishMany("greedy", 3000, 1)
	q.publishMany("", 40, 1)
	q.publishMany("late", 1, 1)
	got := q.next()
	if got["late"] != 1 || got[""] != 40 || got["greedy"] != commitUnits-41 {
		t.Errorf("%v", got)
	}
}

func TestEventsKeepTheirOrder(t *testing.T) {
	q := newQueue()
	var keys []store.ID
	for i := range 3000 {
		tenant := []string{"a", "b"}[i%2]
		if err := q.addPublication(unit{publication: &store.Publication{Event: &store.Event{Key: store.ID(i), Tenant: tenant}}}); err != nil {
			t.Fatal(err)
		}
	}
	for q.waiting > 0 {
		var g commitBatch
		q.take(&g)
		for _, p := range g.batch.Publications {
			if p.Event.Tenant == "a" {
				keys = append(keys, p.Event.Key)
			}
		}
	}
	if len(keys) != 1500 || !slices.IsSorted(keys) {
		t.Errorf("%d events of one tenant, in order: %v", len(keys), slices.IsSorted(keys))
	}
}

func TestOutcomesAndEventsShareACommit(t *testing.T) {
	for _, tt := range []struct{ outcomes, events, wantOutcomes, wantEvents int }{
		{4000, 0, commitUnits, 0},
		{4000, 10, commitUnits - 10, 10},
		{4000, 4000, commitUnits / 2, commitUnits / 2},
		{10, 4000, 10, commitUnits - 10},
	} {
		q := newQueue()
		for range tt.outcomes {
			q.addSettlement(unit{settlement: &store.Settlement{}})
		}
		q.publishMany("a", tt.events, 1)
		if got := q.next(); got["outcomes"] != tt.wantOutcomes || got["a"] != tt.wantEvents {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestNoTenantHasAllTheRoom(t *testing.T) {
	for _, tt := range []struct {
		name            string
		size, one, both int
	}{
		{"by number", 1, maxStoringEvents / tenantShare, maxStoringEvents},
		{"by size", 1 << 20, maxStoringBytes >> 20 / tenantShare, maxStoringBytes >> 20},
		{"one that is too large goes alone", maxStoringBytes, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			if n := q.publishMany("greedy", 2*tt.both, tt.size); n != tt.one {
				t.Errorf("%d of one tenant's are taken, not %d", n, tt.one)
			}
			if n := q.publishMany("other", 2*tt.both, tt.size); n != tt.both-tt.one {
				t.Errorf("%d of another's are taken, not %d", n, tt.both-tt.one)
			}
			for q.waiting > 0 {
				q.next()
			}
			if len(q.tenants) > 0 || q.total != (load{}) {
				t.Errorf("%d lines are left, with %+v", len(q.tenants), q.total)
			}
			if n := q.publishMany("greedy", 1, tt.size); n != 1 {
				t.Error("there is no room afterwards")
			}
		})
	}
}

func TestHeadersTakeRoom(t *testing.T) {
	q := newQueue()
	u := unit{publication: &store.Publication{Event: &store.Event{Headers: map[string]string{"X-A": strings.Repeat("a", maxStoringBytes)}}}}
	if err := q.addPublication(u); err != nil {
		t.Fatal(err)
	}
	if n := q.publishMany("", 1, 1); n != 0 {
		t.Error("another is taken beside it")
	}
	q.next()
	if q.total != (load{}) {
		t.Errorf("%+v is left", q.total)
	}
}

// What GitHub sends at most finds room beside its small ones.
func TestALargeEventIsTakenBesideSmallOnes(t *testing.T) {
	q := newQueue()
	q.publishMany("a", 10, 1)
	if n := q.publishMany("a", 2, 25_000_000); n != 1 {
		t.Errorf("%d of two large ones are taken", n)
	}
	if n := q.publishMany("b", 1, 1); n != 1 {
		t.Error("another tenant is refused")
	}
}

// A commit holds only so much, or all wait for what it takes to write it.
func TestCommitsAreBounded(t *testing.T) {
	q := newQueue()
	for _, tenant := range []string{"a", "b", "c"} {
		q.publishMany(tenant, 1, commitBytes)
	}
	if got := q.next(); len(got) != 1 || got["a"] != 1 {
		t.Errorf("of three events of %d bytes each, a commit has %v", commitBytes, got)
	}
}

func TestTheQueueEnds(t *testing.T) {
	q := newQueue()
	q.publishMany("a", 1, 1)
	q.close()
	if q.publishMany("a", 1, 1) != 0 {
		t.Error("an event is taken after the end")
	}
	if !q.wait() {
		t.Error("what waits is forgotten")
	}
	q.next()
	if q.wait() {
		t.Error("it doesn't end")
	}
}
