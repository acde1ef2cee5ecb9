package outbound_test

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                          "0s",
		500 * time.Millisecond:     "500ms",
		30 * time.Second:           "30s",
		90 * time.Second:           "1m30s",
		10 * time.Minute:           "10m",
		90 * time.Minute:           "1h30m",
		168 * time.Hour:            "168h",
		time.Hour + 10*time.Second: "1h0m10s",
		-5 * time.Minute:           "-5m",
	} {
		if got := outbound.FormatDuration(d); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
