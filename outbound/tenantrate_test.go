package outbound_test

import (
	"errors"
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

func TestTenantRateOutOfRange(t *testing.T) {
	for _, rate := range []float64{-1, 1e12} {
		if err := (outbound.Settings{TenantRate: rate}).Validate(); err == nil {
			t.Errorf("%v passes", rate)
		}
	}
}
