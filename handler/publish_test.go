package handler

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPublishRefusals: an event that is not taken is answered by its status, and
// is in the log, which is all that an operator has of it.
func TestPublishRefusals(t *testing.T) {
	dir, port := t.TempDir(), freePort()
	log := filepath.Join(dir, "caddy.log")
	runCaddy(t, fmt.Sprintf(`log default {
		output file %s
		format json
		level WARN
	}
	webhooks {
		store sqlite %s
		max_payload 1KiB
	}`, log, filepath.Join(dir, "webhooks.db")), fmt.Sprintf(`http://127.0.0.1:%d {
		webhook_publish order.created {
			tenant {header.X-Tenant}
		}
	}`, port))
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the store's directory goes
	for name, c := range map[string]struct {
		method, tenant, body string
		status               int
		logged               string
	}{
		"taken":       {"POST", "acme", "{}", 202, ""},
		"too large":   {"POST", "acme", strings.Repeat("x", 2000), 413, "max_payload"},
		"no tenant":   {"POST", "a b", "{}", 422, "tenant"},
		"not a POST":  {"GET", "acme", "", 405, "only POST"},
		"just a look": {"HEAD", "acme", "", 405, "only POST"},
	} {
		t.Run(name, func(t *testing.T) {
			r := must(http.NewRequest(c.method, fmt.Sprintf("http://127.0.0.1:%d/", port), strings.NewReader(c.body)))
			r.Header.Set("X-Tenant", c.tenant)
			if got := do(t, r); got.StatusCode != c.status {
				t.Errorf("status %d, want %d", got.StatusCode, c.status)
			}
			written, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			os.Truncate(log, 0)
			if refused := strings.Contains(string(written), "event refused"); refused != (c.logged != "") || !strings.Contains(string(written), c.logged) {
				t.Errorf("logged %s, want %q in it", written, c.logged)
			}
		})
	}
}
