package outbound

import (
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func TestMatch(t *testing.T) {
	e := &Engine{}
	for i, s := range []store.Subscription{
		{ID: "exact", EventTypes: []string{"order.created"}},
		{ID: "prefix", EventTypes: []string{"order.*"}},
		{ID: "deep", EventTypes: []string{"order.item.*"}},
		{ID: "all", EventTypes: []string{"*", "order.*", "order.created"}},
		{ID: "acme", EventTypes: []string{"*"}, Tenant: "acme"},
	} {
		s.Key = store.ID(i + 1)
		l := &lane{e: e, key: s.Key}
		l.target.Store(&target{sub: &s})
		e.lanes.index(l, nil, &s)
	}
	for _, c := range []struct {
		tenant, eventType string
		want              []string
	}{
		{"", "order.created", []string{"exact", "prefix", "all"}},
		{"", "order.item.added", []string{"prefix", "deep", "all"}},
		{"", "order", []string{"all"}},
		{"", "orders.created", []string{"all"}},
		{"", "order.created.now", []string{"prefix", "all"}},
		{"acme", "order.created", []string{"acme"}},
		{"other", "order.created", nil},
	} {
		got := map[string]int{}
		for _, l := range e.match(&store.Event{Type: c.eventType, Tenant: c.tenant}) {
			got[l.sub().ID]++
		}
		if len(got) != len(c.want) {
			t.Errorf("%s %q: got %v, want %v", c.tenant, c.eventType, got, c.want)
		}
		for _, id := range c.want {
			if got[id] != 1 {
				t.Errorf("%s %q: got %s %d times, want once", c.tenant, c.eventType, id, got[id])
			}
		}
	}

	l := e.lanes.byID("exact")
	old := l.sub()
	now := *old
	now.EventTypes = []string{"invoice.paid"}
	l.target.Store(&target{sub: &now})
	e.lanes.index(l, old, &now)
	if got := e.match(&store.Event{Type: "invoice.paid"}); len(got) != 2 {
		t.Errorf("after a change: got %d lanes, want 2", len(got))
	}
	if got := e.match(&store.Event{Type: "order.created"}); len(got) != 2 {
		t.Errorf("after a change, the old type: got %d lanes, want 2", len(got))
	}
	e.lanes.remove(l)
	if got := e.match(&store.Event{Type: "invoice.paid"}); len(got) != 1 {
		t.Errorf("after the removal: got %d lanes, want 1", len(got))
	}
}

// An expression that was stored and no longer compiles loses no event: every event matches,
// but nothing is sent, which is retried.
func TestExpressionsThatNoLongerCompile(t *testing.T) {
	for says, s := range map[string]store.Subscription{"the filter": {Filter: "payload."}, "the transform": {Transform: "payload."}} {
		s.Secrets = []store.Secret{{Value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
		l := newLane(t, s)
		wanted, err := l.target.Load().wants(nil)
		_, _, o := l.target.Load().compose(t.Context(), &store.Event{ID: "e1"}, l.e.now())
		if !wanted || err != nil || o.class != ClassConfig || o.final || !strings.Contains(o.message, says) {
			t.Errorf("%s: got wanted %v, %v and %+v, want it wanted, and a failure of class %s", says, wanted, err, o, ClassConfig)
		}
	}
}

// The log line about an event on which a filter fails doesn't have the filter's error,
// since CEL's errors quote values of the payload.
func TestUnjudgedEventsAreLoggedWithoutTheirPayload(t *testing.T) {
	f := must.Get(payload.NewFilter("timestamp(payload.at) > timestamp('2026-01-01T00:00:00Z')"))(t)
	var log strings.Builder
	e := &Engine{}
	e.config.Store(&config{Settings: Settings{Logger: slog.New(slog.NewTextHandler(&log, nil))}, unjudgedLog: rate.Sometimes{First: 1}})
	l := &lane{e: e}
	l.target.Store(&target{sub: &store.Subscription{ID: "sub_a"}, filter: f})
	wanted, err := e.filtered(t.Context(), []*lane{l}, &store.Event{ID: "e1", Payload: []byte(`{"at": "4111-1111"}`)})
	if err != nil || len(wanted) > 0 {
		t.Errorf("filtered: got %d lanes, %v, want 0", len(wanted), err)
	}
	if got := log.String(); !strings.Contains(got, "sub_a") || !strings.Contains(got, "e1") || strings.Contains(got, "4111") {
		t.Errorf("got log %q, want sub_a and e1 but no payload", got)
	}
}
