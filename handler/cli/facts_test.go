package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Some facts follow from several fields of a scheme.
func TestFactsOf(t *testing.T) {
	const second, minute = 1_000_000_000, 60_000_000_000
	scheme := func(over verify.Scheme) verify.Scheme {
		base := verify.Scheme{Signature: verify.Signature{Name: "X-Signature"}}
		return base.Merge(over)
	}
	timed := func(at verify.Timestamp) verify.Scheme {
		at.In, at.Name = "header", "X-Time"
		return scheme(verify.Scheme{Content: "{timestamp}.{body}", Timestamp: at})
	}
	tests := []struct {
		name         string
		row          verify.Scheme
		time, replay string
	}{
		{"a time", timed(verify.Timestamp{}), "5m", "yes"},
		{"seconds", timed(verify.Timestamp{Past: 90 * second}), "90s", "yes"},
		{"two sides", timed(verify.Timestamp{Past: 120 * minute, Future: minute}), "2h, 1m ahead", "yes"},
		{"any age", timed(verify.Timestamp{Past: -1}), "no", "opt-in"},
		{"any time ahead", timed(verify.Timestamp{Future: -1}), "5m, any ahead", "opt-in"},
		{"perhaps a time", timed(verify.Timestamp{Optional: true}), "5m if sent", "yes"},
		{"no time", scheme(verify.Scheme{}), "no", "opt-in"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if f := FactsOf(test.row); f.Time != test.time || f.Replay != test.replay {
				t.Errorf("got time %q, replay %q", f.Time, f.Replay)
			}
		})
	}
	if names := run(t, "", "providers", "--help").want(t, 0).out; !slices.Contains(strings.Fields(names), "BODY") {
		t.Error("the help doesn't explain the columns")
	}
}
