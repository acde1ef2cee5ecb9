package handler

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Users who have logged in see only what belongs to their tenant. A user whose name can't
// be that of a tenant is refused.
func TestTenantsOwnAPI(t *testing.T) {
	const hash = `$2a$04$PITeWJ4c4TVMR9kHvGts2uotZ22WJz.wqnOGKl5ZSCub5HaVSaoeK` // of "secret"
	log := filepath.Join(t.TempDir(), "caddy.log")
	s := serveSite(t, fmt.Sprintf(`log default {
		output file %s
		format json
	}
	webhooks {
		store sqlite %s
	}`, log, storePath(t)), fmt.Sprintf(`handle_path /portal/* {
		basic_auth {
			acme %s
			rival %[1]s
			ann@acme.example %[1]s
		}
		webhook_api {
			auth none
			tenant {http.auth.user.id}
		}
	}
	handle_path /open/* {
		webhook_api {
			auth none
			tenant x-{header.X-Tenant}
		}
	}
	handle_path /acme/* {
		webhook_api {
			token t0ken manage
			tenant acme
		}
	}`, hash))
	call := func(user, method, path, body string) answered {
		r := must.Get(http.NewRequest(method, s.url+path, strings.NewReader(body)))(t)
		if user == "t0ken" {
			r.Header.Set("Authorization", "Bearer "+user)
		} else if user != "" {
			r.SetBasicAuth(user, "secret")
		}
		return do(t, r)
	}
	call("acme", "POST", "/portal/events", `{"event_type":"a","payload":1,"event_id":"x"}`).want(t, 202)
	call("rival", "POST", "/portal/events", `{"event_type":"b","payload":1,"event_id":"x"}`).want(t, 202)
	for user, want := range map[string]string{"acme": `"event_type":"a","tenant":"acme"`, "rival": `"event_type":"b","tenant":"rival"`} {
		if got := call(user, "GET", "/portal/events", ""); !strings.Contains(got.body, want) || strings.Count(got.body, "event_id") != 1 {
			t.Errorf("%s sees %s", user, got.body)
		}
	}
	if got := call("t0ken", "GET", "/acme/events/x", ""); !strings.Contains(got.body, `"event_type":"a"`) {
		t.Errorf("with the token of acme: got %s", got.body)
	}
	call("", "GET", "/open/events", "").want(t, 403)
	call("ann@acme.example", "GET", "/portal/events", "").want(t, 403)
	written := string(must.Get(os.ReadFile(log))(t))
	for _, want := range []string{`this request has no tenant: `, `\"ann@acme.example\" can't be a tenant`} {
		if !strings.Contains(written, want) {
			t.Errorf("there is no %s in the log:\n%s", want, written)
		}
	}
}

// An empty tenant, as a template may produce, doesn't open the API to all tenants.
func TestEmptyTenant(t *testing.T) {
	runCaddy(t, "", "")
	var config map[string]any
	must.Do(t, json.Unmarshal([]byte(adapt(t, "{\nadmin localhost:"+fmt.Sprint(adminPort())+"\n}\n:0 {\nwebhook_api {\nauth none\ntenant acme\n}\n}\n")), &config))
	text := strings.Replace(string(must.Get(json.Marshal(config))(t)), `"tenant":"acme"`, `"tenant":""`, 1)
	res := postLoad(t, "application/json", text)
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		t.Errorf("a config with an empty tenant was loaded: %s", text)
	}
}
