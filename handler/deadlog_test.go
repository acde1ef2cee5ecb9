package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// deaths reports dead letters to a notices, and has the log of that.
type deaths struct {
	*notices
	last store.ID
	log  logged.Buffer
}

// written returns what was logged since the last call.
func (d *deaths) written() string {
	defer d.log.Reset()
	return d.log.String()
}

func newDeaths() *deaths {
	d := &deaths{}
	d.notices = newNotices(caddy.Context{}, nil, slog.New(slog.NewTextHandler(&d.log, nil)))
	return d
}

// die reports n dead letters of a subscription.
func (d *deaths) die(n int, subscription store.ID) {
	for range n {
		d.AttemptDone(d.death(subscription))
	}
}

func (d *deaths) death(subscription store.ID) *outbound.AttemptDone {
	d.last++
	return &outbound.AttemptDone{
		Attempt:  &store.Attempt{Number: 3, Class: "status"},
		Delivery: d.last, State: store.Dead, Reason: "every attempt failed",
		Event:        &store.Event{ID: "evt_1", Type: "order.created", Tenant: "acme"},
		Subscription: &store.Subscription{Key: subscription, ID: fmt.Sprint("sub_", int64(subscription))},
	}
}

// wrote checks the lines about dead letters that were logged since the last call: each
// must contain the text in want.
func (d *deaths) wrote(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(d.written()) {
		if strings.Contains(line, "dead letter") {
			got = append(got, line)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: got %d lines, want %d:\n%s", when, len(got), len(want), strings.Join(got, ""))
	}
	for i, line := range got {
		if !strings.Contains(line, "level=WARN") || !strings.Contains(line, want[i]) {
			t.Errorf("%s: got %s\nwant %s", when, line, want[i])
		}
	}
}

// deadCounted returns the number of dead letters that the metric has counted.
func deadCounted(t *testing.T) (n float64) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(engineMetrics.deliveries)
	families := must.Get(r.Gather())(t)
	for _, f := range families {
		for _, m := range f.Metric {
			if m.Label[0].GetValue() == "dead" {
				n = m.Counter.GetValue()
			}
		}
	}
	return n
}

// Many dead letters at once are logged in a few lines, with their number.
func TestDeadLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaths()
		before := deadCounted(t)
		pass := func(by time.Duration) { time.Sleep(by); synctest.Wait() }

		d.die(1, 7)
		d.wrote(t, "the first", `msg="a delivery is a dead letter" delivery_id=dlv_0000000000000001 event_id=evt_1 event_type=order.created subscription_id=sub_7 tenant=acme attempts=3 class=status reason="every attempt failed"`)
		d.die(1000, 7)
		d.wrote(t, "a thousand more")
		d.die(1, 8)
		d.wrote(t, "the first of another subscription", "subscription_id=sub_8 tenant=acme attempts")
		pass(deadLogInterval)
		d.wrote(t, "a while later", `msg="more deliveries are dead letters" subscription_id=sub_7 dead_letters=1000 last_delivery_id=dlv_00000000000003e9 class=status reason="every attempt failed"`)
		d.die(5, 7)
		d.wrote(t, "five more")
		pass(deadLogInterval)
		d.wrote(t, "another while later", "subscription_id=sub_7 dead_letters=5 ")
		pass(deadLogInterval)
		d.wrote(t, "when none followed")
		if len(d.dead.bursts) > 0 {
			t.Errorf("got %d bursts after the last one ended, want 0", len(d.dead.bursts))
		}
		d.die(1, 7)
		d.wrote(t, "the next burst", "subscription_id=sub_7 tenant=acme attempts")
		d.die(2, 7)
		d.stop()
		d.wrote(t, "at the end", "subscription_id=sub_7 dead_letters=2 ")
		pass(time.Hour)
		d.wrote(t, "after the end")
		if n := deadCounted(t) - before; n != float64(d.last) {
			t.Errorf("the metric counted %v, want %d", n, d.last)
		}
	})
}

// slow is a handler of Caddy events that takes its time. It has the number of events.
type slow struct{ handled atomic.Int64 }

func (s *slow) Handle(context.Context, caddy.Event) error {
	time.Sleep(noticeFinish / 4)
	s.handled.Add(1)
	return nil
}

// When the config ends, waiting events are emitted for a while. Those that are left are
// dropped, and counted.
func TestEventsThatWaitAtTheEnd(t *testing.T) {
	const all = 100
	synctest.Test(t, func(t *testing.T) {
		d, handler := newDeaths(), &slow{}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		d.ctx, d.events = ctx, new(caddyevents.App)
		must.Do(t, d.events.Provision(ctx))
		must.Do(t, d.events.On("delivery_dead", handler))
		for range all {
			d.Operational(&outbound.OperationalEvent{Type: outbound.DeliveryDead})
		}
		d.start()
		d.stop()
		handled, written := handler.handled.Load(), d.written()
		if dropped := fmt.Sprintf("events=%d\n", all-handled); handled < 4 || handled == all || !strings.HasSuffix(written, dropped) {
			t.Errorf("%d of %d events were emitted, and the log says %q, want 4 or more, and %q", handled, all, written, dropped)
		}
	})
}

// Dropped Caddy events are logged by their number, instead of one by one.
func TestDroppedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaths()
		for range noticeQueue + 100 { // without a goroutine that takes them
			d.Operational(&outbound.OperationalEvent{Type: outbound.DeliveryDead})
		}
		d.stop()
		written := d.written()
		sum, lines := 0, 0
		for line := range strings.Lines(written) {
			var n int
			_, count, ok := strings.Cut(line, "their handlers are too slow\" events=")
			if !ok {
				continue
			}
			lines++
			if _, err := fmt.Sscan(count, &n); err != nil {
				t.Fatal(errors.Join(err, errors.New(line)))
			}
			sum += n
		}
		if sum != 100 || lines != 2 {
			t.Errorf("got %d dropped events in %d lines, want 100 in 2:\n%s", sum, lines, written)
		}
	})
}
