package handler

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Damaged stores that were set aside are counted until their files are removed.
func TestDamageMetrics(t *testing.T) {
	path := storePath(t)
	options := "webhooks {\nstore sqlite " + path + "\n}"
	first, second := path+".damaged-20260101T000000Z", path+".damaged-20260102T000000Z"
	for _, aside := range []string{first, second} {
		report := must.Get(json.Marshal(store.Salvage{Lost: store.Rows{Events: 2, Deliveries: 3, Subscriptions: 1}}))(t)
		must.Do(t, errors.Join(os.WriteFile(aside, nil, 0o600), os.WriteFile(aside+".json", report, 0o600)))
	}
	runCaddy(t, options, "")
	expect := func(when string, want ...string) {
		t.Helper()
		metrics := admin(t, "GET", "/metrics", "").body
		for _, w := range want {
			if !strings.Contains(metrics, "caddy_webhooks_store_"+w+"\n") {
				t.Errorf("%s: there is no metric %s", when, w)
			}
		}
	}
	expect("two are there", "damaged_files 2", `lost_rows{rows="events"} 4`, `lost_rows{rows="deliveries"} 6`, `lost_rows{rows="subscriptions"} 2`)
	must.Do(t, os.Remove(first))
	expect("one is left", "damaged_files 1", `lost_rows{rows="events"} 2`)
}
