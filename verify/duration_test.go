package verify_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func TestDurationJSON(t *testing.T) {
	for text, want := range map[string]time.Duration{`"5m"`: 5 * time.Minute, `"1h30m"`: 90 * time.Minute, `60000000000`: time.Minute, `"-1s"`: -time.Second, `0`: 0, `"2d"`: 48 * time.Hour, `"-1.5d30m"`: -36*time.Hour - 30*time.Minute} {
		var d verify.Duration
		if err := json.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: got %s, error %v, want %s", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{`"5"`, `"five"`, `"d"`, `"1..2d"`, `{}`, `[1]`, `1.5`, `true`} {
		var d verify.Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s: got %s, want an error", text, time.Duration(d))
		}
	}
	if text, err := json.Marshal(verify.Timestamp{Past: verify.Duration(time.Minute)}); err != nil || string(text) != `{"past":"1m0s"}` {
		t.Errorf("got %s, error %v, want past 1m0s", text, err)
	}
}
