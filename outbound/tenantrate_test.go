package outbound_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestATenantIsHeldToItsRate(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.TenantRate = 2 })
	publish := func(tenant string) error {
		_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Tenant: tenant, Payload: []byte("1")})
		return err
	}
	taken := func(tenant string, n int) {
		t.Helper()
		for range n {
			if err := publish(tenant); err != nil {
				t.Errorf("%q: %v", tenant, err)
			}
		}
	}
	refused := func(tenant string) {
		t.Helper()
		var limited *outbound.Limited
		if err := publish(tenant); !errors.As(err, &limited) || limited.Wait <= 0 || limited.Wait > time.Second/2 {
			t.Errorf("%q: %v", tenant, err)
		}
	}
	taken("greedy", 2)
	refused("greedy")
	refused("greedy") // which doesn't count against it
	taken("other", 2)
	taken("", 10) // the operator's own
	h.clock.advance(time.Second / 2)
	taken("greedy", 1)
	refused("greedy")

	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	refused("greedy") // a reload is no pardon
	h.settings.TenantRate = 0
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	taken("greedy", 10)
}

// A test is an event like others, whose payload may be chosen.
func TestATenantsTestsCount(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.TenantRate = 1 })
	sub := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"a"}, Tenant: "acme"})
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "b", Tenant: "acme", Payload: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	var limited *outbound.Limited
	if _, err := h.Test(t.Context(), sub.ID, &outbound.NewEvent{}); !errors.As(err, &limited) {
		t.Errorf("a test behind an event: %v", err)
	}
	h.clock.advance(time.Second)
	if _, err := h.Test(t.Context(), sub.ID, &outbound.NewEvent{}); err != nil {
		t.Error(err)
	}
}

// Refusals cost nothing, however many come at once.
func TestATenantThatInsistsHasItsRate(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.TenantRate = 10 })
	publishMany := func() (taken int64) {
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
		t.Errorf("%d are taken at first", n)
	}
	for range 20 {
		h.clock.advance(time.Second / 2)
		if n := publishMany(); n != 5 {
			t.Errorf("%d are taken in half a second", n)
		}
	}
}

func TestTenantRateOutOfRange(t *testing.T) {
	for _, rate := range []float64{-1, 1e12} {
		err := (outbound.Settings{TenantRate: rate}).Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "tenant_rate_limit: must be ") {
			t.Errorf("%v: %v", rate, err)
		}
	}
}
