package outbound

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// publishMany queues n events of a tenant, and returns how many of them found room.
func (q *queue) publishMany(tenant string, n, size int) (queued int) {
	for range n {
		u := unit{publication: &store.Publication{Event: &store.Event{Tenant: tenant, Payload: make([]byte, size)}}}
		if err := q.addPublication(u); err == nil {
			queued++
		} else if !errors.Is(err, ErrUnavailable) {
			panic(err)
		}
	}
	return queued
}

// next takes a batch, and returns how many events of each tenant it has, and of
// outcomes under "outcomes".
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

// A tenant with a long queue doesn't delay the events of others: each batch takes from
// all tenants in turn.
func TestTenantsTakeTurns(t *testing.T) {
	q := newQueue()
	q.publishMany("greedy", 3000, 1)
	q.publishMany("", 40, 1)
	q.publishMany("late", 1, 1)
	got := q.next()
	if got["late"] != 1 || got[""] != 40 || got["greedy"] != commitUnits-41 {
		t.Errorf("got %v, want 1 late, 40 without a tenant, and %d greedy", got, commitUnits-41)
	}
}

// The events of one tenant are stored in the order in which they were queued.
func TestEventsKeepTheirOrder(t *testing.T) {
	q := newQueue()
	var keys []store.ID
	for i := range 3000 {
		tenant := []string{"a", "b"}[i%2]
		must.Do(t, q.addPublication(unit{publication: &store.Publication{Event: &store.Event{Key: store.ID(i), Tenant: tenant}}}))
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
		t.Errorf("got %d events of one tenant, sorted: %v, want 1500 that are sorted", len(keys), slices.IsSorted(keys))
	}
}

// Outcomes and events each get at least half of a commit if they need it.
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
			t.Errorf("got %v, want %+v", got, tt)
		}
	}
}

// One tenant can use only its share of the queue's room, by number and by size. What is
// taken from the queue makes room again.
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
				t.Errorf("first tenant: got %d queued, want %d", n, tt.one)
			}
			if n := q.publishMany("other", 2*tt.both, tt.size); n != tt.both-tt.one {
				t.Errorf("second tenant: got %d queued, want %d", n, tt.both-tt.one)
			}
			for q.waiting > 0 {
				q.next()
			}
			if len(q.tenants) > 0 || q.total != (load{}) {
				t.Errorf("got %d tenants with %+v in an empty queue, want none", len(q.tenants), q.total)
			}
			if n := q.publishMany("greedy", 1, tt.size); n != 1 {
				t.Errorf("once the queue is empty: got %d queued, want 1", n)
			}
		})
	}
}

// An event's headers count towards the queue's room.
func TestHeadersTakeRoom(t *testing.T) {
	q := newQueue()
	u := unit{publication: &store.Publication{Event: &store.Event{Headers: map[string]string{"X-A": strings.Repeat("a", maxStoringBytes)}}}}
	must.Do(t, q.addPublication(u))
	if n := q.publishMany("", 1, 1); n != 0 {
		t.Errorf("beside an event with huge headers: got %d queued, want 0", n)
	}
	q.next()
	if q.total != (load{}) {
		t.Errorf("got load %+v of an empty queue, want none", q.total)
	}
}

// An event as large as GitHub's largest (25 MB) finds room beside a tenant's small ones.
func TestALargeEventIsTakenBesideSmallOnes(t *testing.T) {
	q := newQueue()
	q.publishMany("a", 10, 1)
	if n := q.publishMany("a", 2, 25_000_000); n != 1 {
		t.Errorf("got %d of two large events queued, want 1", n)
	}
	if n := q.publishMany("b", 1, 1); n != 1 {
		t.Errorf("another tenant: got %d queued, want 1", n)
	}
}

// A commit is bounded in bytes, since every event in it waits until all are written.
func TestCommitsAreBounded(t *testing.T) {
	q := newQueue()
	for _, tenant := range []string{"a", "b", "c"} {
		q.publishMany(tenant, 1, commitBytes)
	}
	if got := q.next(); len(got) != 1 || got["a"] != 1 {
		t.Errorf("from three events of %d bytes each: got %v, want one of a", commitBytes, got)
	}
}

// A closed queue refuses new events, still hands out those it has, and then ends.
func TestTheQueueEnds(t *testing.T) {
	q := newQueue()
	q.publishMany("a", 1, 1)
	q.close()
	if q.publishMany("a", 1, 1) != 0 {
		t.Error("got an event queued after close, want it refused")
	}
	if !q.wait() {
		t.Error("wait: got false with an event queued, want true")
	}
	q.next()
	if q.wait() {
		t.Error("wait: got true when closed and empty, want false")
	}
}
