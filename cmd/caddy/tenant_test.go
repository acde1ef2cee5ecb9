package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestDeleteTenant kills the server while it deletes a tenant. A second request completes
// this. Then nothing of the tenant is left in the file, and everything of the others is.
func TestDeleteTenant(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) *server{
		"sqlite":   func(t *testing.T) *server { return startServer(t, withOptions(local)) },
		"postgres": func(t *testing.T) *server { return startNodes(t, 1, local)[0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := start(t), newReceiver(t)
			const marked = "acme-was-here"
			rival, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}, "tenant": "rival"})
			theirs := s.publish(event{Type: "a", Tenant: "rival"})
			s.settled(theirs, rival, "delivered")

			has := func(id string) bool {
				return s.reader().do("GET", "/events/"+id+"?tenant=acme", nil).status == http.StatusOK
			}
			var sub, secret string
			n := 2000
			for killed := false; !killed; killed = has(fmt.Sprint("acme-", n-1)) { // until it isn't too late
				n *= 2
				sub, secret = s.subscribe(object{"url": r.url("/" + marked), "event_types": []string{"*"}, "tenant": "acme"})
				s.manager().do("POST", "/subscriptions/"+sub+"/deactivate", nil).want(http.StatusOK)
				var lines strings.Builder
				for i := range n {
					fmt.Fprintf(&lines, "{\"event_type\":\"a\",\"event_id\":\"acme-%d\",\"tenant\":\"acme\",\"payload\":%q}\n", i, marked)
				}
				send(t, "POST", s.url("/webhooks/events"), strings.NewReader(lines.String()), http.Header{
					"Authorization": {"Bearer " + publishToken}, "Content-Type": {"application/x-ndjson"},
				}).want(http.StatusOK)

				broken := make(chan struct{})
				go func() {
					defer close(broken)
					req, _ := http.NewRequest("DELETE", s.url("/webhooks/tenants/acme"), nil)
					req.Header.Set("Authorization", "Bearer "+manageToken)
					if res, err := plain.Do(req); err == nil {
						res.Body.Close()
					}
				}()
				must.Eventually(t, "the beginning", func() bool { return !has("acme-0") })
				s.kill()
				<-broken
				s.start()
			}

			done := decode(t, []byte(s.webhooks("tenants", "delete", "acme", "--json")))
			if events := done.num("events"); events == 0 || events == float64(n) || done.num("subscriptions") != 0 {
				t.Errorf("the rest is %v", done)
			}
			shows(t, s.webhooks("tenants", "delete", "acme"), "0 subscriptions and 0 events deleted")
			for _, list := range []string{"/events", "/deliveries", "/dead-letters", "/subscriptions"} {
				if left := s.reader().list(list + "?tenant=acme"); len(left) > 0 {
					t.Errorf("%s has %v", list, left)
				}
			}
			if d := s.delivery(theirs, rival); d.text("state") != "delivered" {
				t.Errorf("the rival's is %v", d)
			}
			s.settled(s.publish(event{Type: "a", Tenant: "rival"}), rival, "delivered")
			if name != "sqlite" {
				return
			}
			s.stop()
			shows(t, s.cli("webhooks", "store", "compact", "--store", s.db).stdout, "Compacted")
			file := must.Get(os.ReadFile(s.db))(t)
			for _, gone := range []string{marked, strings.TrimPrefix(secret, "whsec_"), sub} {
				if bytes.Contains(file, []byte(gone)) {
					t.Errorf("%s is still in the file", gone)
				}
			}
		})
	}
}
