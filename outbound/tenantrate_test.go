package outbound_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// A tenant that publishes faster than TenantRate is refused and told how long to wait.
// Refusals don't count, other tenants and events of no tenant aren't affected, and a reload
// doesn't reset the limit.
func TestATenantIsHeldToItsRate(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.TenantRate = 2 })
	publish := func(tenant string) error {
		_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Tenant: tenant, Payload: []byte("1")})
		return err
	}
	accept := func(tenant string, n int) {
		t.Helper()
		for range n {
			if err := publish(tenant); err != nil {
				t.Errorf("%q: got %v, want it accepted", tenant, err)
			}
		}
	}
	refuse := func(tenant string) {
		t.Helper()
		var limited *outbound.Limited
		if err := publish(tenant); !errors.As(err, &limited) || limited.Wait <= 0 || limited.Wait > time.Second/2 {
			t.Errorf("%q: got %v, want a Limited error of half a second at most", tenant, err)
		}
	}
	accept("greedy", 2)
	refuse("greedy")
	refuse("greedy") // the refusal before doesn't count
	accept("other", 2)
	accept("", 10) // events of no tenant have no limit
	h.clock.advance(time.Second / 8)
	var limited *outbound.Limited
	if err := publish("greedy"); !errors.As(err, &limited) || limited.Wait != 375*time.Millisecond {
		t.Errorf("after an eighth of a second: got %v, want a Limited error of 375ms", err)
	}
	h.clock.advance(375 * time.Millisecond)
	accept("greedy", 1)
	refuse("greedy")

	must.Do(t, h.Apply(t.Context(), h.settings))
	refuse("greedy") // a reload doesn't reset it
	h.settings.TenantRate = 0
	must.Do(t, h.Apply(t.Context(), h.settings))
	accept("greedy", 10)
}

// Test events count towards the rate, since a tenant can choose their payload.
func TestATenantsTestsCount(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.TenantRate = 1 })
	sub := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"a"}, Tenant: "acme"})
	must.Get(h.Publish(t.Context(), &outbound.NewEvent{Type: "b", Tenant: "acme", Payload: []byte("1")}))(t)
	var limited *outbound.Limited
	if _, err := h.Test(t.Context(), sub.ID, &outbound.NewEvent{}); !errors.As(err, &limited) {
		t.Errorf("a test right after an event: got %v, want a Limited error", err)
	}
	h.clock.advance(time.Second)
	if _, err := h.Test(t.Context(), sub.ID, &outbound.NewEvent{}); err != nil {
		t.Errorf("a test a second later: %v", err)
	}
}

// A tenant that publishes all the time still gets its full rate: refusals don't use it
// up, however many come at once.
func TestATenantThatInsistsHasItsRate(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.TenantRate = 10 })
	publishMany := func() (accepted int64) {
		var n atomic.Int64
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Tenant: "greedy", Payload: []byte("1")})
				var limited *outbound.Limited
				switch {
				case err == nil:
					n.Add(1)
				case !errors.As(err, &limited):
					t.Error(err)
				}
			})
		}
		all.Wait()
		return n.Load()
	}
	if n := publishMany(); n != 10 {
		t.Errorf("at first: got %d accepted, want 10", n)
	}
	for range 20 {
		h.clock.advance(time.Second / 2)
		if n := publishMany(); n != 5 {
			t.Errorf("in half a second: got %d accepted, want 5", n)
		}
	}
}

func TestTenantRateOutOfRange(t *testing.T) {
	for _, rate := range []float64{-1, 1e12} {
		err := (outbound.Settings{TenantRate: rate}).Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "tenant_rate_limit: must be ") {
			t.Errorf("%v: got %v, want an error of tenant_rate_limit", rate, err)
		}
	}
}
